import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type ActivationDType,
  add,
  attention,
  backward,
  checkpoint,
  gelu,
  layerNorm,
  linear,
  mul,
  type Scope,
  type Tensor,
  tidy,
  unpackHeads,
  withSavedActivations,
} from '../../engine/index.ts';
import { compare, engine, random, TOLERANCE, tensor, throws } from '../harness.ts';
import { fromBfloat, fromHalf, toBfloat, toHalf } from '../reference/cast.ts';
import { matmul } from '../reference/matmul.ts';

const ROUND = {
  f32: (value: number) => value,
  f16: (value: number) => fromHalf(toHalf(value)),
  bf16: (value: number) => fromBfloat(toBfloat(value)),
} as const;
const HALVES = ['f16', 'bf16'] as const;

/** M rows of K numbers, so many that they are packed. */
const [M, K, N] = [24, 40, 8];

function leaf(seed: number, shape: readonly number[], scope: Scope, scale = 1): Tensor<'f32'> {
  const size = shape.reduce((a, b) => a * b);
  const numbers = random(size, seed).map((value) => scale * value);
  return tensor(numbers, shape, { scope, requiresGrad: true });
}

/** Bytes that live tensors hold. */
const live = (): number => engine.stats().liveBytes;

for (const dtype of HALVES)
  test(`saved activations: in ${dtype} the gradient of a weight is made of the rounded factor, that of x is exact`, async () => {
    using scope = engine.scope();
    const x = leaf(1, [M, K], scope);
    const weight = leaf(2, [N, K], scope);
    const seed = random(M * N, 3);
    const y = withSavedActivations(dtype, () => tidy([x], (x) => linear(add(x, x), weight)));
    backward(y, { seed: tensor(seed, [M, N], { scope }) });
    const factor = random(M * K, 1).map((value) => ROUND[dtype](2 * value));
    const got = await weight.grad!.data();
    const [want] = [matmul(seed, factor, { M: N, N: K, K: M, transposeA: true })];
    compare('dweight', got, want);
    const exact = matmul(seed, random(N * K, 2), { M, N: K, K: N }).map((value) => 2 * value);
    compare('dx', await x.grad!.data(), exact);
    for (const { grad } of [x, weight]) grad!.dispose();
  });

test('saved activations: what several ops keep is stored once, in half the memory, and freed by backward', () => {
  using scope = engine.scope();
  const x = leaf(1, [M, K], scope);
  const [first, second] = [leaf(2, [N, K], scope), leaf(3, [N, K], scope)];
  const sizeBytes: Partial<Record<ActivationDType, number>> = {};
  for (const dtype of ['f32', ...HALVES] as const) {
    const before = live();
    const y = withSavedActivations(dtype, () =>
      tidy([x], (x) => {
        const shared = add(x, x);
        return add(linear(shared, first), linear(shared.reshape([1, M, K]), second).reshape([M, N]));
      }),
    );
    sizeBytes[dtype] = live() - before - y.sizeBytes;
    y.dispose();
    assert.is(live(), before, `${dtype}: an output that nobody reaches takes along what was saved`);
  }
  assert.equal(sizeBytes, { f32: 4 * M * K, f16: 2 * M * K, bf16: 2 * M * K });
});

test('saved activations: leaves, what the caller holds, and small tensors are kept as they are', async () => {
  using scope = engine.scope();
  const gradients = async (dtype: ActivationDType): Promise<ArrayLike<number>> => {
    const x = leaf(1, [M, K], scope);
    const weight = leaf(2, [N, K], scope);
    const held = add(x, x); // lives in the scope
    const before = live();
    const y = withSavedActivations(dtype, () => linear(held, weight));
    assert.is(live(), before + y.sizeBytes, 'no second copy');
    const small = withSavedActivations(dtype, () =>
      tidy([x], (x) => linear(add(x, x).reshape([M, K]), weight)),
    );
    small.dispose();
    backward(y, { seed: tensor(random(M * N, 3), [M, N], { scope }) });
    const bits = await weight.grad!.data();
    for (const { grad } of [x, weight]) grad!.dispose();
    return bits;
  };
  compare('dweight', await gradients('bf16'), await gradients('f32'), TOLERANCE.exact);
});

