import { test } from 'uvu';
import { backward } from '../../engine/index.ts';
import * as ops from '../../engine/ops/unary/unary.ts';
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
import { affine as affineTwin, clamp as clampTwin, UNARY } from '../reference/unary.ts';

const OPS: Readonly<Record<string, (x: Tensor) => Tensor>> = {
  neg: ops.neg,
  abs: ops.abs,
  exp: ops.exp,
  log: ops.log,
  sqrt: ops.sqrt,
  rsqrt: ops.rsqrt,
  square: ops.square,
  reciprocal: ops.reciprocal,
  sigmoid: ops.sigmoid,
  tanh: ops.tanh,
  relu: ops.relu,
  softplus: ops.softplus,
  erf: ops.erf,
  sin: ops.sin,
  cos: ops.cos,
  floor: ops.floor,
  ceil: ops.ceil,
  round: ops.round,
  sign: ops.sign,
};
const POSITIVE = new Set(['log', 'sqrt', 'rsqrt', 'reciprocal']);

for (const [name, twin] of Object.entries(UNARY))
  test(`unary: ${name} and its gradient match the twin, with and without vec4`, async () => {
    for (const n of [1, 63, 64, 260, 1031])
      await checkGradients({
        inputs: {
          x: {
            data: random(n, n).map((v) =>
              Math.fround(POSITIVE.has(name) ? 1.2 + v : 3 * v + 0.01 * Math.sign(v)),
            ),
            shape: [n],
          },
        },
        op: ({ x }) => OPS[name](x),
        twin: ({ x }) => x.map(twin),
      });
  });

test('unary: affine and clamp match their twins', async () => {
  for (const n of [1, 64, 67]) {
    const inputs = { x: { data: random(n, 3), shape: [n] } };
    await checkGradients({
      inputs,
      op: ({ x }) => ops.affine(x, -2, 0.5),
      twin: ({ x }) => affineTwin(x, -2, 0.5),
    });
    await checkGradients({
      inputs,
      op: ({ x }) => ops.clamp(x, -0.5, 0.25),
      twin: ({ x }) => clampTwin(x, -0.5, 0.25),
    });
  }
});

test('unary: values and gradients match PyTorch', async () => {
  const all = {
    ...OPS,
    affine: (x: Tensor) => ops.affine(x, 1.5, -0.25),
    clamp: (x: Tensor) => ops.clamp(x, -1, 2),
  };
  for (const [name, vectors] of await torchCases('unary')) {
    using scope = engine.scope();
    const { data, shape } = vectors.get('x')!;
    const x = tensor(data, shape, { scope, requiresGrad: true });
    const y = all[name as keyof typeof all](x);
    compare(`${name} y`, await y.data(), vectors.get('y')!.data);
    backward(y, { seed: tensor(vectors.get('dy')!.data, shape, { scope }) });
    compare(`${name} dx`, await x.grad!.data(), vectors.get('dx')!.data, TOLERANCE.grad);
    x.grad!.dispose();
  }
});

test('unary: sigmoid, tanh, softplus and relu stay finite for arguments up to 1e30', async () => {
  using scope = engine.scope();
  const values = [-1e30, -1000, -89, -0, 0, 89, 1000, 1e30];
  const x = tensor(new Float64Array(values), [8], { scope });
  for (const name of ['sigmoid', 'tanh', 'softplus', 'relu'])
    compare(name, await OPS[name](x).data(), values.map(UNARY[name]));
});

test('unary: softplus keeps its relative accuracy where e^x is small', async () => {
  using scope = engine.scope();
  const values = [-3.9, -3.95, -6, -12, -20, -40];
  const y = await ops.softplus(tensor(new Float64Array(values), [6], { scope })).data();
  compare(
    'ratio',
    values.map((v, i) => y[i] / UNARY.softplus(v)),
    values.map(() => 1),
    { abs: 3e-5, rel: 0 },
  );
});

test('unary: halves are rounded to the even neighbour, whole numbers and zeros stay', async () => {
  using scope = engine.scope();
  const values = [
    -2.5,
    -1.5,
    -0.5,
    -0.4,
    0,
    0.5,
    1.5,
    2.5,
    2.6,
    1e9,
    -7,
    8388606.5,
    8388607.5,
    -8388609,
    2 ** 31,
    2 ** 100,
  ];
  const x = tensor(new Float64Array(values), [values.length], { scope });
  for (const name of ['round', 'floor', 'ceil', 'sign'])
    compare(name, await OPS[name](x).data(), values.map(UNARY[name]), TOLERANCE.exact);
});

test('unary: sine and cosine of a thousand turns', async () => {
  using scope = engine.scope();
  const values = random(1000, 5).map((v) => Math.fround(6283 * v));
  const x = tensor(values, [1000], { scope });
  for (const name of ['sin', 'cos']) compare(name, await OPS[name](x).data(), values.map(UNARY[name]));
});

test('unary: sine and cosine of angles of every exponent, and where 2/pi takes most digits', async () => {
  using scope = engine.scope();
  // The last two come closest to a multiple of pi / 2 among all f32.
  const edges = [
    8191.9995,
    8192.001,
    140000.5,
    1e5,
    1e10,
    1e22,
    3.4e38,
    16367173 * 2 ** 72,
    16367173 * 2 ** 73,
  ];
  const bits = Uint32Array.from(
    random(4000, 9),
    (v, i) => 0x46000000 + ((v + 1) / 2) * 0x397fffff + (i % 2) * 2 ** 31,
  );
  const values = [...edges, ...edges.map((v) => -v), ...new Float32Array(bits.buffer)].map(Math.fround);
  const x = tensor(new Float64Array(values), [values.length], { scope });
  for (const name of ['sin', 'cos'])
    compare(name, await OPS[name](x).data(), values.map(UNARY[name]), { abs: 1.3e-7, rel: 0 });
});

test('unary: no element, and more workgroups than a grid dimension holds', async () => {
  using scope = engine.scope();
  compare('empty', await ops.exp(tensor(new Float64Array(0), [0, 3], { scope })).data(), []);
  const n = 65_536 * 64 + 1;
  const x = tensor(
    Float32Array.from({ length: n }, (_, i) => i % 1000),
    [n],
    { scope },
  );
  const y = await ops.neg(x).data();
  compare(
    'last elements',
    y.subarray(n - 3),
    [n - 3, n - 2, n - 1].map((i) => -(i % 1000)),
  );
});

test('unary: neg and affine keep nothing for the backward pass, exp its result', () => {
  using scope = engine.scope();
  const x = tensor(random(4, 1), [4], { scope, requiresGrad: true });
  const made = (op: (x: Tensor) => Tensor) => {
    const before = engine.stats().liveTensors;
    op(x);
    return engine.stats().liveTensors - before;
  };
  compare('handles', [made(ops.neg), made((t) => ops.affine(t, 2, 1)), made(ops.exp)], [1, 1, 2]);
});

test('unary: says what is wrong with bounds and dtypes', () => {
  using scope = engine.scope();
  const x = tensor(random(4, 1), [4], { scope });
  throws(() => ops.clamp(x, 2, 1), /clamp: low and high must be numbers, low not above, got 2 and 1\./);
  throws(
    () => ops.exp(tensor([1, 2], [2], { scope, dtype: 'i32' })),
    /exp: x must be f32, got i32\. Use cast\(\)\./,
  );
});

test.run();
