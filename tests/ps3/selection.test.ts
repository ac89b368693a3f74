import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { lookBudgets, planLooks } from '../../ps3/model/vision/look_plan.ts';
import { type Grid, scaleSizes } from '../../ps3/model/vision/scales.ts';
import { choose, overrideByGroundTruth, smooth, touchedCells } from '../../ps3/model/vision/selection.ts';
import { compare, engine, random, TOLERANCE, tensor, throws } from '../harness.ts';

const SIGLIP_4K = [85, 341, 2134];
const GRIDS_4K = [2916, 11_664, 72_900];

test('budgets: a full look, a short one, and the last one of a 4K image are those of the reference', () => {
  assert.equal(lookBudgets(SIGLIP_4K, GRIDS_4K), SIGLIP_4K);
  assert.equal(lookBudgets(SIGLIP_4K, GRIDS_4K, 440), [14, 58, 368]);
  assert.equal(lookBudgets(SIGLIP_4K, [26, 70, 344]), [26, 70, 344]);
  assert.equal(lookBudgets([12, 52], [240, 1024], 40), [7, 33]);
});

test('budgets: restricted to the first scales, nothing goes to the others', () => {
  assert.equal(lookBudgets(SIGLIP_4K, GRIDS_4K, undefined, 2), [510, 2050, 0]);
  assert.equal(lookBudgets(SIGLIP_4K, GRIDS_4K, undefined, 1), [2560, 0, 0]);
  assert.equal(lookBudgets(SIGLIP_4K, [0, 780, 72_900], undefined, 2), [0, 780, 0]);
});

test('budgets: what a scale cannot use moves to later scales, and back where that is wanted', () => {
  assert.equal(lookBudgets([10, 20], [4, 100]), [4, 26]);
  assert.equal(lookBudgets([10, 20], [100, 4]), [10, 4], 'dropped, as in the reference');
  assert.equal(lookBudgets([10, 20], [100, 4], 30, 2, true), [26, 4]);
  assert.equal(lookBudgets([10, 20], [3, 4], 30, 2, true), [3, 4]);
  assert.equal(lookBudgets([10, 20, 30], [100, 0, 5], 60, 3, true), [55, 0, 5]);
  throws(
    () => lookBudgets([10, 20], [100, 100], 31),
    /lookBudgets: a look must take an integer of 0 to 30 patches, got 31/,
  );
});

test('looks: those of the reference, and all of them cover every patch', () => {
  const grids = (sides: number[]): Grid[] => sides.map((side) => [side, side]);
  const covered = (plan: number[][]): number[] =>
    plan[0].map((_, i) => plan.reduce((sum, look) => sum + look[i], 0));
  const siglip = planLooks(SIGLIP_4K, grids([54, 108, 270]), { looks: 'all' });
  assert.is(siglip.length, 35);
  assert.equal(siglip[34], [26, 70, 344]);
  assert.equal(covered(siglip), GRIDS_4K);
  // The reference stops after 27 looks, at 2295 and 9207 of the first two scales.
  const radio = planLooks(SIGLIP_4K, grids([48, 96, 240]), { looks: 'all' });
  assert.equal(covered(radio.slice(0, 27)), [2295, 9207, 57_600]);
  assert.equal(covered(radio), [2304, 9216, 57_600]);
  assert.is(radio.length, 28);
  const toy = planLooks([12, 52], grids([16, 32]), { looks: 'all' });
  assert.equal(covered(toy.slice(0, 20)), [240, 1024]);
  assert.equal(covered(toy), [256, 1024]);
  assert.equal(planLooks(SIGLIP_4K, grids([54, 108, 270]), { tokens: 3000 }), [SIGLIP_4K, [14, 58, 368]]);
  assert.equal(planLooks(SIGLIP_4K, grids([54, 108, 270]), { looks: 2 }), [SIGLIP_4K, SIGLIP_4K]);
  assert.equal(planLooks(SIGLIP_4K, grids([54, 108, 270]), { looks: 0 }), []);
  assert.equal(planLooks([10, 20], grids([2, 2]), { looks: 5 }), [[4, 4]]);
  throws(
    () => planLooks(SIGLIP_4K, grids([54, 108, 270]), { looks: 1.5 }),
    /looks and tokens must be integers >= 0, got 1.5/,
  );
});

test('choose: takes the best, ties to the lower index, never a patch twice', async () => {
  using scope = engine.scope();
  const prob = tensor([0.5, 0.9, 0.5, 0.1, 0.5, 0.9], [1, 6], { scope });
  const first = choose(prob, undefined, 3);
  compare('first', await first.indices!.data(), [0, 1, 5], TOLERANCE.exact);
  const second = choose(prob, first.map, 2);
  compare('second', await second.indices!.data(), [2, 4], TOLERANCE.exact);
  const none = choose(prob, undefined, 0);
  assert.is(none.indices, undefined);
  compare('none', await none.map.data(), [0, 0, 0, 0, 0, 0], TOLERANCE.exact);
});

test('ground truth: a cell that a box merely touches is selected first, and integer maps act like float ones', async () => {
  using scope = engine.scope();
  const side = 12;
  const map = new Float32Array(side * side);
  map[2 * side + 3] = 1; // one pixel, in cell (0, 1) of a 4 x 4 grid
  const groundTruth = tensor(map, [1, side, side], { scope });
  const cells = new Float32Array(16);
  cells[1] = 1;
  compare('touched', await touchedCells(groundTruth, [4, 4]).data(), cells, TOLERANCE.exact);
  const probs = [
    tensor(random(16, 1).map(Math.abs), [1, 16], { scope }),
    tensor(random(64, 2).map(Math.abs), [1, 64], { scope }),
  ];
  const [coarse, fine] = overrideByGroundTruth(probs, groundTruth, [
    [4, 4],
    [8, 8],
  ]);
  const coarseWant = random(16, 1).map(Math.abs);
  coarseWant[1] = 1;
  compare('coarse', await coarse.data(), coarseWant, TOLERANCE.exact);
  const fineWant = random(64, 2).map(Math.abs);
  for (const i of [2, 3, 10, 11]) fineWant[i] = 1;
  compare('fine', await fine.data(), fineWant, TOLERANCE.exact);
});

test('smoothing: each sixth of a side becomes its mean', async () => {
  using scope = engine.scope();
  const values = random(144, 3);
  const [smoothed] = smooth([tensor(values, [1, 144], { scope })], [[12, 12]]);
  const want = values.map((_, i) => {
    const [y, x] = [2 * Math.floor(Math.floor(i / 12) / 2), 2 * Math.floor((i % 12) / 2)];
    return (
      (values[12 * y + x] + values[12 * y + x + 1] + values[12 * y + x + 12] + values[12 * y + x + 13]) / 4
    );
  });
  compare('smoothed', await smoothed.data(), want);
});

test('scales: a wide image keeps its shape in whole patches, as the reference has it', () => {
  const radio = { scalesPx: [384, 768, 1536, 3840], patchPx: 16 };
  assert.equal(scaleSizes(radio, 1000, 3000), [
    [384, 384],
    [256, 768],
    [512, 1536],
    [1280, 3840],
  ]);
  assert.equal(scaleSizes({ scalesPx: [378, 756], patchPx: 14 }, 1512, 1512), [
    [378, 378],
    [756, 756],
  ]);
});

test.run();
