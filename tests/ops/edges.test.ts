// Where functions end, jump, saturate, or meet NaN and infinities: values and gradients as PyTorch has them.
import { test } from 'uvu';
import * as ops from '../../engine/index.ts';
import type { Tensor } from '../../engine/tensor/tensor.ts';
import { compare, engine, TOLERANCE, tensor, torchCases, type Vector } from '../harness.ts';

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
};

/** The first place where two lists differ: NaN equals NaN, infinities themselves, numbers as far as f32 goes. */
function difference(got: ArrayLike<number>, want: ArrayLike<number>): number {
  return Array.from(want).findIndex((value, i) => {
    if (Object.is(got[i], value) || got[i] === value) return false;
    return !(Math.abs(got[i] - value) <= 1e-6 + 1e-5 * Math.abs(value)) || !Number.isFinite(value);
  });
}

const cases = await torchCases('edges');

for (const [name, vectors] of cases) {
  const op = OPS[name.split(' ')[0]];
  if (!op) continue;
  test(`edges: ${name} and its gradients are PyTorch's`, async () => {
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
  });
}

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
