// Products of f32 on matrix units: each operand as two f16, in three products.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { H200, type Target } from '../../engine/gpu/target.ts';
import { cast, linear, matmul, withProducts } from '../../engine/index.ts';
import { type MatmulProblem, matmulCandidates, planMatmul } from '../../engine/ops/matmul/plan.ts';
import { compare, engine, random, TOLERANCE, tensor } from '../harness.ts';
import { fromBfloat, toBfloat } from '../reference/cast.ts';
import { linear as linearTwin, matmul as twin } from '../reference/matmul.ts';
import { withMatrixUnit } from '../shaders/subgroup_matrix.ts';

const force = { kind: 'tiled', tile: 32, onUnits: 'f32' } as const;

/** The device's own units, where it has some. */
const own = engine.target.matrixUnit;

// Every layout has another unit.
for (const [transposeA, transposeB, emulated] of [
  [false, false, { M: 16, N: 16, K: 16 }],
  [false, true, { M: 8, N: 8, K: 8 }],
  [true, false, { M: 8, N: 16, K: 16 }],
  [true, true, { M: 16, N: 8, K: 16 }],
] as const) {
  const unit = own ?? emulated;
  const name = `${transposeA ? 'T' : 'N'}${transposeB ? 'T' : 'N'}, ${own ? 'real' : 'emulated'} units of ${unit.M} x ${unit.N} x ${unit.K}`;

  // One below, at and above a tile of 32 x 32 and the depth of 16.
  test(`matmul in f32 on units: ${name}: c matches the twin of operands that nothing rounds`, async () => {
    using scope = engine.scope();
    for (const [M, N, K] of [
      [31, 32, 15],
      [32, 33, 16],
      [33, 31, 17],
      [1, 1, 1],
      [9, 130, 70],
      [5, 3, 0],
    ]) {
      const [left, right] = [random(M * K, 1), random(K * N, 2)];
      const a = tensor(left, transposeA ? [K, M] : [M, K], { scope });
      const b = tensor(right, transposeB ? [N, K] : [K, N], { scope });
      const c = withMatrixUnit(engine, unit, () => matmul(a, b, { transposeA, transposeB, force }));
      compare(`c [${M}, ${N}]`, await c.data(), twin(left, right, { M, N, K, transposeA, transposeB }));
    }
  });

  test(`matmul in f32 on units: ${name}: a batch, and one operand for all of it, in splits, NN in streams`, async () => {
    using scope = engine.scope();
    const [batch, M, N, K] = [2, 33, 18, 600];
    const [left, right] = [random(batch * M * K, 1), random(batch * K * N, 2)];
    const a = tensor(left, [batch, ...(transposeA ? [K, M] : [M, K])], { scope });
    const b = tensor(right, [batch, ...(transposeB ? [N, K] : [K, N])], { scope });
    const shared = tensor(left.slice(0, M * K), transposeA ? [K, M] : [M, K], { scope });
    const product = { batch, M, N, K, transposeA, transposeB, scale: 0.7 };
    const both = Float64Array.from({ length: batch * M * K }, (_, i) => left[i % (M * K)]);
    const streams = transposeA || transposeB ? [] : [{ streams: 5 }]; // every kernel is compiled for seconds
    for (const more of [{ splits: 1 }, { splits: 7 }, ...streams]) {
      const [c, all] = withMatrixUnit(engine, unit, () =>
        [a, shared].map((a) =>
          matmul(a, b, { transposeA, transposeB, scale: 0.7, force: { ...force, ...more } }),
        ),
      );
      compare(`c, ${JSON.stringify(more)}`, await c.data(), twin(left, right, product));
      compare(`c of one a, ${JSON.stringify(more)}`, await all.data(), twin(both, right, product));
    }
  });
}

const unit = own ?? { M: 8, N: 8, K: 8 };
const F32_MAX = 2 ** 128 * (1 - 2 ** -24);

/**
 * What three products leave out at most, and the rounding of sums of so many: 2^-22 of each operand and of each product, and of an
 * operand 2^-39 of the largest in its row.
 */
