// Products of operands in f16, forward and backward: what training on matrix units computes.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  AdamW,
  backward,
  checkpoint,
  linear,
  matmul,
  ParameterStore,
  type Tensor,
  tidy,
  withProducts,
} from '../../engine/index.ts';
import { planMatmul } from '../../engine/ops/matmul/plan.ts';
import { compare, engine, random, TOLERANCE, tensor, throws, withTarget } from '../harness.ts';
import { fromHalf, toHalf } from '../reference/cast.ts';
import { linear as linearTwin, type Product, matmul as twin } from '../reference/matmul.ts';
import { withMatrixUnit } from '../shaders/subgroup_matrix.ts';

/** The device's own units, where it has some. */
const unit = engine.target.matrixUnit ?? { M: 16, N: 16, K: 16 };
const onUnits = <T>(fn: () => T): T => withMatrixUnit(engine, unit, fn);
const half = (value: number): number => fromHalf(toHalf(value));

/** What f16 changes of a number at most: half an ulp of 11 bits, and of a subnormal half of 2^-24. */
const change = (value: number): number => Math.max(2 ** -11 * Math.abs(value), 2 ** -25);

/**
 * What rounded factors change of a product at most, for each of its sums: |a| e_b + |b| e_a + e_a e_b for every term, and the
 * rounding of its f32 sums.
 */
function allowed(a: Float64Array, b: Float64Array, shape: Product): Float64Array {
  const sizes = (of: (value: number) => number, x: Float64Array): Float64Array => x.map(of);
  const [left, right] = [sizes(Math.abs, a), sizes(Math.abs, b)];
  const wide = (x: Float64Array): Float64Array => x.map((value) => Math.abs(value) + change(value));
  const most = twin(wide(a), wide(b), shape);
  const whole = twin(left, right, shape);
  return most.map((value, i) => value - whole[i] + (shape.K + 2) * 2 ** -24 * value);
}

/** Throws unless every element is within its own allowance. @returns the largest error as a part of what is allowed */
function within(name: string, got: ArrayLike<number>, want: Float64Array, limits: Float64Array): number {
  let largest = 0;
  for (const [i, limit] of limits.entries()) {
    const share = Math.abs(got[i] - want[i]) / limit;
    if (!(share <= 1)) throw new Error(`${name}[${i}]: got ${got[i]}, want ${want[i]}, allowed ${limit}`);
    largest = Math.max(largest, share);
  }
  return largest;
}

const [M, N, K] = [35, 70, 40];

test('products: linear in f16, its values and gradients, are those of rounded operands, and within the bound of f16', async () => {
  using scope = engine.scope();
  const numbers = { x: random(M * K, 1), weight: random(N * K, 2), bias: random(N, 3), dy: random(M * N, 4) };
  const x = tensor(numbers.x, [M, K], { scope, requiresGrad: true });
  const weight = tensor(numbers.weight, [N, K], { scope, requiresGrad: true });
  const bias = tensor(numbers.bias, [N], { scope, requiresGrad: true });
  const y = onUnits(() => {
    const y = withProducts('f16', () => linear(x, weight, { bias }));
    backward(y, { seed: tensor(numbers.dy, [M, N], { scope }) });
    return y;
  });
  const { x: left, weight: right, dy } = numbers;
  compare('y', await y.data(), linearTwin(left.map(half), right.map(half), K, { bias: numbers.bias }));
  const gradients = {
    dx: { got: x.grad!, a: dy, b: right, shape: { M, N: K, K: N } },
    dweight: { got: weight.grad!, a: dy, b: left, shape: { M: N, N: K, K: M, transposeA: true } },
  };
  for (const [name, { got, a, b, shape }] of Object.entries(gradients)) {
    const values = await got.data();
    compare(name, values, twin(a.map(half), b.map(half), shape), TOLERANCE.grad);
    const largest = within(name, values, twin(a, b, shape), allowed(a, b, shape));
    assert.ok(largest > 0.01, `${name}: something was rounded, by ${largest} of what may be`);
  }
  const dbias = Float64Array.from({ length: N }, (_, n) =>
    Array.from({ length: M }, (_, m) => dy[m * N + n]).reduce((sum, value) => sum + value, 0),
  );
  compare('dbias', await bias.grad!.data(), dbias, TOLERANCE.grad);
  for (const { grad } of [x, weight, bias]) grad!.dispose();
});

