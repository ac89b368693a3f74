import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { columnSum } from '../../engine/index.ts';
import { compare, engine, random, TOLERANCE, tensor, throws, withGpuPlans } from '../harness.ts';
import { columnSum as twin } from '../reference/column_sum.ts';

for (const [R, C] of [
  [1, 1],
  [3, 7],
  [63, 4],
  [64, 33],
  [65, 128],
  [4099, 12],
  [600, 1028],
  [20, 4099],
  [8, 270_004],
])
  test(`column_sum: ${R}x${C} matches the twin, twice with the same bits`, async () => {
    using scope = engine.scope();
    const x = random(R * C, 1);
    const input = tensor(x, [R, C], { scope });
    const first = await columnSum(input, { shape: [C], scale: 0.5 }).data();
    compare('y', first, twin(x, C, 0.5));
    compare('y again', await columnSum(input, { shape: [C], scale: 0.5 }).data(), first, TOLERANCE.exact);
    const split = withGpuPlans(() => columnSum(input, { shape: [C], scale: 0.5 }));
    compare('y by split', await split.data(), twin(x, C, 0.5));
  });

test('column_sum: keeps the last extents that are asked for', async () => {
  using scope = engine.scope();
  const x = random(5 * 3 * 4, 2);
  const y = columnSum(tensor(x, [5, 3, 4], { scope }), { shape: [3, 4] });
  assert.equal(y.shape, [3, 4]);
  compare('y', await y.data(), twin(x, 12));
});

test('column_sum: no rows sum to zero', async () => {
  using scope = engine.scope();
  const y = columnSum(tensor([], [0, 5], { scope }));
  compare('y', await y.data(), new Float32Array(5));
});

test('column_sum: a shape that x does not end with is named', () => {
  using scope = engine.scope();
  const x = tensor(random(6, 1), [2, 3], { scope });
  throws(
    () => columnSum(x, { shape: [2] }),
    /^columnSum: x must end with the kept shape, got x \[2, 3\] and \[2\]\./,
  );
});

test.run();
