import { test } from 'uvu';
import { backward } from '../../engine/index.ts';
import { accumulate } from '../../engine/ops/broadcasting.ts';
import * as ops from '../../engine/ops/pointwise.ts';
import { size } from '../../engine/tensor/shape.ts';
import type { Tensor } from '../../engine/tensor/tensor.ts';
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
import { BINARY, binary, where as whereTwin } from '../reference/pointwise.ts';

const DIFFERENTIABLE: Readonly<Record<string, (a: Tensor, b: Tensor) => Tensor>> = {
  add: ops.add,
  sub: ops.sub,
  mul: ops.mul,
  div: ops.div,
  maximum: ops.maximum,
  minimum: ops.minimum,
};
const COMPARISONS = {
  greater: ops.greater,
  greaterEqual: ops.greaterEqual,
  less: ops.less,
  lessEqual: ops.lessEqual,
  equal: ops.equal,
};

// Shapes of a, b and the result.
const TABLE: [number[], number[], number[]][] = [
  [[], [], []],
  [[1], [1], [1]],
  [[67], [67], [67]],
  [[64], [64], [64]],
  [[5, 12], [12], [5, 12]],
  [[5, 13], [13], [5, 13]],
  [[12], [5, 12], [5, 12]],
  [
    [5, 12],
    [5, 1],
    [5, 12],
  ],
  [
    [5, 13],
    [5, 1],
    [5, 13],
  ],
  [[5, 12], [], [5, 12]],
  [[1], [5, 13], [5, 13]],
  [
    [7, 1],
    [1, 8],
    [7, 8],
  ],
  [
    [7, 1],
    [1, 3],
    [7, 3],
  ],
  [
    [2, 3, 4],
    [2, 1, 4],
    [2, 3, 4],
  ],
  [
    [2, 3, 5, 4],
    [3, 1, 4],
    [2, 3, 5, 4],
  ],
  [
    [2, 1, 3, 1],
    [1, 5, 1, 7],
    [2, 5, 3, 7],
  ],
  [
    [2, 1, 2, 1, 3],
    [1, 2, 1, 5, 1],
    [2, 2, 2, 5, 3],
  ],
  [[0, 4], [4], [0, 4]],
  [
    [3, 1],
    [1, 0],
    [3, 0],
  ],
];
for (const [a, b, shape] of TABLE)
  test(`pointwise: [${a}] with [${b}] broadcasts to [${shape}], values and gradients`, async () => {
    // Operands between 1 and 3 in magnitude, so that quotients have moderate derivatives.
    const away = (n: number, seed: number) =>
      random(n, seed).map((v) => Math.fround(Math.sign(v) * (1 + 2 * Math.abs(v))));
    const inputs = { a: { data: away(size(a), 1), shape: a }, b: { data: away(size(b), 2), shape: b } };
    for (const [name, op] of Object.entries(DIFFERENTIABLE))
      await checkGradients({
        inputs,
        op: (x) => op(x.a, x.b),
        twin: (x) => binary(BINARY[name], { data: x.a, shape: a }, { data: x.b, shape: b }, shape),
      });
  });

test('pointwise: comparisons give 1 and 0, also for equal numbers and both zeros', async () => {
  using scope = engine.scope();
  const a = [0, 1, 1, -2, 1e30, -1e30, 3];
  const b = [-0, 2, 1, -3, 1e30, 1e30, 3.0000002];
  for (const [name, op] of Object.entries(COMPARISONS)) {
    const y = op(tensor(new Float64Array(a), [7], { scope }), tensor(new Float64Array(b), [7], { scope }));
    compare(
      name,
      await y.data(),
      a.map((value, i) => BINARY[name](Math.fround(value), Math.fround(b[i]))),
      TOLERANCE.exact,
    );
  }
});

