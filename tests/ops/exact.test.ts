// Integers of all 32 bits, and remainders of floats of any size: exact results, as BigInt and float64 have them.
import { test } from 'uvu';
import * as ops from '../../engine/ops/pointwise.ts';
import type { Tensor } from '../../engine/tensor/tensor.ts';
import { compare, engine, random, TOLERANCE, tensor } from '../harness.ts';
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

test.run();
