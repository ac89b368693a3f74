import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { backward, type DType } from '../../engine/index.ts';
import { argMax } from '../../engine/ops/arg_max.ts';
import { broadcastTo, max, mean, min, prod, squaredNorm, sum, sumTo } from '../../engine/ops/reduce.ts';
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
} from '../harness.ts';
import * as twin from '../reference/reduce.ts';

const CASES: [shape: number[], axes: number[]][] = [
  [[1], [0]],
  [[5, 1], [1]],
  [[3, 31], [1]],
  [[3, 33], [1]],
  [[2, 64], [1]],
  [[2, 65], [1]],
  [[67], [0]],
  [[20_003], [0]],
  [[2, 16_392], [1]],
  [[131, 7], [0]],
  [[131, 8], [0]],
  [[3, 41, 5], [1]],
  [[3, 41, 8], [1]],
  [
    [3, 41, 5],
    [0, 2],
  ],
  [
    [2, 3, 4, 5],
    [1, 3],
  ],
  [
    [2, 3, 4, 5],
    [0, 1, 2, 3],
  ],
  [[2, 1, 4, 1], [1]],
  [
    [4, 1, 6],
    [0, 2],
  ],
];
for (const [shape, axes] of CASES)
  test(`reduce: sum, mean and max of [${shape}] over [${axes}], with gradients, match the twins`, async () => {
    const inputs = { x: { data: random(size(shape), 1), shape } };
    await checkGradients({
      inputs,
      op: ({ x }) => sum(x, { axis: axes }),
      twin: ({ x }) => twin.sum(x, shape, axes),
    });
    await checkGradients({
      inputs,
      op: ({ x }) => mean(x, { axis: axes }),
      twin: ({ x }) => twin.mean(x, shape, axes),
    });
    await checkGradients({
      inputs,
      op: ({ x }) => max(x, { axis: axes }),
      twin: ({ x }) => twin.max(x, shape, axes),
    });
  });

for (const [shape, axes] of CASES)
  test(`reduce: minimum, product and arg max of [${shape}] over [${axes}] match the twins`, async () => {
    const inputs = { x: { data: random(size(shape), 2), shape } };
    await checkGradients({
      inputs,
      op: ({ x }) => min(x, { axis: axes }),
      twin: ({ x }) => twin.min(x, shape, axes),
    });
    // Signs and a few powers of two: no product rounds, so that the order of 20,003 factors does not matter.
    const factors = random(size(shape), 3).map((v) =>
      Math.abs(v) < 1 / 32 ? 2 * Math.sign(v) : Math.abs(v) < 1 / 16 ? Math.sign(v) / 2 : Math.sign(v),
    );
    await checkGradients({
      inputs: { x: { data: factors, shape } },
      op: ({ x }) => prod(x, { axis: axes }),
      twin: ({ x }) => twin.prod(x, shape, axes),
    });
    using scope = engine.scope();
    const coarse = random(size(shape), 4).map((v) => Math.round(2 * v)); // with ties
    for (const dtype of ['f32', 'i32'] as const)
      for (const last of [false, true]) {
        const x = tensor(coarse, shape, { scope, dtype });
        const want = twin.argMax(coarse, shape, axes[0], last);
        compare('arg max', await argMax(x, { axis: axes[0], last }).data(), want, TOLERANCE.exact);
      }
  });

test('reduce: the gradient of a product needs no division, so factors of zero have theirs', async () => {
  for (const factors of [
    [2, 0, 3, 4],
    [2, 0, 3, 0],
    [5, -1, 0.5, 2],
  ])
    await checkGradients({
      inputs: { x: { data: new Float64Array(factors), shape: [4] } },
      op: ({ x }) => prod(x),
      twin: ({ x }) => twin.prod(x, [4], [0]),
    });
});

test('reduce: integers, signed and unsigned', async () => {
  using scope = engine.scope();
  const shape = [3, 41, 8];
  const data = random(size(shape), 5).map((v) => Math.trunc(3 * v) + 3);
  for (const dtype of ['i32', 'u32'] as const)
    for (const axes of [[1], [2], [0, 2]]) {
      const x = tensor(data, shape, { scope, dtype });
      for (const [op, want] of [
        [sum, twin.sum],
        [max, twin.max],
        [min, twin.min],
      ] as const)
        compare(
          `${op.name} ${dtype}`,
          await op(x, { axis: axes }).data(),
          want(data, shape, axes),
          TOLERANCE.exact,
        );
    }
});

