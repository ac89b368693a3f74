// Integers of all 32 bits, and remainders of floats of any size: exact results, as BigInt and float64 have them.
import { test } from 'uvu';
import { cast, embedding, fullLike, gather, scatter, take } from '../../engine/index.ts';
import * as ops from '../../engine/ops/pointwise.ts';
import type { Tensor } from '../../engine/tensor/tensor.ts';
import { compare, engine, random, TOLERANCE, tensor, throws } from '../harness.ts';
import { BINARY } from '../reference/pointwise.ts';

const COMPARISONS = {
  greater: ops.greater,
  greaterEqual: ops.greaterEqual,
  less: ops.less,
  lessEqual: ops.lessEqual,
  equal: ops.equal,
};

/** 32 bits of noise each. */
const words = (n: number, seed: number): number[] =>
  Array.from(random(n, seed), (v) => Math.floor((v + 1) * 2 ** 31) >>> (seed % 7));

/** Floor division's rest. */
const rest = (a: bigint, b: bigint): bigint => (b === 0n ? 0n : ((a % b) + b) % b);

test('exact: integers of all 32 bits, as BigInt has them', async () => {
  using scope = engine.scope();
  const n = 4003;
  const edges = [33554433, 33554434, 16777217, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 1, 0, 3];
  const a = [...edges.flatMap((v) => edges.map(() => v)), ...words(n, 7)];
  const b = [...edges.flatMap(() => edges), ...words(n, 8)];
  for (const [dtype, make] of [
    ['i32', (v: bigint) => BigInt.asIntN(32, v)],
    ['u32', (v: bigint) => BigInt.asUintN(32, v)],
  ] as const) {
    const [p, q] = [a, b].map((values) => values.map((v) => Number(make(BigInt(v)))));
    const [left, right] = [p, q].map((values) => tensor(values, [values.length], { scope, dtype }));
    const exact = async (name: string, y: Tensor, f: (u: bigint, v: bigint) => bigint) =>
      compare(
        `${name} ${dtype}`,
        await y.data(),
        p.map((u, i) => Number(make(f(BigInt(u), BigInt(q[i]))))),
        TOLERANCE.exact,
      );
    await exact('add', ops.add(left, right), (u, v) => u + v);
    await exact('sub', ops.sub(left, right), (u, v) => u - v);
    await exact('mul', ops.mul(left, right), (u, v) => u * v);
    await exact('remainder', ops.remainder(left, right), rest);
    await exact('maximum', ops.maximum(left, right), (u, v) => (u > v ? u : v));
    await exact('minimum', ops.minimum(left, right), (u, v) => (u < v ? u : v));
    for (const [name, op] of Object.entries(COMPARISONS))
      await exact(name, op(left, right), (u, v) => BigInt(BINARY[name](Number(u), Number(v))));
    await exact('where', ops.where(ops.less(left, right), left, right), (u, v) => (u < v ? u : v));
    const few = q.map((v) => Math.abs(v) % 41);
    const powers = ops.pow(left, tensor(few, [few.length], { scope, dtype }));
    compare(
      `pow ${dtype}`,
      await powers.data(),
      p.map((u, i) => Number(make(BigInt(u) ** BigInt(few[i])))),
      TOLERANCE.exact,
    );
  }
  const exponents = [-1, -2, -3, 2 ** 31 - 1, 33554433, -(2 ** 31), 0, 70];
  for (const [base, want] of [
    [1, [1, 1, 1, 1, 1, 1, 1, 1]],
    [-1, [-1, 1, -1, -1, -1, 1, 1, 1]],
    [2, [0, 0, 0, 0, 0, 0, 1, 0]],
  ] as const) {
    const y = ops.pow(
      tensor([base], [1], { scope, dtype: 'i32' }),
      tensor(exponents, [8], { scope, dtype: 'i32' }),
    );
    compare(`powers of ${base}`, await y.data(), want, TOLERANCE.exact);
  }
});

test('exact: remainders of floats are exact, with the sign of the divisor', async () => {
  using scope = engine.scope();
  const floats = (n: number, seed: number) =>
    new Float32Array(
      Uint32Array.from(
        words(n, 7 * seed),
        (v, i) => ((0x00800000 + (v % 0x7e800000)) | ((i % 3) << 31)) >>> 0,
      ).buffer,
    );
  const a = [50000004, 5, -5, 1e30, -7, 16777216, 3.4e38, 0.3, ...floats(3003, 1)].map(Math.fround);
  const b = [7, 8, 8, 3, 7, 0.1, 1.2e-38, 0.1, ...floats(3003, 2)].map(Math.fround);
  for (const n of [a.length, a.length - 3]) {
    const y = ops.remainder(
      tensor(new Float64Array(a.slice(0, n)), [n], { scope }),
      tensor(new Float64Array(b.slice(0, n)), [n], { scope }),
    );
    const got = await y.data();
    for (let i = 0; i < n; i++) {
      const want = Math.fround(BINARY.remainder(a[i], b[i])); // f32's own remainders are exact in float64
      if (got[i] !== want && Math.abs(want) > 1.2e-38)
        throw new Error(`${a[i]} by ${b[i]}: got ${got[i]}, want ${want}`);
    }
  }
});