for (const [a, b, shape] of [
  [[1], [1], [1]],
  [[67], [67], [67]],
  [[5, 12], [12], [5, 12]],
  [
    [7, 1],
    [1, 8],
    [7, 8],
  ],
  [[0, 4], [4], [0, 4]],
])
  test(`pointwise: powers and remainders of [${a}] and [${b}], values and gradients`, async () => {
    const between = (n: number, seed: number, low: number, high: number) =>
      random(n, seed).map((v) => Math.fround(low + ((high - low) * (v + 1)) / 2));
    const check = (name: 'pow' | 'remainder', left: Float64Array, right: Float64Array, wrt: ('a' | 'b')[]) =>
      checkGradients<'a' | 'b'>({
        inputs: { a: { data: left, shape: a }, b: { data: right, shape: b } },
        wrt,
        op: (x) => (name === 'pow' ? ops.pow : ops.remainder)(x.a, x.b),
        twin: (x) => binary(BINARY[name], { data: x.a, shape: a }, { data: x.b, shape: b }, shape),
      });
    await check('pow', between(size(a), 1, 0.5, 2), between(size(b), 2, -3, 3), ['a', 'b']);
    const whole = Float64Array.from({ length: size(b) }, (_, i) => (i % 9) - 4);
    await check('pow', between(size(a), 3, -2, -0.5), whole, ['a']);
    // Quotients from 1.1 to 1.9 and back: never near a whole number.
    const dividends = Float64Array.from(
      { length: size(a) },
      (_, i) => (i % 2 === 0 ? 1 : -1) * (1 + (i % 5) / 16),
    );
    await check('remainder', dividends, between(size(b), 4, 0.7, 0.9), ['a', 'b']);
  });

test('pointwise: whole powers are exact, zero and negative bases included; far ones are finite or infinite', async () => {
  using scope = engine.scope();
  const a = [0, 0, 3, -3, -3, 7, 2, 2, -1, -1, 10];
  const b = [0, 5, 5, 3, 4, 6, -3, 64, 101, 100, 100];
  const y = ops.pow(
    tensor(new Float64Array(a), [11], { scope }),
    tensor(new Float64Array(b), [11], { scope }),
  );
  compare(
    'y',
    Array.from(await y.data()).slice(0, 10),
    a.slice(0, 10).map((base, i) => base ** b[i]),
    TOLERANCE.exact,
  );
  const [root] = await ops.pow(tensor([-2], [1], { scope }), tensor([0.5], [1], { scope })).data();
  compare('root of a negative number', [root], [Number.NaN]);
});

test('pointwise: integers, signed and unsigned, with and without vec4', async () => {
  using scope = engine.scope();
  for (const [dtype, make] of [
    ['i32', (v: number) => Math.trunc(100 * v) || 7],
    ['u32', (v: number) => Math.trunc(100 * Math.abs(v)) + 1],
  ] as const)
    for (const shape of [[67], [4, 12]]) {
      const [a, b] = [1, 2].map((seed) => random(size(shape), seed).map(make));
      const [left, right] = [a, b].map((data) => tensor(data, shape, { scope, dtype }));
      for (const [name, op] of Object.entries({
        ...COMPARISONS,
        ...DIFFERENTIABLE,
        remainder: ops.remainder,
      })) {
        if (name === 'sub' && dtype === 'u32') continue; // wraps around
        const y = op(left, right);
        const want = a.map((value, i) => Math.trunc(BINARY[name](value, b[i])));
        compare(`${name} ${dtype}`, await y.data(), want, TOLERANCE.exact);
        compare(`${name} gives ${y.dtype}`, [Number(y.dtype === (name in COMPARISONS ? 'f32' : dtype))], [1]);
      }
      const few = tensor(
        random(size(shape), 3).map((v) => Math.trunc(2 + 2 * v)),
        shape,
        { scope, dtype },
      );
      const exponents = await few.data();
      const want = a.map((value, i) => value ** exponents[i]);
      compare(`pow ${dtype}`, await ops.pow(left, few).data(), want, TOLERANCE.exact);
      const chosen = ops.where(ops.greater(left, right), left, right);
      compare(
        'where',
        await chosen.data(),
        a.map((value, i) => Math.max(value, b[i])),
        TOLERANCE.exact,
      );
    }
});

for (const [c, a, b, shape] of [
  [[8], [8], [8], [8]],
  [[5], [5], [5], [5]],
  [[3, 1], [3, 4], [4], [3, 4]],
  [[3, 5], [], [3, 5], [3, 5]],
  [[2, 1, 3, 1], [1, 2, 1, 4], [4], [2, 2, 3, 4]],
  [[2, 1, 2, 1, 3], [1, 2, 1, 5, 1], [], [2, 2, 2, 5, 3]],
] as number[][][])
  test(`pointwise: where [${c}] chooses between [${a}] and [${b}], values and gradients`, async () => {
    const condition = random(size(c), 3).map((value) => Number(value > 0));
    await checkGradients<'cond' | 'a' | 'b'>({
      inputs: {
        cond: { data: condition, shape: c },
        a: { data: random(size(a), 1), shape: a },
        b: { data: random(size(b), 2), shape: b },
      },
      wrt: ['a', 'b'],
      op: (x) => ops.where(x.cond, x.a, x.b),
      twin: (x) =>
        whereTwin({ data: x.cond, shape: c }, { data: x.a, shape: a }, { data: x.b, shape: b }, shape),
    });
  });