test('reduce: one axis is the list of it, and argMax without an axis goes over all elements', async () => {
  using scope = engine.scope();
  const shape = [3, 4, 5];
  const x = tensor(random(60, 3), shape, { scope });
  for (const op of [sum, mean, max, min, prod])
    for (const axis of [0, 2, -2]) {
      const one = op(x, { axis, keepDims: true });
      assert.equal(one.shape, shape.with(axis, 1));
      compare(
        op.name,
        await one.data(),
        await op(x, { axis: [axis], keepDims: true }).data(),
        TOLERANCE.exact,
      );
    }
  const flat = Array.from(random(60, 3), Math.fround);
  const best = flat.indexOf(Math.max(...flat));
  const found = argMax(x);
  assert.equal([found.shape, Array.from(await found.data())], [[], [best]]);
  assert.equal(argMax(x, { keepDims: true }).shape, [1, 1, 1]);
});

test('reduce: extrema and products of nothing are neutral', async () => {
  using scope = engine.scope();
  const none = (dtype: DType) => engine.empty([2, 0, 3], { dtype, scope });
  const want: [typeof max, number, number, number][] = [
    [max, -Infinity, -(2 ** 31), 0],
    [min, Infinity, 2 ** 31 - 1, 2 ** 32 - 1],
    [prod, 1, 1, 1],
    [sum, 0, 0, 0],
  ];
  for (const [op, ...neutral] of want)
    for (const [k, dtype] of (['f32', 'i32', 'u32'] as const).entries()) {
      const y = Array.from(await op(none(dtype), { axis: 1 }).data());
      assert.equal(y, new Array(6).fill(neutral[k]), `${op.name} ${dtype}`);
    }
});

test('reduce: shapes with and without keepDims, negative axes, no axes', () => {
  using scope = engine.scope();
  const x = tensor(random(24, 1), [2, 3, 4], { scope });
  compare('plain', sum(x, { axis: 1 }).shape, [2, 4]);
  compare('kept', max(x, { axis: [-1, 0], keepDims: true }).shape, [1, 3, 1]);
  compare('all', mean(x).shape, []);
  compare('none', sum(x, { axis: [] }).shape, [2, 3, 4]);
});

test('reduce: sums of nothing are zero, and nothing has sums of shape zero', async () => {
  using scope = engine.scope();
  const x = tensor(new Float64Array(0), [0, 3], { scope });
  compare('over the empty axis', await sum(x, { axis: 0 }).data(), [0, 0, 0]);
  compare('over the other', await sum(x, { axis: 1 }).data(), []);
  compare('max over the other', await max(x, { axis: 1 }).data(), []);
});

test('reduce: more rows than a grid dimension holds, short and long ones', async () => {
  using scope = engine.scope();
  for (const C of [3, 40]) {
    const shape = [65_541, C];
    const x = random(size(shape), C);
    const y = await sum(tensor(x, shape, { scope }), { axis: 1 }).data();
    compare(`rows of ${C}`, y, twin.sum(x, shape, [1]));
  }
});

test('reduce: max of values far below any mask', async () => {
  using scope = engine.scope();
  const x = tensor(new Float64Array(70).fill(-3.4e38), [2, 35], { scope });
  compare('y', await max(x, { axis: 1 }).data(), new Float32Array([-3.4e38, -3.4e38]), TOLERANCE.exact);
});

test('reduce: equal runs give equal bits', async () => {
  using scope = engine.scope();
  const x = tensor(random(50_021, 9), [50_021], { scope });
  const first = await sum(x).data();
  compare('second run', await sum(x).data(), first, TOLERANCE.exact);
});

