import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { adaptiveMaxPool } from '../../engine/ops/adaptive_max_pool.ts';
import { backward } from '../../engine/ops/backward.ts';
import { checkGradients, compare, random, TOLERANCE, tensor, throws, torchCases } from '../harness.ts';
import { adaptiveMaxPool as twin } from '../reference/adaptive_max_pool.ts';

type Grid = readonly [number, number];
const CASES: readonly [number, Grid, Grid][] = [
  [1, [1, 1], [1, 1]],
  [3, [7, 11], [3, 5]],
  [2, [6, 4], [3, 2]],
  [1, [2, 3], [5, 4]],
  [2, [9, 5], [9, 5]],
  [1, [54, 54], [24, 24]],
];

test('adaptive_max_pool: matches float64 for overlapping, equal and repeated windows', async () => {
  for (const [B, grid, outGrid] of CASES) {
    const x = random(B * grid[0] * grid[1], 1);
    using y = adaptiveMaxPool(tensor(x, [B, grid[0] * grid[1]]), grid, outGrid);
    assert.equal(y.shape, [B, outGrid[0] * outGrid[1]]);
    // A maximum is one of its inputs, so nothing is rounded.
    compare(`${grid.join('x')} to ${outGrid.join('x')}`, await y.data(), twin(x, B, grid, outGrid), {
      abs: 0,
      rel: 0,
    });
  }
});

test('adaptive_max_pool: dx matches central differences', async () => {
  for (const [B, grid, outGrid] of CASES) {
    // Values 0.03 apart in a shuffled order: a step of the difference quotient never changes which one is largest.
    const count = B * grid[0] * grid[1];
    const data = Float64Array.from(
      { length: count },
      (_, i) => ((((i * 7919) % count) - count / 2) * 1) / 32,
    );
    await checkGradients({
      inputs: { x: { data, shape: [B, grid[0] * grid[1]] } },
      op: ({ x }) => adaptiveMaxPool(x, grid, outGrid),
      twin: ({ x }) => twin(x, B, grid, outGrid),
    });
  }
});

test('adaptive_max_pool: the result and its gradient equal PyTorch, also where maxima are tied', async () => {
  for (const [name, vectors] of await torchCases('adaptive_max_pool')) {
    const [, Y, X, outY, outX] = /x(\d+)x(\d+) to (\d+)x(\d+)/.exec(name)!.map(Number);
    using x = tensor(vectors.get('x')!.data, vectors.get('x')!.shape, { requiresGrad: true });
    using y = adaptiveMaxPool(x, [Y, X], [outY, outX]);
    compare(`${name}: y`, await y.data(), vectors.get('y')!.data, { abs: 0, rel: 0 });
    using dy = tensor(vectors.get('dy')!.data, vectors.get('dy')!.shape);
    backward(y, { seed: dy });
    compare(`${name}: dx`, await x.grad!.data(), vectors.get('dx')!.data, TOLERANCE.f32);
  }
});

test('adaptive_max_pool: an empty batch gives an empty result', () => {
  using y = adaptiveMaxPool(tensor(new Float32Array(0), [0, 6]), [2, 3], [1, 1]);
  assert.equal(y.shape, [0, 1]);
});

test('adaptive_max_pool: wrong shapes, sides and dtypes are named', () => {
  const x = tensor(new Float32Array(6), [1, 6]);
  throws(
    () => adaptiveMaxPool(x, [2, 2], [1, 1]),
    /^adaptiveMaxPool: x must be \[B, Y \* X\], got x \[1, 6\], grid \[2, 2\] and outGrid \[1, 1\]\.$/,
  );
  throws(
    () => adaptiveMaxPool(x, [2, 3], [0, 1]),
    /^adaptiveMaxPool: grid sides must be positive integers, got x \[1, 6\], grid \[2, 3\] and outGrid \[0, 1\]\.$/,
  );
  throws(
    () => adaptiveMaxPool(tensor(new Uint32Array(6), [1, 6], { dtype: 'u32' }), [2, 3], [1, 1]),
    /^adaptiveMaxPool: x must be f32, got u32/,
  );
});

test.run();
