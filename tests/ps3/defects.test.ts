// What the reference gets wrong by its own description (NVlabs/PS3 commit f7e3fd4), and its observed numbers that hold.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Tensor } from '../../engine/index.ts';
import { selectionBudgets } from '../../ps3/model/config/config.ts';
import { parseHubConfig } from '../../ps3/model/config/hub_config.ts';
import { PS3 } from '../../ps3/model/ps3.ts';
import { type LookAmount, planLooks } from '../../ps3/model/vision/look_plan.ts';
import type { Grid } from '../../ps3/model/vision/scales.ts';
import { touchedCells } from '../../ps3/model/vision/selection.ts';
import { PRESETS, presetConfig } from '../../ps3/train/presets.ts';
import { compare, engine, random, TOLERANCE, throws } from '../harness.ts';
import { MODEL, openGolden } from './golden.ts';

const squares = (...sides: number[]): Grid[] => sides.map((side) => [side, side]);
const SIGLIP_4K = squares(54, 108, 270);
const RADIO_4K = squares(48, 96, 240);
const BUDGETS_4K = [85, 341, 2134];

const planned = (grids: readonly Grid[], amount: LookAmount, budgets = BUDGETS_4K): number[] =>
  planLooks(budgets, grids, amount).reduce((sum, look) => sum.map((count, i) => count + look[i]), [0, 0, 0]);

test('only the first scales: no patch of another scale, not even one', () => {
  // The reference takes [510, 2049, 1], and over six looks [2916, 11664, 780].
  assert.equal(planLooks(BUDGETS_4K, SIGLIP_4K, { onlyFirstScales: 2 }), [[510, 2050, 0]]);
  assert.equal(planned(SIGLIP_4K, { looks: 'all', onlyFirstScales: 2 }), [2916, 11_664, 0]);
  // [2304, 9216, 3840] there.
  assert.equal(planned(RADIO_4K, { looks: 6, onlyFirstScales: 2 }), [2304, 9216, 0]);
});

test('only the first scale of three: a whole look of it, where the reference asks for -1 patches', () => {
  assert.equal(planLooks(BUDGETS_4K, SIGLIP_4K, { onlyFirstScales: 1 }), [[2560, 0, 0]]);
  assert.equal(planned(SIGLIP_4K, { tokens: 'all', onlyFirstScales: 1 }), [2916, 0, 0]);
  throws(() => planLooks(BUDGETS_4K, SIGLIP_4K, { onlyFirstScales: 0 }), /onlyFirstScales must be .* 1 to 3/);
});

test('only first scales without a budget of their own: the last of them takes the look, where 0 of 0 is no number', () => {
  assert.equal(planLooks([0, 0, 2560], SIGLIP_4K, { onlyFirstScales: 2 }), [[0, 2560, 0]]);
  assert.equal(planLooks([0, 0, 2560], SIGLIP_4K, { onlyFirstScales: 2, tokens: 40 }), [[0, 40, 0]]);
  assert.equal(planLooks([0, 0, 5120], SIGLIP_4K, { onlyFirstScales: 1, looks: 'all' }), [[2916, 0, 0]]);
});

test('only the first scales and a number of tokens: exactly so many', () => {
  // The reference takes [85, 354, 2121] for 440.
  assert.equal(planLooks(BUDGETS_4K, SIGLIP_4K, { tokens: 440, onlyFirstScales: 2 }), [[87, 353, 0]]);
});

test('all: every patch of every grid, where the reference leaves 18 of RADIO-4K out', () => {
  for (const amount of [{ looks: 'all' }, { tokens: 'all' }] as const) {
    assert.equal(planned(RADIO_4K, amount), [2304, 9216, 57_600]);
    assert.equal(planned(SIGLIP_4K, amount), [2916, 11_664, 72_900]);
  }
  assert.equal(planned(RADIO_4K, { tokens: 2304 + 9216 + 57_600 }), [2304, 9216, 57_600]);
});

