// Where functions end, jump, saturate, or meet NaN and infinities: values and gradients as PyTorch has them.
import { test } from 'uvu';
import * as ops from '../../engine/index.ts';
import type { Tensor } from '../../engine/tensor/tensor.ts';
import { compare, engine, TOLERANCE, tensor, torchCases, type Vector, withGpuPlans } from '../harness.ts';

type Op = (...inputs: Tensor[]) => Tensor;

const along1 = [1];
const OPS: Readonly<Record<string, Op>> = {
  ...{ neg: ops.neg, abs: ops.abs, exp: ops.exp, log: ops.log, sqrt: ops.sqrt, rsqrt: ops.rsqrt },
  ...{ square: ops.square, reciprocal: ops.reciprocal, sigmoid: ops.sigmoid, tanh: ops.tanh, relu: ops.relu },
  ...{ erf: ops.erf, sin: ops.sin, cos: ops.cos, floor: ops.floor, ceil: ops.ceil, round: ops.round },
  ...{ softplus: ops.softplus, add: ops.add, sub: ops.sub, mul: ops.mul, div: ops.div, pow: ops.pow },
  ...{ maximum: ops.maximum, minimum: ops.minimum, remainder: ops.remainder },
  clamp: (x) => ops.clamp(x, -1, 1.5),
  gelu: (x) => ops.gelu(x),
  where: (cond, a, b) => ops.where(cond, a, b),
  max: (x) => ops.max(x, { axis: along1 }),
  min: (x) => ops.min(x, { axis: along1 }),
  prod: (x) => ops.prod(x, { axis: along1 }),
  sum: (x) => ops.sum(x, { axis: along1 }),
  mean: (x) => ops.mean(x, { axis: along1 }),
  softmax: (x) => ops.softmax(x),
  logSoftmax: (x) => ops.logSoftmax(x),
  l2Normalize: (x) => ops.l2Normalize(x),
  binaryCrossEntropy: (p, t) => ops.binaryCrossEntropy(p, t),
  layerNorm: (x, gamma, beta) => ops.layerNorm(x, gamma, beta),
  adaptiveMaxPool: (x) => ops.adaptiveMaxPool(x, [5, 6], [3, 4]),
  'resize nearest': (x) => ops.resize(x, [4, 9], 'nearest'),
  'resize area': (x) => ops.resize(x, [4, 9], 'area'),
  'resize bicubic': (x) => ops.resize(x, [4, 9], 'bicubic'),
  cosineMap: (features, query) => ops.cosineMap(features, query),
  diceLoss: (p, t) => ops.diceLoss(p, t),
  sigmoidContrastive: (u, v, scale, bias) => ops.sigmoidContrastive(u, v, scale, bias),
  attention: (q, k, v) => ops.attention(q, k, v),
};

const splitKv: Op = (q, k, v) => ops.attention(q, k, v, { force: 'split_kv' });
const composed: Op = (q, k, v) => ops.attentionWithScores(q, k, v).out;

/** The first place where two lists differ: NaN equals NaN, infinities themselves, numbers as far as f32 goes. */
function difference(got: ArrayLike<number>, want: ArrayLike<number>): number {
  return Array.from(want).findIndex((value, i) => {
    if (Object.is(got[i], value) || got[i] === value) return false;
    return !(Math.abs(got[i] - value) <= 1e-6 + 1e-5 * Math.abs(value)) || !Number.isFinite(value);
  });
}

const cases = await torchCases('edges');

/** Families whose kernels a GPU's plans choose. */
const PLANNED = /^(max|min|sum|softmax|logSoftmax|l2Normalize|layerNorm|cosineMap|attention)\b/;

/** Has one case computed by an op, and compares. */
function testCase(name: string, vectors: Map<string, Vector>, op: Op, way = ''): void {
  const check = async () => {
    using scope = engine.scope();
    const { data: y, shape } = vectors.get('y')!;
    const names = [...vectors.keys()].filter((key) => !/^d?y$|^d/.test(key));
    const inputs = names.map((key) => {
      const vector = vectors.get(key)!;
      return tensor(vector.data, vector.shape, { scope, requiresGrad: vectors.has(`d${key}`) });
    });
    const say = (i: number) => names.map((key) => `${key} ${vectors.get(key)!.data[i]}`).join(', ');
    const same = (what: string, got: ArrayLike<number>, { data }: Vector) => {
      const i = difference(got, data);
      if (i >= 0) throw new Error(`${what}[${i}] of ${say(i)}: got ${got[i]}, want ${data[i]}`);
    };
    const result = op(...inputs);
    same('y', await result.data(), { data: y, shape });
    const dy = vectors.get('dy');
    if (dy) ops.backward(result, { seed: tensor(dy.data, shape, { scope }) });
    for (const [k, key] of names.entries()) {
      const want = vectors.get(`d${key}`);
      if (!want) continue;
      same(`d${key}`, await inputs[k].grad!.data(), want);
      inputs[k].grad!.dispose();
    }
  };
  test(`edges: ${name} and its gradients are PyTorch's${way}`, check);
  if (PLANNED.test(name))
    test(`edges: ${name} and its gradients are PyTorch's${way}, with a GPU's plans`, () =>
      withGpuPlans(check));
}