/** A block of a transformer over x [1, M, K], with everything it has. */
function block(scope: Scope) {
  const parameters = [[K], [K], [3 * K, K], [K, K], [2 * K, K], [K, 2 * K]].map((shape, i) =>
    leaf(10 + i, shape, scope, 0.3),
  );
  const [gamma, beta, qkv, proj, up, down] = parameters;
  const forward = (x: Tensor<'f32'>): Tensor<'f32'> =>
    tidy([x], (x) => {
      const packed = linear(layerNorm(x, gamma, beta), qkv);
      const [q, k, v] = unpackHeads(packed, { parts: 3, heads: 5 });
      const mixed = linear(attention(q, k, v).reshape(x.shape), proj, { residual: x });
      const hidden = gelu(linear(mixed, up, { gelu: 'tanh' }));
      return linear(mul(hidden, hidden), down, { residual: mixed });
    });
  return { parameters, forward };
}

/** Output and gradients of two blocks on x, and bytes kept between forward and backward. */
async function pass(dtype: ActivationDType, checkpointed = false) {
  using scope = engine.scope();
  const x = leaf(1, [1, M, K], scope);
  const blocks = [block(scope), block(scope)];
  const seed = tensor(random(M * K, 5), [1, M, K], { scope });
  const before = live();
  const y = withSavedActivations(dtype, () =>
    tidy([x], (x) => {
      let next = x;
      for (const { forward } of blocks) next = checkpointed ? checkpoint(forward, next) : forward(next);
      return next;
    }),
  );
  const keptBytes = live() - before - y.sizeBytes;
  backward(y, { seed });
  assert.is(
    engine.stats().liveBytes - before - y.sizeBytes,
    4 * (M * K + 2 * sizeOf(blocks[0].parameters)),
    'all is freed',
  );
  const leaves = [x, ...blocks.flatMap(({ parameters }) => parameters)];
  const gradients = await Promise.all(leaves.map(({ grad }) => grad!.data()));
  const result = { y: await y.data(), gradients, keptBytes };
  for (const { grad } of leaves) grad!.dispose();
  return result;
}

const sizeOf = (tensors: readonly Tensor[]): number =>
  tensors.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) / 4;

for (const checkpointed of [false, true])
  test(`saved activations: a block${checkpointed ? ' that runs again' : ''} gives the same result and gradients to the rounding of its factors`, async () => {
    const exact = await pass('f32', checkpointed);
    for (const dtype of HALVES) {
      const half = await pass(dtype, checkpointed);
      compare('y', half.y, exact.y, TOLERANCE.exact);
      // A gradient is a sum of products of several rounded factors.
      const rel = 6 * TOLERANCE[dtype].rel;
      for (const [i, want] of exact.gradients.entries())
        compare(`gradient ${i} in ${dtype}`, half.gradients[i], want, { abs: 0, rel });
      assert.ok(
        half.gradients.some((gradient, i) => gradient.some((value, at) => value !== exact.gradients[i][at])),
        'something was rounded',
      );
      assert.ok(half.keptBytes < 0.56 * exact.keptBytes, `${half.keptBytes} of ${exact.keptBytes} bytes`);
    }
  });

test('saved activations: f16 saturates, bf16 keeps the range of f32, NaN stays NaN', async () => {
  for (const [dtype, want] of [
    ['f16', [65504, -65504, 2 ** -24, Number.NaN]],
    ['bf16', [2 ** 40, -(2 ** 100), 2 ** -24, Number.NaN]],
  ] as const) {
    using scope = engine.scope();
    const values = new Float32Array(512).fill(1);
    values.set([2 ** 40, -(2 ** 100), 2 ** -24, Number.NaN]);
    const x = tensor(values, [512], { scope });
    const y = tensor(new Float32Array(512), [512], { scope, requiresGrad: true });
    const product = withSavedActivations(dtype, () => tidy([x, y], (x, y) => mul(mul(x, 1), y)));
    backward(product, { seed: tensor(new Float32Array(512).fill(1), [512], { scope }) });
    assert.equal([...(await y.grad!.data()).subarray(0, 5)], [...want, 1], dtype);
    y.grad!.dispose();
  }
});

test('saved activations: f32 within another setting, and what is refused', () => {
  using scope = engine.scope();
  const x = leaf(1, [M, K], scope);
  const weight = leaf(2, [N, K], scope);
  const before = live();
  using y = withSavedActivations('f16', () =>
    withSavedActivations('f32', () => tidy([x], (x) => linear(add(x, x), weight))),
  );
  assert.is(live() - before - y.sizeBytes, 4 * M * K);
  throws(
    () => withSavedActivations('f64' as 'f32', () => undefined),
    /^withSavedActivations: the dtype must be f32, f16 or bf16, got f64/,
  );
  throws(
    () => withSavedActivations('f16', async () => undefined),
    /^withSavedActivations: the function must be synchronous, got a promise/,
  );
});

test.run();