for (const [transposeA, transposeB] of [
  [false, false],
  [false, true],
  [true, false],
  [true, true],
])
  test(`products: a batch of matmul${transposeA ? ' T' : ' N'}${transposeB ? 'T' : 'N'} in f16, with the gradients of both`, async () => {
    using scope = engine.scope();
    const [batch, M, N, K] = [2, 18, 33, 20];
    const [left, right, dc] = [random(batch * M * K, 1), random(batch * K * N, 2), random(batch * M * N, 3)];
    const a = tensor(left, [batch, ...(transposeA ? [K, M] : [M, K])], { scope, requiresGrad: true });
    const b = tensor(right, [batch, ...(transposeB ? [N, K] : [K, N])], { scope, requiresGrad: true });
    const c = onUnits(() => {
      const c = withProducts('f16', () => matmul(a, b, { transposeA, transposeB }));
      backward(c, { seed: tensor(dc, [batch, M, N], { scope }) });
      return c;
    });
    const [l, r, d] = [left.map(half), right.map(half), dc.map(half)];
    compare('c', await c.data(), twin(l, r, { batch, M, N, K, transposeA, transposeB }));
    const da = transposeA
      ? twin(r, d, { batch, M: K, N: M, K: N, transposeA: transposeB, transposeB: true })
      : twin(d, r, { batch, M, N: K, K: N, transposeB: !transposeB });
    const db = transposeB
      ? twin(d, l, { batch, M: N, N: K, K: M, transposeA: true, transposeB: transposeA })
      : twin(l, d, { batch, M: K, N, K: M, transposeA: !transposeA });
    compare('da', await a.grad!.data(), da, TOLERANCE.grad);
    compare('db', await b.grad!.data(), db, TOLERANCE.grad);
    for (const { grad } of [a, b]) grad!.dispose();
  });

test('products: what a checkpoint runs again multiplies as it did, to the same bits', async () => {
  using scope = engine.scope();
  const seed = tensor(random(M * K, 2), [M, K], { scope });
  const pass = async (isCheckpointed: boolean): Promise<ArrayLike<number>[]> => {
    const x = tensor(random(M * K, 3), [M, K], { scope, requiresGrad: true });
    const weight = tensor(random(K * K, 1), [K, K], { scope, requiresGrad: true });
    onUnits(() => {
      const layer = (x: Tensor) => tidy([x], (x) => linear(linear(x, weight, { gelu: 'tanh' }), weight));
      backward(
        withProducts('f16', () => (isCheckpointed ? checkpoint(layer, x) : layer(x))),
        { seed },
      );
    });
    const gradients = await Promise.all([x, weight].map(({ grad }) => grad!.data()));
    for (const { grad } of [x, weight]) grad!.dispose();
    return gradients;
  };
  const [want, got] = [await pass(false), await pass(true)];
  for (const i of [0, 1]) compare(`gradient ${i}`, got[i], want[i], TOLERANCE.exact);
});

test('products: f32 within f16, and what comes after, are not rounded', async () => {
  using scope = engine.scope();
  const [left, right] = [random(M * K, 1), random(K * N, 2)];
  const [a, b] = [tensor(left, [M, K], { scope }), tensor(right, [K, N], { scope })];
  const want = twin(left, right, { M, N, K });
  const inner = onUnits(() => withProducts('f16', () => withProducts('f32', () => matmul(a, b))));
  compare('within', await inner.data(), want);
  compare('after', await onUnits(() => matmul(a, b, { force: { kind: 'register' } })).data(), want);
});

