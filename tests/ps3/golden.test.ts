// Every tensor of the reference files: the official implementation's own outputs.
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { formatComparisons, verify } from '../../ps3/app/verify.ts';
import { engine } from '../harness.ts';

/** How many tensors each file must have compared: a replay that skips some proves nothing. */
const FILES = { 'infer-square': 59, 'infer-portrait': 54, 'infer-radio': 31, train: 317 };

for (const [name, count] of Object.entries(FILES))
  test(`ps3-${name}: every tensor agrees with the official implementation`, async () => {
    const before = engine.stats();
    const path = fileURLToPath(new URL(`../fixtures/ps3-${name}.safetensors`, import.meta.url));
    const comparisons = await verify(engine, path);
    const failed = comparisons.filter(({ passed }) => !passed);
    assert.is(failed.length, 0, `\n${formatComparisons(failed).join('\n')}`);
    assert.ok(comparisons.length >= count, `compared ${comparisons.length} tensors, want at least ${count}`);
    const after = engine.stats();
    assert.is(after.liveTensors, before.liveTensors, 'no tensor is left over');
    assert.is(after.liveBytes, before.liveBytes, 'no bytes are left over');
  });

test.run();
