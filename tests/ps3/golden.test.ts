// Every tensor of the reference files: the official implementations' own outputs, and PyTorch's of other shapes.
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { formatComparisons } from '../../ps3/app/comparison.ts';
import { verify } from '../../ps3/app/verify.ts';
import { engine } from '../harness.ts';

/** How many tensors each file must have compared: a replay that skips some proves nothing. */
const FILES = {
  'ps3-infer-square': 59,
  'ps3-infer-portrait': 54,
  'ps3-infer-radio': 31,
  'ps3-train': 317,
  'vila-baselines-tiny': 37,
  'vila-hd-tiny': 103,
  'vila-hd-tiny-two': 58,
  'vila-hd-train': 349,
  'qwen2-tiny': 62,
  'qwen2-tiny-tied': 53,
  'language/qwen2-one-kv': 47,
  'language/qwen2-twelve-on-four': 54,
};

for (const [name, count] of Object.entries(FILES))
  test(`${name}: every tensor agrees with the reference`, async () => {
    const before = engine.stats();
    const path = fileURLToPath(new URL(`../fixtures/${name}.safetensors`, import.meta.url));
    const comparisons = await verify(engine, path);
    const failed = comparisons.filter(({ passed }) => !passed);
    assert.is(failed.length, 0, `\n${formatComparisons(failed).join('\n')}`);
    assert.ok(comparisons.length >= count, `compared ${comparisons.length} tensors, want at least ${count}`);
    const after = engine.stats();
    assert.is(after.liveTensors, before.liveTensors, 'no tensor is left over');
    assert.is(after.liveBytes, before.liveBytes, 'no bytes are left over');
  });

test.run();