function allowed(a: Float64Array, b: Float64Array, M: number, N: number, K: number): Float64Array {
  const row = (m: number): number[] => Array.from({ length: K }, (_, k) => Math.abs(a[m * K + k]));
  const column = (n: number): number[] => Array.from({ length: K }, (_, k) => Math.abs(b[k * N + n]));
  return Float64Array.from({ length: M * N }, (_, i) => {
    const [left, right] = [row(Math.floor(i / N)), column(i % N)];
    const [most, other] = [Math.max(...left), Math.max(...right)];
    let sum = 2 ** -126; // what is smaller may be zero
    for (let k = 0; k < K; k++) {
      const products = (3 * 2 ** -22 + 3 * K * 2 ** -24) * left[k] * right[k];
      sum += products + 2 ** -39 * (most * right[k] + left[k] * other);
    }
    return sum;
  });
}

/** Numbers that f16 rounds by half of its step, that it has no room for, and between powers of two. */
const HARD = [
  ...[1 + 2 ** -11, 1 + 2 ** -11 + 2 ** -22, 1 - 2 ** -12, 1 + 2 ** -23, 2 - 2 ** -23, 1.9995117],
  ...[65_504, 65_519, 65_520, 65_536, 1e-3, 6e-8, 2 ** -14 - 2 ** -30, 1 / 3, 1e9, 2 ** -24 + 2 ** -40],
].map(Math.fround);

test('matmul in f32 on units: numbers that f16 cannot hold, in rows and columns of any size, are off by no more than what is said', async () => {
  using scope = engine.scope();
  const [M, N, K] = [40, 36, 3];
  const pick = (i: number): number => HARD[(i * 7 + (i >> 3)) % HARD.length] * (i % 3 ? 1 : -1);
  // Powers of two over the range of f32: some products overflow, some vanish.
  const [rows, columns] = [
    Array.from({ length: M }, (_, m) => 2 ** (((m * 23) % 190) - 100)),
    Array.from({ length: N }, (_, n) => 2 ** (((n * 31) % 190) - 100)),
  ];
  const a = Float64Array.from({ length: M * K }, (_, i) => Math.fround(pick(i) * rows[Math.floor(i / K)]));
  const b = Float64Array.from({ length: K * N }, (_, i) => Math.fround(pick(i + 5) * columns[i % N]));
  const c = withMatrixUnit(engine, unit, () =>
    matmul(tensor(a, [M, K], { scope }), tensor(b, [K, N], { scope }), { force }),
  );
  const got = await c.data();
  const want = twin(a, b, { M, N, K });
  const limits = allowed(a, b, M, N, K);
  const count = { infinite: 0, tiny: 0, within: 0 };
  for (const [i, limit] of limits.entries()) {
    const [m, n] = [Math.floor(i / N), i % N];
    const largest = Math.max(...[0, 1, 2].map((k) => Math.abs(a[m * K + k] * b[k * N + n])));
    if (largest > F32_MAX / 4) {
      // The sum may be infinite in f32 as well.
      if (Math.abs(want[i]) > 2 * F32_MAX + limit) assert.not(Number.isFinite(got[i]), `c[${i}] is infinite`);
      count.infinite++;
      continue;
    }
    const off = Math.abs(got[i] - want[i]);
    assert.ok(off <= limit, `c[${i}]: got ${got[i]}, want ${want[i]}, allowed ${limit}`);
    if (largest < 2 ** -126) count.tiny++;
    else count.within++;
  }
  for (const [kind, seen] of Object.entries(count)) assert.ok(seen > 20, `${seen} ${kind}`);
});

test('matmul in f32 on units: small terms beside a large one in their row keep 2^-39 of it, and sums that cancel what is said', async () => {
  using scope = engine.scope();
  const [M, N, K] = [33, 20, 64];
  // The large one of each row meets zeros; the others are down to 2^-30 of it.
  const a = random(M * K, 1).map((value, i) => Math.fround(i % K === 7 ? 3e4 : value * 2 ** -(i % 31)));
  const b = random(K * N, 2).map((value, i) => (Math.floor(i / N) === 7 ? 0 : value));
  const c = withMatrixUnit(engine, unit, () =>
    matmul(tensor(a, [M, K], { scope }), tensor(b, [K, N], { scope }), { force }),
  );
  const got = await c.data();
  const want = twin(a, b, { M, N, K });
  for (const [i, limit] of allowed(a, b, M, N, K).entries())
    assert.ok(
      Math.abs(got[i] - want[i]) <= limit,
      `c[${i}]: got ${got[i]}, want ${want[i]}, allowed ${limit}`,
    );

  // x y - x (y + step): all but the last bits cancel.
  const x = random(M, 3);
  const y = random(N, 4);
  const left = Float64Array.from({ length: M * 2 }, (_, i) => (i % 2 ? -1 : 1) * x[i >> 1]);
  const right = Float64Array.from({ length: 2 * N }, (_, i) =>
    Math.fround(y[i % N] + (i < N ? 0 : 2 ** -18)),
  );
  const rest = withMatrixUnit(engine, unit, () =>
    matmul(tensor(left, [M, 2], { scope }), tensor(right, [2, N], { scope }), { force }),
  );
  const bits = await rest.data();
  const exact = twin(left, right, { M, N, K: 2 });
  for (const [i, limit] of allowed(left, right, M, N, 2).entries())
    assert.ok(Math.abs(bits[i] - exact[i]) <= limit, `rest[${i}]: got ${bits[i]}, want ${exact[i]}`);
});

