import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { H200 } from '../../engine/gpu/target.ts';
import { linear, matmul } from '../../engine/index.ts';
import { matmulCandidates } from '../../engine/ops/matmul/plan.ts';
import { compare, engine, random, TOLERANCE, tensor } from '../harness.ts';
import { linear as linearTwin, matmul as twin } from '../reference/matmul.ts';

// One below, at and above a tile and the depth of 16, with and without widths that vec4 loads fit.
for (const [tile, M, N, K] of [
  [32, 31, 33, 15],
  [32, 64, 36, 40],
  [128, 127, 129, 17],
  [128, 128, 128, 32],
  [128, 1, 260, 36],
  [96, 95, 129, 17],
  [96, 97, 128, 36],
  [64, 63, 63, 15],
  [64, 64, 64, 16],
  [64, 65, 65, 17],
  [64, 128, 68, 32],
  [64, 1, 4, 48],
  [64, 130, 62, 36],
  [64, 6, 130, 33],
] as const)
  test(`matmul_tiled: ${M}x${N}x${K} in tiles of ${tile} matches the twin`, async () => {
    using scope = engine.scope();
    const a = random(M * K, 1);
    const b = random(K * N, 2);
    const c = matmul(tensor(a, [M, K], { scope }), tensor(b, [K, N], { scope }), {
      force: { kind: 'tiled', tile },
    });
    compare('c', await c.data(), twin(a, b, { M, N, K }));
  });

test('matmul_tiled: splits that end inside a tile match the twin', async () => {
  using scope = engine.scope();
  const [M, N, K] = [70, 66, 100];
  const a = random(M * K, 1);
  const b = random(K * N, 2);
  for (const [tile, splits] of [
    [32, 3],
    [64, 2],
    [64, 3],
    [64, 7],
    [96, 2],
    [128, 2],
  ] as const) {
    const c = matmul(tensor(a, [M, K], { scope }), tensor(b, [K, N], { scope }), {
      force: { kind: 'tiled', tile, splits },
    });
    compare(`c in ${splits} splits`, await c.data(), twin(a, b, { M, N, K }));
  }
});

// Tiles that one stream has and that several have; streams within a tile and over some; more of them than steps.
for (const [tile, M, N, K, streams] of [
  [32, 31, 33, 15, 2],
  [32, 97, 97, 17, 7],
  [32, 65, 100, 40, 5],
  [32, 40, 36, 132, 11],
  [32, 3, 4, 0, 3],
  [96, 97, 132, 68, 3],
  [128, 129, 260, 36, 4],
] as const)
  test(`matmul_tiled: ${M}x${N}x${K} in tiles of ${tile} by ${streams} streams matches the twin, twice the same bits`, async () => {
    using scope = engine.scope();
    const [a, b] = [random(M * K, 1), random(K * N, 2)];
    const [left, right] = [tensor(a, [M, K], { scope }), tensor(b, [K, N], { scope })];
    const once = () => matmul(left, right, { scale: 0.7, force: { kind: 'tiled', tile, streams } }).data();
    const first = await once();
    compare('c', first, twin(a, b, { M, N, K, scale: 0.7 }));
    compare('c again', await once(), first, TOLERANCE.exact);
  });

test('matmul_tiled: a batch by streams, and what follows their sum, match the twin', async () => {
  using scope = engine.scope();
  const [batch, M, N, K] = [3, 37, 72, 44];
  const force = { kind: 'tiled', tile: 32, streams: 7 } as const;
  const [a, b] = [random(batch * M * K, 1), random(batch * N * K, 2)];
  const left = tensor(a, [batch, M, K], { scope });
  const c = matmul(left, tensor(b, [batch, N, K], { scope }), { transposeB: true, force });
  compare('c', await c.data(), twin(a, b, { batch, M, N, K, transposeB: true }));
  const first = { weight: b.slice(0, N * K), bias: random(N, 3), residual: random(M * N, 4) };
  const [bias, residual] = [tensor(first.bias, [N], { scope }), tensor(first.residual, [M, N], { scope })];
  const x = tensor(a.slice(0, M * K), [M, K], { scope, requiresGrad: true });
  for (const gelu of ['erf', 'tanh'] as const) {
    const y = linear(x, tensor(first.weight, [N, K], { scope }), { bias, gelu, residual, force });
    compare('y', await y.data(), linearTwin(a.slice(0, M * K), first.weight, K, { ...first, gelu }));
  }
});

test('matmul_tiled: tuning tries streams where tiles end in a part of a wave, of sums that are long enough', () => {
  const target = { ...H200, subgroupSize: 32, matrixUnit: undefined, workgroupBytes: 49_152 };
  const streams = (M: number, N: number, K: number): number[] =>
    matmulCandidates(target, { M, N, K, epilogue: true }).flatMap((force) => force.streams ?? []);
  assert.equal(streams(729, 3456, 1152), [264, 396]);
  assert.equal(streams(128 * 264, 128, 1152), [396], 'whole waves of tiles of 128');
  assert.equal(streams(729, 1152, 1152), []);
  assert.equal(streams(85, 1152, 1152), []);
});

test('matmul_tiled: with its loops unrolled, as on GPUs, it matches the twin', async () => {
  using scope = engine.scope();
  const { gpu } = engine;
  const { target } = gpu;
  const [M, N, K] = [31, 33, 18];
  const a = random(M * K, 1);
  const b = random(K * N, 2);
  gpu.target = { ...target, unrolled: true };
  const c = matmul(tensor(a, [M, K], { scope }), tensor(b, [K, N], { scope }), {
    force: { kind: 'tiled', tile: 32 },
  });
  gpu.target = target;
  compare('c', await c.data(), twin(a, b, { M, N, K }));
});

test.run();