for (const [name, vectors] of cases) {
  const family = name.split(' ')[0];
  const op = OPS[name] ?? OPS[family];
  if (op) testCase(name, vectors, op);
  if (family !== 'attention') continue;
  testCase(name, vectors, splitKv, ' by split-KV');
  testCase(name, vectors, composed, ' by products and a softmax');
}

for (const [name, reduction] of Object.entries({
  scatterMax: 'max',
  scatterMin: 'min',
  scatterMul: 'mul',
} as const)) {
  const check = async () => {
    using scope = engine.scope();
    const { x, indices, updates, y } = Object.fromEntries(cases.get(name)!);
    const got = ops.scatter(
      tensor(x.data, x.shape, { scope }),
      tensor(Int32Array.from(indices.data), indices.shape, { scope }),
      tensor(updates.data, updates.shape, { scope }),
      { axis: 1, reduction },
    );
    const i = difference(await got.data(), y.data);
    if (i >= 0) throw new Error(`${name}[${i}]: got ${(await got.data())[i]}, want ${y.data[i]}`);
  };
  test(`edges: scatter by ${reduction} is PyTorch's`, check);
  test(`edges: scatter by ${reduction} is PyTorch's, with a GPU's plans`, () => withGpuPlans(check));
}

test('edges: a query from which all keys are hidden attends to all alike, in values and gradients', async () => {
  using scope = engine.scope();
  const hidden = -Infinity;
  const mask = tensor([0, hidden, 0, hidden, hidden, hidden], [2, 3], { scope });
  const [q, k] = [
    [0.5, -1],
    [1, 2, 3],
  ].map((data) => tensor(data, [1, data.length, 1, 1], { scope }));
  const v = tensor([10, 20, 60], [1, 3, 1, 1], { scope, requiresGrad: true });
  const out = ops.attention(q, k, v, { mask });
  // The first query weighs keys 0 and 2 by e^0.5 and e^1.5.
  const third = 1 / (1 + Math.exp(-1));
  compare('out', await out.data(), [10 + 50 * third, 30]);
  ops.backward(ops.sum(out));
  compare('dv', await v.grad!.data(), [1 - third + 1 / 3, 1 / 3, third + 1 / 3]);
  v.grad!.dispose();
});

test('edges: a NaN in an image stays in the patch that it is in', async () => {
  using scope = engine.scope();
  const pixels = Float32Array.from({ length: 3 * 4 * 6 }, (_, i) => i);
  pixels[7] = Number.NaN; // channel 0, row 1, column 1
  pixels[24 + 23] = Infinity; // channel 1, the last pixel
  const patches = await ops.patchify(tensor(pixels, [1, 3, 4, 6], { scope }), 2).data();
  // A patch is 12 numbers, channel by channel; 6 patches.
  const lost = [...patches].flatMap((value, i) => (Number.isFinite(value) ? [] : [[i, value]]));
  const at = [3, 5 * 12 + 7];
  if (`${lost}` !== `${at[0]},NaN,${at[1]},Infinity`) throw new Error(`not finite: ${lost}`);
});

test('edges: a NaN is the largest of a row, whatever its sign bit, and the first one wins', async () => {
  using scope = engine.scope();
  const { data, shape } = cases.get('argMax')!.get('x')!;
  const bits = new Uint32Array(data.slice().buffer);
  for (const negative of [false, true]) {
    const some = bits.map((b) => ((b & 0x7fffffff) > 0x7f800000 && negative ? b | 0x80000000 : b));
    const x = tensor(new Float32Array(some.buffer), shape, { scope });
    compare(
      'argMax',
      await ops.argMax(x, { axis: 1 }).data(),
      cases.get('argMax')!.get('y')!.data,
      TOLERANCE.exact,
    );
    const { values, indices } = ops.topK(x, shape[1]);
    const i = difference(await values.data(), cases.get('topK')!.get('values')!.data);
    if (i >= 0) throw new Error(`topK[${i}]: got ${(await values.data())[i]}`);
    compare('first of the NaN', (await indices.data()).slice(0, 1), [1], TOLERANCE.exact);
  }
});

test.run();
