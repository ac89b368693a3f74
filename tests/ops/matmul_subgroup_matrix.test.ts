import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { H200, planMatrixUnit, type Target } from '../../engine/gpu/target.ts';
import { backward, cast, linear, type MatmulForce, matmul, type Tensor } from '../../engine/index.ts';
import { matmulCandidates, planMatmul } from '../../engine/ops/matmul/plan.ts';
import { compare, engine, random, TOLERANCE, tensor } from '../harness.ts';
import { fromBfloat, toBfloat } from '../reference/cast.ts';
import { linear as linearTwin, matmul as productTwin } from '../reference/matmul.ts';
import { withMatrixUnit } from '../shaders/subgroup_matrix.ts';
import { half, testTiles } from './tiles_on_units.ts';

/** Operands packed first; and staged by the tile that multiplies them. */
const FORCES = {
  matmul_subgroup_matrix: { kind: 'subgroup_matrix' },
  'matmul_tiled on units': { kind: 'tiled', tile: 32, onUnits: true },
} as const;
const force = FORCES.matmul_subgroup_matrix;

/** What Apple's, Intel's and NVIDIA's units multiply. */
const UNITS = {
  square: { M: 16, N: 16, K: 16 },
  small: { M: 8, N: 8, K: 8 },
  wide: { M: 8, N: 16, K: 16 },
  narrow: { M: 16, N: 8, K: 16 },
} as const;

const DTYPES = {
  f32: (value: number): number => value,
  f16: half,
  bf16: (value: number): number => fromBfloat(toBfloat(value)),
} as const;

/** The device's own units, where it has some. */
const own = engine.target.matrixUnit;

// Every specialisation takes a CPU seconds to compile: each layout has another unit and another way to store b.
for (const [name, emulated, dtype, transposeA, transposeB] of [
  ['NN', 'square', 'f32', false, false],
  ['NT', 'small', 'f16', false, true],
  ['TN', 'wide', 'bf16', true, false],
  ['TT', 'narrow', 'f32', true, true],
] as const)
  for (const [kernel, force] of Object.entries(FORCES)) {
    const unit = own ?? UNITS[emulated];
    const units = `${own ? 'real' : 'emulated'} units of ${unit.M} x ${unit.N} x ${unit.K}`;
    const multiplied = (a: Tensor, b: Tensor, scale: number, more: MatmulForce): Tensor =>
      withMatrixUnit(engine, unit, () =>
        matmul(a, cast(b, dtype), { transposeA, transposeB, scale, force: { ...force, ...more } }),
      );

    // One below, at and above tiles of 64 x 64 and 32 x 32 and the depth of 32.
    test(`${kernel}: ${name}, b of ${dtype}, ${units}: c matches the twin at every shape`, async () => {
      using scope = engine.scope();
      for (const [M, N, K] of [
        [63, 64, 31],
        [64, 65, 32],
        [65, 63, 33],
        [1, 1, 1],
        [9, 130, 70],
        [33, 31, 17],
      ]) {
        const [left, right] = [random(M * K, 1), random(K * N, 2)];
        const a = tensor(left, transposeA ? [K, M] : [M, K], { scope });
        const b = tensor(right, transposeB ? [N, K] : [K, N], { scope });
        const product = { M, N, K, transposeA, transposeB };
        const want = productTwin(left.map(half), right.map(DTYPES[dtype]).map(half), product);
        compare(`c [${M}, ${N}]`, await multiplied(a, b, 1, { splits: 1 }).data(), want);
      }
    });

    test(`${kernel}: ${name}, b of ${dtype}, ${units}: a batch, in splits, matches the twin`, async () => {
      using scope = engine.scope();
      const [batch, M, N, K] = [2, 33, 18, 600];
      const [left, right] = [random(batch * M * K, 1), random(batch * K * N, 2)];
      const a = tensor(left, [batch, ...(transposeA ? [K, M] : [M, K])], { scope });
      const b = tensor(right, [batch, ...(transposeB ? [N, K] : [K, N])], { scope });
      const product = { batch, M, N, K, transposeA, transposeB, scale: 0.7 };
      const want = productTwin(left.map(half), right.map(DTYPES[dtype]).map(half), product);
      for (const splits of [1, 2, 7])
        compare(`c in ${splits} splits`, await multiplied(a, b, 0.7, { splits }).data(), want);
      if (force.kind === 'tiled')
        compare('c in streams', await multiplied(a, b, 0.7, { streams: 5 }).data(), want);
    });
  }

// Of 64 rows they need more memory than default limits have.
const tile = engine.target.workgroupBytes < 32_768 ? 32 : 64;
testTiles(`${own ? 'real' : 'emulated'} units, tiles of ${tile} x ${tile}`, {
  ...{ tile, unit: own ?? UNITS.small, transposeA: false, transposeB: true },
  shapes: [
    [63, 65, 15],
    [65, 64, 33],
  ],
});

