import { test } from 'uvu';
import { matmul } from '../../engine/index.ts';
import { compare, engine, random, tensor } from '../harness.ts';
import { matmul as twin } from '../reference/matmul.ts';

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