test('exact: integers are filled, compared with numbers, and read by index as they are', async () => {
  using scope = engine.scope();
  for (const [dtype, values] of [
    ['u32', [2 ** 24 + 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1]],
    ['i32', [2 ** 24 + 1, 2 ** 31 - 1, -(2 ** 31), -(2 ** 24) - 1]],
  ] as const) {
    const x = tensor([...values], [values.length], { scope, dtype });
    for (const value of values) {
      compare(
        'full',
        await engine.full([3], value, { scope, dtype }).data(),
        [value, value, value],
        TOLERANCE.exact,
      );
      compare(
        'equal',
        await ops.equal(x, value).data(),
        values.map((v) => Number(v === value)),
        TOLERANCE.exact,
      );
    }
    const indices = tensor([3, 1, 0, 2], [4], { scope, dtype: 'u32' });
    const want = [values[3], values[1], values[0], values[2]];
    compare('take', await take(x, indices).data(), want, TOLERANCE.exact);
    compare('gather', await gather(x, indices).data(), want, TOLERANCE.exact);
    const put = await scatter(x, indices, tensor(want, [4], { scope, dtype })).data();
    compare('scatter', put, [...values], TOLERANCE.exact);
  }
  for (const [dtype, value] of [
    ['u32', -1],
    ['u32', 2 ** 32],
    ['u32', 0.5],
    ['i32', 2 ** 31],
    ['i32', Number.NaN],
  ] as const) {
    const rule = new RegExp(`a number beside ${dtype} must be a whole number from .*, got ${value}\\.`);
    throws(() => engine.full([2], value, { dtype }), rule);
    throws(() => fullLike(engine.zeros([2], { dtype, scope }), value), rule);
  }
});

test('exact: indices of all 32 bits: negative ones count from the end, u32 from 2^31 on are outside', async () => {
  using scope = engine.scope();
  const x = tensor([10, 20, 30], [3], { scope });
  const far = Uint32Array.of(2 ** 32 - 1, 2 ** 31, 2 ** 24 + 1, 2);
  const near = Int32Array.of(-1, -3, -(2 ** 31), 2);
  for (const [numbers, want] of [
    [far, [0, 0, 0, 30]],
    [near, [30, 10, 0, 30]],
  ] as const) {
    const indices = tensor(numbers, [4], { scope });
    compare('take', await take(x, indices).data(), [...want], TOLERANCE.exact);
    compare('gather', await gather(x, indices).data(), [...want], TOLERANCE.exact);
  }
  const put = scatter(x, tensor(far, [4], { scope }), tensor([1, 2, 3, 4], [4], { scope }));
  compare('scatter', await put.data(), [10, 20, 4], TOLERANCE.exact);
  const rows = embedding(x.reshape([3, 1]), tensor(far, [4], { scope }));
  compare('embedding', await rows.data(), [0, 0, 0, 30], TOLERANCE.exact);
});

test('exact: casts beyond 2^24 round to the nearest even, casts to integers saturate', async () => {
  using scope = engine.scope();
  const casted = async (x: Tensor, dtype: 'f32' | 'i32' | 'u32') => [...(await cast(x, dtype).data())];
  const counts = tensor(Uint32Array.of(2 ** 24 + 1, 2 ** 24 + 3, 2 ** 31 - 1, 2 ** 32 - 1), [4], { scope });
  compare('u32', await casted(counts, 'f32'), [2 ** 24, 2 ** 24 + 4, 2 ** 31, 2 ** 32], TOLERANCE.exact);
  const signed = tensor(Int32Array.of(-(2 ** 24) - 1, -(2 ** 31), 2 ** 31 - 1, 2 ** 24 + 3), [4], { scope });
  compare(
    'i32',
    await casted(signed, 'f32'),
    [-(2 ** 24), -(2 ** 31), 2 ** 31, 2 ** 24 + 4],
    TOLERANCE.exact,
  );
  const floats = tensor([3e9, -3e9, 5e9, Infinity, -Infinity, Number.NaN, -0.9], [7], { scope });
  const [most, least] = [2 ** 31 - 1, -(2 ** 31)];
  compare('to i32', await casted(floats, 'i32'), [most, least, most, most, least, 0, 0], TOLERANCE.exact);
  compare(
    'to u32',
    await casted(floats, 'u32'),
    [3e9, 0, 2 ** 32 - 1, 2 ** 32 - 1, 0, 0, 0],
    TOLERANCE.exact,
  );
});

test.run();
