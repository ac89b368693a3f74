import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { backward, swiglu } from '../../engine/index.ts';
import {
  checkGradients,
  compare,
  engine,
  random,
  TOLERANCE,
  tensor,
  throws,
  torchCases,
} from '../harness.ts';
import { swiglu as twin } from '../reference/swiglu.ts';

for (const [R, F] of [
  [1, 1],
  [3, 7],
  [5, 64],
  [67, 12],
  [2, 1031],
])
  test(`swiglu: y and dx match the twin at ${R}x${F}`, () =>
    checkGradients({
      inputs: { x: { data: random(2 * R * F, R).map((v) => Math.fround(5 * v)), shape: [R, 2 * F] } },
      op: ({ x }) => swiglu(x),
      twin: ({ x }) => twin(x, F),
    }));

test('swiglu: gates far from 0 are 0 or themselves, and so are the gradients', async () => {
  using scope = engine.scope();
  const huge = Math.fround(1e30);
  for (const vec of [1, 4]) {
    const repeated = (...values: number[]) => values.flatMap((value) => new Array<number>(vec).fill(value));
    const gates = repeated(-huge, -200, 0, 200, huge);
    const F = gates.length;
    const x = tensor([...gates, ...new Array(F).fill(2)], [1, 2 * F], { scope, requiresGrad: true });
    const y = swiglu(x);
    compare('y', await y.data(), repeated(0, 0, 0, 400, 2 * huge), TOLERANCE.exact);
    backward(y, { seed: tensor(new Array(F).fill(1), [1, F], { scope }) });
    const dx = await x.grad!.data();
    compare('dgate', dx.subarray(0, F), repeated(0, 0, 1, 2, 2), TOLERANCE.exact);
    compare('dup', dx.subarray(F), repeated(0, 0, 0, 200, huge), TOLERANCE.exact);
    x.grad!.dispose();
  }
});

test('swiglu: NaN stays where it is', async () => {
  using scope = engine.scope();
  const x = [Number.NaN, 1, 1, 1, Number.NaN, 1];
  const y = await swiglu(tensor(x, [1, 6], { scope })).data();
  assert.equal(Array.from(y, Number.isNaN), [true, true, false]);
});

test('swiglu: output and gradient match PyTorch', async () => {
  for (const [name, vectors] of await torchCases('swiglu')) {
    using scope = engine.scope();
    const { data, shape } = vectors.get('x')!;
    const x = tensor(data, shape, { scope, requiresGrad: true });
    const y = swiglu(x);
    const dy = vectors.get('dy')!;
    compare(`${name} y`, await y.data(), vectors.get('y')!.data);
    backward(y, { seed: tensor(dy.data, dy.shape, { scope }) });
    compare(`${name} dx`, await x.grad!.data(), vectors.get('dx')!.data, TOLERANCE.grad);
    x.grad!.dispose();
  }
});

test('swiglu: no row, and an odd last extent', async () => {
  using scope = engine.scope();
  compare('empty', await swiglu(tensor([], [0, 6], { scope })).data(), []);
  throws(
    () => swiglu(tensor([1, 2, 3], [3], { scope })),
    /^swiglu: the last extent of x must be even, gate and up side by side, got \[3\]/,
  );
});

test.run();