for (const [from, to] of [
  [[], [3]],
  [[1], [5, 3]],
  [[3], [5, 3]],
  [
    [5, 1],
    [5, 3],
  ],
  [
    [1, 7, 1],
    [2, 7, 4],
  ],
  [
    [2, 1, 4],
    [3, 2, 5, 4],
  ],
] as [number[], number[]][])
  test(`reduce: broadcastTo and sumTo between [${from}] and [${to}] are each other's gradient`, async () => {
    const small = { x: { data: random(size(from), 1), shape: from } };
    const large = { x: { data: random(size(to), 2), shape: to } };
    const aligned = [...new Array<number>(to.length - from.length).fill(1), ...from];
    const axes = aligned.flatMap((extent, d) => (extent === 1 && to[d] !== 1 ? [d] : []));
    await checkGradients({
      inputs: small,
      op: ({ x }) => broadcastTo(x, to),
      twin: ({ x }) => twin.broadcastTo(x, from, to),
    });
    await checkGradients({
      inputs: large,
      op: ({ x }) => sumTo(x, from),
      twin: ({ x }) => twin.sum(x, to, axes),
    });
  });

test('reduce: squaredNorm runs over several tensors of any length', async () => {
  using scope = engine.scope();
  const arrays = [1, 63, 64, 30_011, 0, 40_960].map((n) => random(n, n));
  const y = squaredNorm(arrays.map((x) => tensor(x, [x.length], { scope })));
  compare('shape', y.shape, [1]);
  compare('y', await y.data(), [twin.squaredNorm(arrays)]);
  compare('nothing', await squaredNorm([tensor(new Float64Array(0), [0], { scope })]).data(), [0]);
});

test('reduce: results match PyTorch, and a tie sends the gradient to the first maximum', async () => {
  for (const [name, vectors] of await torchCases('reduce')) {
    using scope = engine.scope();
    const { data, shape } = vectors.get('x')!;
    const x = tensor(data, shape, { scope, requiresGrad: name === 'ties' });
    if (name === 'ties') {
      backward(max(x, { axis: 1 }), { seed: tensor(vectors.get('dy')!.data, [3], { scope }) });
      compare('dx', await x.grad!.data(), vectors.get('dx')!.data, TOLERANCE.exact);
      x.grad!.dispose();
      continue;
    }
    const axes = Array.from(vectors.get('axes')!.data);
    for (const [key, op] of Object.entries({ sum, mean, max, min }))
      compare(`${name} ${key}`, await op(x, { axis: axes }).data(), vectors.get(key)!.data);
  }
});

test('reduce: without a scope, only the result stays alive', () => {
  const x = tensor(random(24, 1), [2, 3, 4]);
  const before = engine.stats().liveTensors;
  for (const y of [
    sum(x, { axis: [0, 2] }),
    mean(x, { axis: 1 }),
    max(x, { axis: [0, 2] }),
    prod(x, { axis: 1 }),
    argMax(x, { axis: 1 }),
    sumTo(x, [1, 3, 1]),
    squaredNorm([x]),
  ])
    y.dispose();
  compare('live tensors', [engine.stats().liveTensors], [before]);
  x.dispose();
});

test('reduce: says what does not fit', () => {
  using scope = engine.scope();
  const x = tensor(random(6, 1), [2, 3], { scope });
  throws(() => sum(x, { axis: [0, -2] }), /sum: an axis may be named once, got \[0, 0\]\./);
  throws(
    () => argMax(tensor([], [0, 2], { scope }), { axis: 0 }),
    /argMax: there must be an element to compare, got x \[0, 2\]/,
  );
  throws(() => mean(tensor([], [0], { scope })), /mean: there must be an element to average, got x \[0\]/);
  throws(() => sumTo(x, [2]), /sumTo: the shape must broadcast to x's, got \[2\] and x \[2, 3\]/);
  throws(
    () => broadcastTo(x, [3]),
    /broadcastTo: x's shape must broadcast to the shape, got x \[2, 3\] and \[3\]/,
  );
  throws(() => squaredNorm([]), /squaredNorm: there must be a tensor, got none/);
});

test('reduce: sums of a million equal numbers are good to 1e-6', async () => {
  using scope = engine.scope();
  const [x, columns] = [[1_000_000], [250_000, 4]].map((shape) => engine.full(shape, 0.1, { scope }));
  const near = { abs: 0, rel: 1.5e-6 };
  compare('rows', await sum(x).data(), [1e6 * Math.fround(0.1)], near);
  compare('mean', await mean(x).data(), [Math.fround(0.1)], near);
  compare('squares', await squaredNorm([x]).data(), [1e6 * Math.fround(0.1) ** 2], near);
  const total = 250_000 * Math.fround(0.1);
  compare('columns', await sum(columns, { axis: 0 }).data(), [total, total, total, total], near);
});

test.run();