test('pointwise: an operand may be used twice', async () => {
  await checkGradients({
    inputs: { x: { data: random(12, 1), shape: [12] } },
    op: ({ x }) => ops.mul(x, x),
    twin: ({ x }) => x.map((value) => value * value),
  });
});

test('pointwise: with one operand that needs a gradient, only that one gets it', async () => {
  const data = random(12, 1).map((value) => Math.fround(2 + value));
  for (const [name, op] of Object.entries(DIFFERENTIABLE))
    for (const wrt of ['a', 'b'] as const)
      await checkGradients<'a' | 'b'>({
        inputs: {
          a: { data, shape: [3, 4] },
          b: { data: random(4, 2).map((value) => Math.fround(2 + value)), shape: [4] },
        },
        wrt: [wrt],
        op: ({ a, b }) => op(a, b),
        twin: ({ a, b }) => binary(BINARY[name], { data: a, shape: [3, 4] }, { data: b, shape: [4] }, [3, 4]),
      });
});

test('pointwise: values and gradients match PyTorch, ties included', async () => {
  for (const [name, vectors] of await torchCases('pointwise')) {
    using scope = engine.scope();
    const get = (key: string, requiresGrad = false) =>
      tensor(vectors.get(key)!.data, vectors.get(key)!.shape, { scope, requiresGrad });
    const a = get('a', true);
    const b = get('b', true);
    const y = DIFFERENTIABLE[name](a, b);
    compare(`${name} y`, await y.data(), vectors.get('y')!.data);
    backward(y, { seed: get('dy') });
    for (const [key, leaf] of Object.entries({ da: a, db: b })) {
      compare(`${name} ${key}`, await leaf.grad!.data(), vectors.get(key)!.data);
      leaf.grad!.dispose();
    }
  }
});

test('pointwise: accumulate writes into a tensor that exists', async () => {
  using scope = engine.scope();
  for (const n of [0, 1, 63, 64, 259]) {
    const [a, b] = [random(n, 1), random(n, 2)];
    const total = tensor(a, [n], { scope });
    accumulate(total, tensor(b, [n], { scope }));
    compare(
      'accumulate',
      await total.data(),
      a.map((value, i) => value + b[i]),
    );
  }
});

test('pointwise: a row bias on more workgroups than a grid dimension holds', async () => {
  using scope = engine.scope();
  const R = 65_537 * 13;
  const x = Float32Array.from({ length: R * 5 }, (_, i) => i);
  const y = await ops.add(tensor(x, [R, 5], { scope }), tensor([1, 2, 3, 4, 5], [5], { scope })).data();
  compare(
    'last row',
    y.subarray(-5),
    [1, 2, 3, 4, 5].map((c) => R * 5 - 6 + 2 * c),
    TOLERANCE.exact,
  );
});

test('pointwise: without a scope, only the result stays alive', () => {
  const a = tensor(random(12, 1), [2, 1, 2, 1, 3]);
  const b = tensor(random(10, 1), [1, 2, 1, 5, 1]);
  const before = engine.stats().liveTensors;
  for (const y of [ops.add(a, b), ops.where(a, b, a)]) y.dispose();
  compare('live tensors', [engine.stats().liveTensors], [before]);
  a.dispose();
  b.dispose();
});

test('pointwise: says what does not fit', () => {
  using scope = engine.scope();
  const a = tensor(random(6, 1), [2, 3], { scope });
  const b = tensor(random(4, 1), [4], { scope });
  throws(() => ops.add(a, b), /add: shapes must broadcast, got \[2, 3\] and \[4\]/);
  throws(() => ops.where(b, a, a), /where: shapes must broadcast/);
  throws(() => accumulate(a, b), /accumulate: shapes must be equal, got \[2, 3\] and \[4\]/);
  throws(() => ops.mul(a, tensor([1], [1], { scope, dtype: 'u32' })), /mul: b must be f32, got u32/);
});

test.run();
