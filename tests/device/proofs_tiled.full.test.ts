// Faults of kernels for GPUs, which a CPU compiles for minutes.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ATTENTION_TILED, TILED } from '../../engine/device/proofs.ts';
import { proveKernels } from '../../engine/index.ts';
import { expectFound, opened } from './broken.ts';

test('proofs: kernels as they are planned for a GPU are right', async () => {
  const other = await opened('gpu');
  const { proofs, warnings } = await proveKernels(other);
  assert.equal(warnings, []);
  const proved = proofs.map(({ feature }) => feature);
  for (const { feature } of [TILED, ATTENTION_TILED]) assert.ok(proved.includes(feature), proved.join());
  other.destroy();
});

test('proofs: a loop over k that ends one step early is found', () =>
  expectFound({
    ...{ path: TILED, kind: 'gpu', entry: 'matmul_tiled', kernel: 'tiled' },
    part: 'k < at.k1; k += TILE_K',
    replacement: 'k + TILE_K <= at.k1 || k == at.k0; k += TILE_K',
  }));

test('proofs: terms behind the end of k that are not zero are found', () =>
  expectFound({
    ...{ path: TILED, kind: 'gpu', entry: 'matmul_tiled', kernel: 'tiled' },
    part: 'k + i < k1',
    replacement: 'k + i <= k1',
  }));

test('proofs: loads at an offset that give another tile, as on Xe3, are found', () =>
  expectFound({
    ...{ path: ATTENTION_TILED, kind: 'gpu', entry: 'attention_tile', kernel: 'attention_tiled' },
    part: 'right[p] = b_tile[h * HALF_K + d]',
    replacement: 'right[p] = b_tile[h * 0u + d]',
  }));

test.run();
