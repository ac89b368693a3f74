import { test } from 'uvu';
import { backward, l2Normalize } from '../../engine/index.ts';
import { size } from '../../engine/tensor/shape.ts';
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
import { l2Normalize as twin } from '../reference/l2_normalize.ts';

/** Row lengths that plans for a GPU are tried with: each is compiled anew on a CPU, which takes seconds. */
const ON_GPUS = [7, 65, 1152];

for (const shape of [[1, 1], [3, 7], [5, 63], [2, 65], [2, 3, 64], [2, 389], [7, 1152], [4]])
  test(`l2_normalize: y and dx match the twin for [${shape}]`, async () => {
    const n = size(shape);
    const check = () =>
      checkGradients({
        inputs: { x: { data: random(n, 1), shape } },
        op: ({ x }) => l2Normalize(x),
        twin: ({ x }) => twin(x, shape[shape.length - 1]),
      });
    await check();
    if (ON_GPUS.includes(shape[shape.length - 1])) await withGpuPlans(check);
  });

test('l2_normalize: rows shorter than eps are divided by eps, and so is their gradient', async () => {
  const x = random(3 * 8, 2).map((u, i) => Math.fround(i < 8 ? 0.01 * u : u));
  await checkGradients({
    inputs: { x: { data: x, shape: [3, 8] } },
    op: ({ x }) => l2Normalize(x, { eps: 0.25 }),
    twin: ({ x }) => twin(x, 8, 0.25),
  });
});

test('l2_normalize: over the first of two axes it is that of the transposed', async () => {
  const transposed = (x: Float64Array, rows: number, columns: number): Float64Array =>
    x.map((_value, i) => x[(i % rows) * columns + Math.floor(i / rows)]);
  await checkGradients({
    inputs: { x: { data: random(3 * 8, 4), shape: [3, 8] } },
    op: ({ x }) => l2Normalize(x, { axis: 0 }),
    twin: ({ x }) => transposed(twin(transposed(x, 3, 8), 3), 8, 3),
  });
});

test('l2_normalize: a row of zeros stays zero and gets a finite gradient', async () => {
  using scope = engine.scope();
  const x = tensor(new Float64Array(6), [2, 3], { scope, requiresGrad: true });
  const y = l2Normalize(x, { eps: 1e-3 });
  compare('y', await y.data(), new Float64Array(6), TOLERANCE.exact);
  backward(y, { seed: tensor(Float64Array.of(1, 2, 3, 4, 5, 6), [2, 3], { scope }) });
  using dx = x.grad!;
  compare('dx', await dx.data(), [1e3, 2e3, 3e3, 4e3, 5e3, 6e3]);
});

test('l2_normalize: every row has length 1', async () => {
  using scope = engine.scope();
  const y = await l2Normalize(tensor(random(50 * 33, 3), [50, 33], { scope })).data();
  for (let row = 0; row < 50; row++)
    compare(`row ${row}`, [Math.hypot(...y.subarray(row * 33, (row + 1) * 33))], [1]);
});

test('l2_normalize: zero rows give zero rows', async () => {
  using scope = engine.scope();
  compare('y', await l2Normalize(tensor(new Float64Array(0), [0, 8], { scope })).data(), []);
});

test('l2_normalize: output and gradient match PyTorch', async () => {
  for (const [name, vectors] of await torchCases('l2_normalize')) {
    using scope = engine.scope();
    const { data, shape } = vectors.get('x')!;
    const x = tensor(data, shape, { scope, requiresGrad: true });
    const y = l2Normalize(x, { eps: vectors.get('eps')!.data[0] });
    compare(`${name} y`, await y.data(), vectors.get('y')!.data);
    backward(y, { seed: tensor(vectors.get('dy')!.data, shape, { scope }) });
    using dx = x.grad!;
    compare(`${name} dx`, await dx.data(), vectors.get('dx')!.data, TOLERANCE.grad);
  }
});

test('l2_normalize: says what is wrong with its argument', () => {
  using scope = engine.scope();
  throws(() => l2Normalize(tensor([1], [], { scope })), /^l2Normalize: x must have an axis, got x \[\]/);
  throws(
    () => l2Normalize(tensor(new Uint32Array(2), [2], { scope })),
    /^l2Normalize: x must be f32, got u32/,
  );
});

test.run();