test('products: the planner takes matrix units for f16 on every kind of adapter, but not for few rows', () => {
  for (const kind of ['cpu', 'gpu'] as const) {
    const target = { ...engine.target, kind, matrixUnit: unit };
    const product = { M: 729, N: 1152, K: 1152, products: 'f16' } as const;
    assert.is(planMatmul(target, product).kind, 'subgroup_matrix');
    assert.is(planMatmul(target, { ...product, M: 8 }).kind, 'register');
    assert.is.not(planMatmul(target, { ...product, products: 'f32' }).kind, 'subgroup_matrix');
  }
});

test('products: f16 is refused where there are no units, with what to do', () => {
  using scope = engine.scope();
  const a = tensor(random(9 * 9, 1), [9, 9], { scope });
  withTarget({ matrixUnit: undefined }, () =>
    throws(
      () => withProducts('f16', () => matmul(a, a)),
      /^withProducts: products in f16 need matrix units that sum in f32, got tier \d on .*\. Open the engine with tier: 3 /,
    ),
  );
  throws(
    () => withProducts('bf16' as 'f16', () => a),
    /^withProducts: the dtype must be f32 or f16, got bf16/,
  );
  throws(() => withProducts('f16', async () => a), /^withProducts: the function must be synchronous/);
});

/** Gradients of the weights of a layer whose output is multiplied by `factor` in f16, with a loss scale, and what AdamW did. */
async function step(factor: number, lossScale: number | null) {
  using scope = engine.scope();
  const store = new ParameterStore(engine, [{ name: 'weight', shape: [N, K], group: 0 }]);
  using optimizer = new AdamW(store, { lr: 0.01, lossScale });
  const weight = store.get('weight');
  weight.write(Float32Array.from(random(N * K, 2)));
  const x = tensor(random(M * K, 1), [M, K], { scope });
  const seed = tensor(
    random(M * N, 3).map((value) => Math.fround(value * factor * (lossScale ?? 1))),
    [M, N],
    { scope },
  );
  onUnits(() =>
    backward(
      withProducts('f16', () => linear(x, weight)),
      { seed },
    ),
  );
  const gradient = await weight.grad!.data();
  optimizer.step();
  const [[taken], [norm], scale] = await Promise.all([
    optimizer.steps.data(),
    optimizer.gradNormSquared.data(),
    optimizer.lossScale?.data(),
  ]);
  store.dispose();
  return {
    gradient: Float64Array.from(gradient, (value) => value / (lossScale ?? 1)),
    taken,
    norm,
    scale: scale?.[0],
  };
}

test('products: gradients that vanish in f16 are kept by the loss scale, and those that overflow skip the step', async () => {
  const shape = { M: N, N: K, K: M, transposeA: true };
  const want = (factor: number): Float64Array =>
    twin(
      random(M * N, 3).map((value) => Math.fround(value * factor)),
      random(M * K, 1),
      shape,
    );
  // 2^-27 is below half of the smallest f16, 2^-24.
  const lost = await step(2 ** -27, null);
  assert.ok(
    lost.gradient.every((value) => value === 0),
    'without a scale nothing is left',
  );
  const kept = await step(2 ** -27, 65_536);
  const scaled = random(M * N, 3).map((value) => Math.fround(value * 2 ** -11));
  const limits = allowed(scaled, random(M * K, 1), shape).map((limit) => limit / 65_536);
  within('dweight', kept.gradient, want(2 ** -27), limits);
  assert.equal([kept.taken, kept.scale], [1, 65_536]);

  // 2^18 is beyond f16, and so is 4 times 65536.
  for (const lossScale of [null, 65_536]) {
    const over = await step(lossScale === null ? 2 ** 18 : 4, lossScale);
    assert.ok(!over.gradient.every(Number.isFinite), 'infinite');
    assert.not(Number.isFinite(over.norm));
    assert.is(over.taken, 0, 'AdamW does not count it');
    assert.is(over.scale, lossScale === null ? undefined : 32_768);
  }
  assert.is((await step(4, 8192)).taken, 1, 'a lower scale does');
});

test.run();