test('matmul in f32 on units: a row with an infinity or NaN is not finite, the others are as they were', async () => {
  using scope = engine.scope();
  const [M, N, K] = [6, 5, 20];
  const [a, b] = [random(M * K, 1), random(K * N, 2)];
  const broken = a.map((value, i) =>
    i === K + 3 ? Number.POSITIVE_INFINITY : i === 4 * K ? Number.NaN : value,
  );
  const [plain, c] = withMatrixUnit(engine, unit, () =>
    [a, broken].map((a) => matmul(tensor(a, [M, K], { scope }), tensor(b, [K, N], { scope }), { force })),
  );
  const [want, got] = [await plain.data(), await c.data()];
  for (let i = 0; i < M * N; i++)
    if ([1, 4].includes(Math.floor(i / N))) assert.not(Number.isFinite(got[i]), `c[${i}]`);
    else assert.is(got[i], want[i], `c[${i}]`);
});

test('matmul in f32 on units: what follows the sum, and operands in 16 bits, match the twin within withProducts of f32', async () => {
  using scope = engine.scope();
  const [M, N, K] = [35, 40, 40];
  const numbers = {
    x: random(M * K, 1),
    weight: random(N * K, 2),
    bias: random(N, 3),
    residual: random(M * N, 4),
  };
  const x = tensor(numbers.x, [M, K], { scope });
  const weight = tensor(numbers.weight, [N, K], { scope });
  const [bias, residual] = [
    tensor(numbers.bias, [N], { scope }),
    tensor(numbers.residual, [M, N], { scope }),
  ];
  const [y, half] = withMatrixUnit(engine, unit, () =>
    withProducts('f32', () => [
      linear(x, weight, { bias, gelu: 'tanh', residual, force }),
      linear(x, cast(weight, 'bf16'), { bias, force }),
    ]),
  );
  const { x: left, weight: right, ...epilogue } = numbers;
  compare('y', await y.data(), linearTwin(left, right, K, { ...epilogue, gelu: 'tanh' }));
  const stored = right.map((value) => fromBfloat(toBfloat(value)));
  compare('y of bf16', await half.data(), linearTwin(left, stored, K, { bias: numbers.bias }), TOLERANCE.f32);
});

test('matmul in f32 on units: the planner takes it where it is forced, for operands in f32, and never by itself', () => {
  const target: Target = { ...H200, subgroupSize: 32, matrixUnit: unit, workgroupBytes: 49_152 };
  const problem: MatmulProblem = { M: 729, N: 1152, K: 1152, transposeB: true, products: 'f32' };
  const componentsOf = (problem: MatmulProblem, forced = {}): unknown => {
    const plan = planMatmul(target, problem, forced);
    return plan.kind === 'tiled' && plan.unit ? (plan.components ?? 1) : plan.kind;
  };
  assert.is(componentsOf(problem), 'tiled');
  assert.is(componentsOf(problem, { onUnits: true }), 'tiled', 'f32 is not rounded');
  assert.is(componentsOf(problem, { onUnits: 'f32' }), 2);
  assert.is(componentsOf({ ...problem, packedB: true }, { onUnits: 'f32' }), 'tiled');
  const offered = (problem: MatmulProblem): unknown[] => [
    ...new Set(matmulCandidates(target, problem).map((force) => componentsOf(problem, force))),
  ];
  assert.equal(offered(problem), ['register', 'tiled']);
  assert.equal(offered({ ...problem, products: undefined }), ['register', 'tiled', 1, 'subgroup_matrix']);
});

test.run();