test('matmul_tiled on units: tiles of 256 rows are taken where they are forced and fit, never by themselves', () => {
  const target: Target = { ...H200, subgroupSize: 32, matrixUnit: UNITS.square, workgroupBytes: 49_152 };
  const tileOf = (change: Partial<Target>, force: MatmulForce): unknown => {
    const plan = planMatmul({ ...target, ...change }, { M: 4096, N: 4096, K: 4096 }, force);
    return plan.kind === 'tiled' && plan.tile;
  };
  const force = { kind: 'tiled', onUnits: true, tile: 256 } as const;
  assert.is(tileOf({}, force), 256);
  assert.is(tileOf({ workgroupBytes: 32_768 }, force), 256, 'of 16 terms');
  assert.is(tileOf({ workgroupBytes: 16_384 }, force), 32);
  assert.is(tileOf({ subgroupSize: 64 }, force), 32, '512 invocations');
  assert.is(tileOf({}, { ...force, onUnits: 'f32' }), 256);
  assert.is(tileOf({ workgroupBytes: 32_768 }, { ...force, onUnits: 'f32' }), 32);
  assert.is(tileOf({}, { ...force, onUnits: false }), 32);
  assert.is.not(tileOf({}, { ...force, tile: undefined }), 256);
  const offered = (change: Partial<Target>): unknown[] =>
    matmulCandidates({ ...target, ...change }, { M: 4096, N: 4096, K: 4096 }).flatMap(({ tile, onUnits }) =>
      tile === 256 ? [onUnits] : [],
    );
  assert.equal(offered({}), [true, true, true, true, true], 'in splits of powers of two up to 16');
  assert.equal(offered({ matrixUnit: undefined }), []);
});

for (const gelu of ['erf', 'tanh'] as const)
  test(`matmul_subgroup_matrix: linear with bias, ${gelu} gelu, residual and kept pre-activation; its gradients keep f32`, async () => {
    using scope = engine.scope();
    const [M, N, K] = [35, 70, 40];
    const data = {
      x: random(M * K, 1),
      weight: random(N * K, 2),
      bias: random(N, 3),
      residual: random(M * N, 4),
    };
    const x = tensor(data.x, [M, K], { scope, requiresGrad: true });
    const weight = tensor(data.weight, [N, K], { scope });
    const [bias, residual] = [tensor(data.bias, [N], { scope }), tensor(data.residual, [M, N], { scope })];
    const [y, tiny] = withMatrixUnit(engine, own ?? UNITS.square, () => [
      linear(x, weight, { bias, gelu, residual, force }),
      linear(x, weight, { bias, force }),
    ]);
    const { x: left, weight: right, ...epilogue } = data;
    compare('y', await y.data(), linearTwin(left.map(half), right.map(half), K, { ...epilogue, gelu }));
    // A gradient of 1e-9 would be zero in f16.
    const dy = random(M * N, 5).map((value) => Math.fround(value * 1e-9));
    withMatrixUnit(engine, own ?? UNITS.square, () =>
      backward(tiny, { seed: tensor(dy, [M, N], { scope }) }),
    );
    const dx = productTwin(dy, right, { M, N: K, K: N });
    compare('dx', await x.grad!.data(), dx, { ...TOLERANCE.grad, abs: 0 });
  });

test('matmul_subgroup_matrix: the planner takes it where there are units, and the largest unit that fits', () => {
  const product = { M: 729, N: 1152, K: 1152, transposeB: true };
  const target: Target = { ...H200, subgroupSize: 32, matrixUnit: UNITS.square, workgroupBytes: 49_152 };
  assert.is(planMatmul(target, product).kind, 'subgroup_matrix');
  assert.is(planMatmul(target, { ...product, M: 1 }).kind, 'register');
  assert.is(planMatmul(target, { ...product, products: 'f32' }).kind, 'tiled');
  assert.is(planMatmul(target, product, { kind: 'tiled' }).kind, 'tiled');
  assert.is(planMatmul({ ...target, matrixUnit: undefined }, product, force).kind, 'tiled');
  const f16 = { componentType: 'f16', resultComponentType: 'f32' };
  const configs = [
    { ...f16, M: 16, N: 8, K: 8 },
    { ...f16, M: 16, N: 16, K: 16 },
    { ...f16, M: 32, N: 32, K: 16 },
    { componentType: 'f16', resultComponentType: 'f16', M: 16, N: 16, K: 32 },
    { componentType: 'i8', resultComponentType: 'i32', M: 16, N: 16, K: 32 },
  ];
  assert.equal(planMatrixUnit(configs), { M: 16, N: 16, K: 16 });
  assert.is(planMatrixUnit(configs.slice(2)), undefined);
});

test.run();
