// Looks one by one, beside all of them at once.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { noGrad } from '../../engine/index.ts';
import type { LookResult } from '../../ps3/model/looks.ts';
import { PS3 } from '../../ps3/model/ps3.ts';
import { mergeLooks } from '../../ps3/model/vision/token_maps.ts';
import { PRESETS, presetConfig } from '../../ps3/train/presets.ts';
import { compare, engine, random, TOLERANCE } from '../harness.ts';

const SIDE = 112;
const model = PS3.create(engine, presetConfig(PRESETS.smoke, 8), 5, { layerScale: 0.1 });
const pixels = Uint8Array.from(random(2 * SIDE * SIDE * 4, 1), (u) => Math.round(127.5 * (u + 1)));
const newImage = (): ReturnType<typeof engine.tensor> => engine.tensor(pixels, [2, SIDE, SIDE, 4]);

test('looks: merged they are the tokens of encode, bit for bit; the low-res pass comes first', async () => {
  using scope = engine.scope();
  const image = newImage().moveTo(scope);
  const results: LookResult[] = [];
  for await (const result of model.looks(image, { looks: 3 })) results.push(result);
  assert.equal(
    results.map(({ index, counts }) => [index, ...counts]),
    [
      [0, 0, 0],
      [1, 3, 13],
      [2, 3, 13],
      [3, 3, 13],
    ],
  );
  assert.ok(results.every(({ elapsedMs }, i) => elapsedMs >= (i > 0 ? results[i - 1].elapsedMs : 0)));
  const [first, ...others] = results;
  const together = await model.encode(image, { looks: 3 });
  for (let n = 1; n <= 3; n++) {
    const merged = noGrad(() => mergeLooks(first.tokens, others.slice(0, n), first.grids.slice(1)));
    const want = n === 3 ? together : await model.encode(image, { looks: n });
    compare(`${n} looks`, await merged.data(), await want.lastHiddenState.data(), TOLERANCE.exact);
    for (let i = 0; i < 2; i++)
      compare(
        'maps',
        await results[n].selectionMaps[i].data(),
        await want.selectionMaps[i].data(),
        TOLERANCE.exact,
      );
  }
  compare('maps before', await first.selectionMaps[0].data(), new Float32Array(2 * 16), TOLERANCE.exact);
  compare(
    'probs',
    await first.selectionProbs[1].data(),
    await together.selectionProbs[1].data(),
    TOLERANCE.exact,
  );
});

test('looks: leaving the loop early frees all but what was handed out', async () => {
  const image = newImage();
  const before = engine.stats();
  for await (const result of model.looks(image, { looks: 'all' })) {
    using shown = result;
    if (shown.index === 1) break;
  }
  assert.is(engine.stats().liveTensors, before.liveTensors);
  assert.is(engine.stats().liveBytes, before.liveBytes);
  image.dispose();
});

test('looks: a signal ends them with its reason and frees everything', async () => {
  const image = newImage();
  const before = engine.stats();
  const controller = new AbortController();
  let seen = 0;
  let reason: unknown;
  try {
    for await (const result of model.looks(image, { looks: 'all', signal: controller.signal })) {
      result.dispose();
      if (++seen === 2) controller.abort(new Error('enough'));
    }
  } catch (error) {
    reason = error;
  }
  assert.is(seen, 2);
  assert.is((reason as Error).message, 'enough');
  assert.is(engine.stats().liveTensors, before.liveTensors);
  assert.is(engine.stats().liveBytes, before.liveBytes);
  image.dispose();
});

test.run();
