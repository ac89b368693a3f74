import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { backward, cumulativeSum } from '../../engine/index.ts';
import {
  checkGradients,
  compare,
  engine,
  random,
  TOLERANCE,
  tensor,
  throws,
  torchCases,
  withGpuPlans,
} from '../harness.ts';
import { cumulativeSum as twin } from '../reference/cumulative_sum.ts';

for (const [R, C] of [
  [1, 1],
  [3, 7],
  [5, 64],
  [2, 1023],
  [2, 1025],
  [67, 13],
])
  for (const plans of [<T>(fn: () => T): T => fn(), withGpuPlans])
    test(`cumulative_sum: y and dx match the twin at ${R}x${C}${plans === withGpuPlans ? ', as on a GPU' : ''}`, () =>
      plans(() =>
        checkGradients({
          inputs: { x: { data: random(R * C, C), shape: [R, C] } },
          op: ({ x }) => cumulativeSum(x),
          twin: ({ x }) => twin(x, C),
        }),
      ));

test('cumulative_sum: along another axis, with gradient', () =>
  checkGradients({
    inputs: { x: { data: random(2 * 5 * 3, 2), shape: [2, 5, 3] } },
    op: ({ x }) => cumulativeSum(x, { axis: -2 }),
    twin: ({ x }) => {
      const y = x.slice();
      for (let e = 0; e < y.length; e++) if (Math.floor(e / 3) % 5 > 0) y[e] += y[e - 3];
      return y;
    },
  }));

test('cumulative_sum: output and gradient match PyTorch', async () => {
  for (const [name, vectors] of await torchCases('cumulative_sum')) {
    using scope = engine.scope();
    const { data, shape } = vectors.get('x')!;
    const x = tensor(data, shape, { scope, requiresGrad: true });
    const y = cumulativeSum(x, { axis: vectors.get('axis')!.data[0] });
    compare(`${name} y`, await y.data(), vectors.get('y')!.data);
    backward(y, { seed: tensor(vectors.get('dy')!.data, shape, { scope }) });
    compare(`${name} dx`, await x.grad!.data(), vectors.get('dx')!.data, TOLERANCE.grad);
    x.grad!.dispose();
  }
});

test('cumulative_sum: integers are exact, and keep their dtype', async () => {
  using scope = engine.scope();
  const numbers = Int32Array.from({ length: 300 }, (_, i) => (i % 7) * 1_000_003 - 5);
  let total = 0;
  const want = numbers.map((value) => (total += value));
  const y = cumulativeSum(engine.tensor(numbers, [300], { scope }));
  assert.is(y.dtype, 'i32');
  compare('i32', await y.data(), want, TOLERANCE.exact);
  const u32 = cumulativeSum(engine.tensor(Uint32Array.of(1, 2, 3), [3], { scope }), { axis: 0 });
  assert.equal([...(await u32.data())], [1, 3, 6]);
});

test('cumulative_sum: a long row does not drift', async () => {
  using scope = engine.scope();
  const n = 200_003;
  const x = random(n, 3).map((value) => Math.fround(1 + value));
  for (const plans of [<T>(fn: () => T): T => fn(), withGpuPlans]) {
    const y = plans(() => cumulativeSum(tensor(x, [n], { scope })));
    compare('y', await y.data(), twin(x, n), { abs: 0, rel: 5e-7 });
  }
});

test('cumulative_sum: NaN goes on, empty rows stay, a missing axis is refused', async () => {
  using scope = engine.scope();
  const y = await cumulativeSum(tensor([1, Number.NaN, 2], [3], { scope })).data();
  assert.equal(Array.from(y, Number.isNaN), [false, true, true]);
  assert.equal(cumulativeSum(tensor([], [3, 0], { scope })).shape, [3, 0]);
  throws(
    () => cumulativeSum(tensor([1], [1], { scope }), { axis: 1 }),
    /^cumulativeSum: the axis must lie in/,
  );
});

test.run();
