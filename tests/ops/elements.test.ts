import { test } from 'uvu';
import { backward } from '../../engine/index.ts';
import { gather, type ScatterReduction, scatter, take } from '../../engine/ops/elements.ts';
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
import * as twin from '../reference/elements.ts';

/** Indices of an axis of n, negative ones and repeated ones among them, and one outside. */
function indicesFor(count: number, n: number, seed: number): Int32Array {
  const list = Int32Array.from(random(count, seed), (v) => Math.min(n - 1, Math.floor(n * v)));
  if (count > 4) list[3] = n;
  return list;
}

for (const [shape, indexShape, axis] of [
  [[1], [1], 0],
  [[67], [3, 5], 0],
  [[7, 12], [5], 1],
  [[7, 64], [9], 0],
  [[3, 5, 7], [2, 3], -2],
  [[3, 5, 7], [], 2],
  [[4, 3], [0], 0],
  [[0, 3], [4], 1],
] as [number[], number[], number][])
  test(`elements: [${shape}] by a list of [${indexShape}] along axis ${axis}, and the gradient, match the twin`, async () => {
    using scope = engine.scope();
    const d = axis < 0 ? axis + shape.length : axis;
    const indices = indicesFor(size(indexShape), shape[d], 3);
    const list = tensor(indices, indexShape, { scope });
    await checkGradients({
      inputs: { x: { data: random(size(shape), 1), shape } },
      op: ({ x }) => take(x, list, { axis }),
      twin: ({ x }) => twin.take(x, shape, indices, indexShape, d),
    });
  });

const TABLE: [shape: number[], indexShape: number[], axis: number][] = [
  [[1], [1], 0],
  [[67], [131], 0],
  [[7, 12], [7, 5], 1],
  [[7, 12], [3, 12], 0],
  [[5, 9], [3, 4], 1],
  [[3, 5, 7], [2, 8, 6], -2],
  [[4, 3], [0, 3], 0],
];
for (const [shape, indexShape, axis] of TABLE)
  test(`elements: [${shape}] by indices of [${indexShape}] along axis ${axis}, both ways, with gradients`, async () => {
    using scope = engine.scope();
    const d = axis < 0 ? axis + shape.length : axis;
    const indices = indicesFor(size(indexShape), shape[d], 4);
    const list = tensor(indices, indexShape, { scope });
    const x = { data: random(size(shape), 1), shape };
    const updates = { data: random(size(indexShape), 2), shape: indexShape };
    const checkGather = () =>
      checkGradients({
        inputs: { x },
        op: ({ x }) => gather(x, list, { axis }),
        twin: ({ x }) => twin.gather(x, shape, indices, indexShape, d),
      });
    await checkGather();
    await withGpuPlans(checkGather);
    await checkGradients({
      inputs: { x, updates },
      op: ({ x, updates }) => scatter(x, list, updates, { axis, reduction: 'add' }),
      twin: ({ x, updates }) => twin.scatter(x, shape, indices, indexShape, updates, d, 'add'),
    });
    const put = [tensor(x.data, shape, { scope }), tensor(updates.data, indexShape, { scope })];
    for (const reduction of ['none', 'mul', 'min', 'max'] as ScatterReduction[]) {
      const want = twin.scatter(x.data, shape, indices, indexShape, updates.data, d, reduction);
      const scattered = () => scatter(put[0], list, put[1], { axis, reduction });
      compare(reduction, await scattered().data(), want);
      compare(`${reduction} in splits`, await withGpuPlans(scattered).data(), want);
    }
  });

test('elements: replacing by indices that do not repeat has a gradient', async () => {
  using scope = engine.scope();
  const indices = Int32Array.of(4, 0, -2, 1, 2, 3);
  const list = tensor(indices, [2, 3], { scope });
  await checkGradients({
    inputs: { x: { data: random(10, 1), shape: [2, 5] }, updates: { data: random(6, 2), shape: [2, 3] } },
    op: ({ x, updates }) => scatter(x, list, updates, { axis: 1 }),
    twin: ({ x, updates }) => twin.scatter(x, [2, 5], indices, [2, 3], updates, 1, 'none'),
  });
});