test('budgets and looks of the published models are those of the reference', () => {
  assert.equal(selectionBudgets(2560, [378, 756, 1512]), [512, 2048]);
  assert.equal(selectionBudgets(2560, [378, 756, 1512, 3780]), BUDGETS_4K);
  assert.equal(selectionBudgets(2560, [384, 768, 1536, 3840]), BUDGETS_4K);
  const siglip = planLooks([512, 2048], squares(54, 108), { looks: 'all' });
  assert.equal([siglip.length, ...siglip[5]], [6, 356, 1424]);
  const radio = planLooks([512, 2048], squares(48, 96), { looks: 'all' });
  assert.equal([radio.length, ...radio[4]], [5, 256, 1024]);
});

test('looks and tokens: both is an error that says so, neither is one look', () => {
  throws(
    () => planLooks(BUDGETS_4K, SIGLIP_4K, { looks: 2, tokens: 3000 }),
    /planLooks: looks and tokens exclude each other, got 2 and 3000. Pass one./,
  );
  assert.equal(planLooks(BUDGETS_4K, SIGLIP_4K, {}), [BUDGETS_4K]);
  assert.equal(planLooks(BUDGETS_4K, SIGLIP_4K, { tokens: 0 }), []);
});

test('ground truth: 20 partly covered cells are 20 for every dtype, where the reference keeps 6 for integers', async () => {
  using scope = engine.scope();
  const side = 540; // 10 pixels per cell of 54 x 54
  const isInside = (i: number): boolean => {
    const [y, x] = [Math.floor(i / side), i % side];
    return x >= 5 && x < 45 && y >= 5 && y < 35;
  };
  const map = Uint8Array.from({ length: side * side }, (_, i) => Number(isInside(i)));
  const want = Float32Array.from({ length: 54 * 54 }, (_, i) => Number(i % 54 < 5 && i < 4 * 54));
  for (const numbers of [map, Float32Array.from(map), Int32Array.from(map), Uint32Array.from(map)]) {
    const groundTruth = engine.tensor(numbers, [1, side, side], { scope });
    const touched = await touchedCells(groundTruth, [54, 54]).data();
    compare(groundTruth.dtype, touched, want, TOLERANCE.exact);
  }
});

/** Scales of 128, 256 and 512 pixels in patches of 16, 64 patches per look: [12, 52]. */
const { vision, text } = presetConfig(PRESETS.smoke, 8);
const TOY = parseHubConfig({
  vision_config: {
    ...vision.hub,
    ps3_scales: [128, 256, 512],
    max_select_num: 64,
    patch_size_px: 16,
    pos_grid_side: 8,
    aux_image_px: 512,
    highres_selection_module_kernel_size: 32,
  },
  text_config: { ...text.hub },
});
const toy = PS3.create(engine, TOY, 7, { layerScale: 0.1 });
const toyImage = (): Tensor =>
  engine.tensor(
    Uint8Array.from(random(512 * 512 * 4, 2), (u) => Math.round(127.5 * (u + 1))),
    [1, 512, 512, 4],
  );

test('a toy model: so many patches as on the reference, and all of them where it stops at 240 of 256', async () => {
  using scope = engine.scope();
  const image = toyImage().moveTo(scope);
  const counts = async (amount: LookAmount): Promise<number[]> => {
    const out = await toy.encode(image, amount);
    const maps = await Promise.all(out.selectionMaps.map((map) => map.data()));
    return maps.map((map) => map.filter((one) => one === 1).length);
  };
  assert.equal([...TOY.vision.budgets], [12, 52]);
  assert.equal(await counts({ tokens: 100 }), [18, 82]);
  assert.equal(await counts({ tokens: 40 }), [7, 33]);
  assert.equal(await counts({ tokens: 'all' }), [256, 1024]);
});

