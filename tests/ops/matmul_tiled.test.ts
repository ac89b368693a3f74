import { test } from 'uvu';
import { matmul } from '../../engine/index.ts';
import { compare, engine, random, tensor } from '../harness.ts';
import { matmulTiled as twin } from '../reference/matmul_tiled.ts';

// One below, at and above the tile of 64 x 64 and the depth of 16, with and without widths that vec4 loads fit.
for (const [M, N, K] of [
  [63, 63, 15],
  [64, 64, 16],
  [65, 65, 17],
  [128, 68, 32],
  [1, 4, 48],
  [130, 62, 36],
  [6, 130, 33],
])
  test(`matmul_tiled: ${M}x${N}x${K} matches the twin`, async () => {
    using scope = engine.scope();
    const a = random(M * K, 1);
    const b = random(K * N, 2);
    const c = matmul(tensor(a, [M, K], { scope }), tensor(b, [K, N], { scope }), {
      force: { variant: 'tiled' },
    });
    compare('c', (await c.data()) as Float32Array, twin(a, b, M, N, K));
  });

test('matmul_tiled: slices that end inside a tile match the twin', async () => {
  using scope = engine.scope();
  const [M, N, K] = [70, 66, 100];
  const a = random(M * K, 1);
  const b = random(K * N, 2);
  for (const slices of [2, 3, 7]) {
    const c = matmul(tensor(a, [M, K], { scope }), tensor(b, [K, N], { scope }), {
      force: { variant: 'tiled', slices },
    });
    compare(`c in ${slices} slices`, (await c.data()) as Float32Array, twin(a, b, M, N, K));
  }
});

test.run();