test('elements: integers of both kinds, as elements and as indices', async () => {
  using scope = engine.scope();
  for (const dtype of ['i32', 'u32'] as const) {
    const x = tensor([7, 0, 5, 4_000_000], [4], { scope, dtype });
    const list = tensor(new Uint32Array([3, 1, 3]), [3], { scope });
    compare('take', await take(x, list).data(), [4_000_000, 0, 4_000_000], TOLERANCE.exact);
    const updates = tensor([1, 2, 3], [3], { scope, dtype });
    compare(
      'add',
      await scatter(x, list, updates, { axis: 0, reduction: 'add' }).data(),
      [7, 2, 5, 4_000_004],
      TOLERANCE.exact,
    );
  }
});

test('elements: values and gradients match PyTorch', async () => {
  for (const [name, vectors] of await torchCases('elements')) {
    using scope = engine.scope();
    const get = (key: string, requiresGrad = false) =>
      tensor(vectors.get(key)!.data, vectors.get(key)!.shape, { scope, requiresGrad });
    const x = get('x', true);
    const indices = tensor(Int32Array.from(vectors.get('index')!.data), vectors.get('index')!.shape, {
      scope,
    });
    const [axis] = vectors.get('axis')!.data;
    const updates = vectors.has('updates') ? get('updates', true) : undefined;
    const y = updates
      ? scatter(x, indices, updates, { axis, reduction: name.split('_')[1] as ScatterReduction })
      : (name === 'select' ? take : gather)(x, indices, { axis });
    compare(`${name} y`, await y.data(), vectors.get('y')!.data);
    if (!vectors.has('dx')) continue;
    backward(y, { seed: get('dy') });
    for (const [key, leaf] of [
      ['dx', x],
      ['dupdates', updates],
    ] as const)
      if (leaf && vectors.has(key)) {
        compare(`${name} ${key}`, await leaf.grad!.data(), vectors.get(key)!.data, TOLERANCE.grad);
        leaf.grad!.dispose();
      }
  }
});

test('elements: more columns than a grid dimension holds', async () => {
  using scope = engine.scope();
  const I = 65_536 * 64 + 1;
  const x = tensor(
    Float32Array.from({ length: 2 * I }, (_, i) => i % 4099),
    [2, I],
    { scope },
  );
  const list = tensor(Int32Array.of(1), [1], { scope });
  const y = await take(x, list).data();
  compare(
    'end',
    y.subarray(-3),
    [3, 2, 1].map((back) => (2 * I - back) % 4099),
    TOLERANCE.exact,
  );
  const total = await scatter(x, tensor(new Int32Array(I), [1, I], { scope }), tensor(y, [1, I], { scope }), {
    axis: 0,
    reduction: 'add',
  }).data();
  compare('end of the first row', [total[I - 1]], [((I - 1) % 4099) + ((2 * I - 1) % 4099)], TOLERANCE.exact);
});

test('elements: without a scope, only the result stays alive', () => {
  const x = tensor(random(12, 1), [3, 4]);
  const list = tensor(new Int32Array(4), [2, 2]);
  const updates = tensor(random(4, 1), [2, 2]);
  const before = engine.stats().liveTensors;
  for (const y of [take(x, list), gather(x, list, { axis: 1 }), scatter(x, list, updates, { axis: 1 })])
    y.dispose();
  compare('live tensors', [engine.stats().liveTensors], [before]);
  for (const t of [x, list, updates]) t.dispose();
});

test('elements: says what does not fit', () => {
  using scope = engine.scope();
  const x = tensor(random(6, 1), [2, 3], { scope, requiresGrad: true });
  const list = tensor(new Int32Array(4), [4, 1], { scope });
  throws(
    () => gather(x, list, { axis: 1 }),
    /gather: the indices must have x's rank .* \[4, 1\] and x \[2, 3\]/,
  );
  throws(() => take(x, x), /take: indices must be i32 or u32, got f32/);
  throws(() => scatter(x, list, x, { axis: 0 }), /scatter: updates must have the shape of the indices/);
  const updates = tensor(random(4, 1), [4, 1], { scope });
  const y = scatter(x, list, updates, { axis: 0, reduction: 'max' });
  throws(() => backward(y, { seed: y }), /scatter: gradients need the reduction 'none' or 'add', got 'max'/);
});

test.run();