test('a toy model: another look leaves earlier tokens as they are, bit for bit', async () => {
  using scope = engine.scope();
  const image = toyImage().moveTo(scope);
  const [none, one, two] = await Promise.all(
    [0, 1, 2].map(async (looks) => {
      const out = await toy.encode(image, { looks });
      const maps = await Promise.all(out.selectionMaps.map((map) => map.data()));
      return { tokens: await out.lastHiddenState.data(), maps };
    }),
  );
  const [N, C] = [64, 32];
  compare('low-res, one look', one.tokens.subarray(0, N * C), none.tokens, TOLERANCE.exact);
  compare('low-res, two looks', two.tokens.subarray(0, N * C), none.tokens, TOLERANCE.exact);
  let [before, after] = [N, N];
  for (const [scale, map] of two.maps.entries())
    for (const [cell, isTaken] of map.entries()) {
      if (isTaken === 0) continue;
      if (one.maps[scale][cell] === 1) {
        const at = (tokens: Float32Array | typeof one.tokens, i: number) =>
          tokens.subarray(i * C, (i + 1) * C);
        compare(`token ${before}`, at(two.tokens, after), at(one.tokens, before++), TOLERANCE.exact);
      }
      after++;
    }
  assert.equal([before, after], [N + 64, N + 128]);
});

test('ties: among equal patches the lower index is taken, at every scale', async () => {
  using scope = engine.scope();
  const image = toyImage().moveTo(scope);
  const groundTruth = engine.full([1, 32, 32], 1, { scope });
  const out = await toy.encode(image, { groundTruth });
  for (const [i, count] of [12, 52].entries()) {
    const map = await out.selectionMaps[i].data();
    compare(
      `scale ${i}`,
      map,
      map.map((_, cell) => Number(cell < count)),
      TOLERANCE.exact,
    );
  }
});

test('ground truth: every cell of the first high-res grid that it touches is taken before any other', async () => {
  using scope = engine.scope();
  const image = toyImage().moveTo(scope);
  // Pixels 40..79 x 100..119 of 512: cells 1..2 x 3 of the 16 x 16 grid, 32 pixels each.
  const isInside = (i: number): boolean => {
    const [y, x] = [Math.floor(i / 512), i % 512];
    return x >= 40 && x < 80 && y >= 100 && y < 120;
  };
  const map = Uint8Array.from({ length: 512 * 512 }, (_, i) => Number(isInside(i)));
  const groundTruth = engine.tensor(map, [1, 512, 512], { scope });
  const out = await toy.encode(image, { groundTruth });
  const [coarse, fine] = await Promise.all(out.selectionMaps.map((map) => map.data()));
  for (const cell of [49, 50]) assert.is(coarse[cell], 1, `cell ${cell} of 16 x 16`);
  for (const y of [6, 7])
    for (const x of [2, 3, 4, 5]) assert.is(fine[32 * y + x], 1, `cell (${y}, ${x}) of 32 x 32`);
});

test('pre-training: a sample is pooled by its own patches and its own flag, whatever else is in the batch', async () => {
  using scope = engine.scope();
  const { model, input, want } = await openGolden('square');
  const [image, prompt, groundTruth] = await Promise.all(
    ['in.pixel_values', 'text.prompt', 'in.gt_selection_maps'].map((name) => input(name, scope)),
  );
  const before = await groundTruth.data();
  const isGlobal = engine.tensor([0, 1], [2, 1], { scope });
  const { pooled } = model.vision.pretrain(image, { prompt, groundTruth, isGlobal });
  const E = model.config.vision.attnPool.width;
  const mixed = Float32Array.of(
    ...(await want('pretrain.pooled_output')).subarray(0, E),
    ...(await want('low.pooled')).subarray(E),
  );
  compare('first local, second global', await pooled.data(), mixed, MODEL);
  compare('ground truth', await groundTruth.data(), before, TOLERANCE.exact);
  model.dispose();
});

test('pooling: a mask of zeros pools everything and stays a mask of zeros', async () => {
  using scope = engine.scope();
  const { model, input, want } = await openGolden('portrait');
  const tokens = await input('low.hidden.3', scope);
  const mask = engine.zeros([2, 16], { scope });
  compare('pooled', await model.vision.pool(tokens, mask).data(), await want('low.pooled'), MODEL);
  compare('mask', await mask.data(), new Float32Array(32), TOLERANCE.exact);
  model.dispose();
});

test.run();
