// Matmuls through workgroup memory: shaders/matmul/tiled.wgsl.
import source from '../../../shaders/matmul/tiled.wgsl' with { type: 'text' };
import { kernel } from '../../gpu/kernel.ts';
import { run } from '../../tensor/dispatch.ts';
import { vectorOf } from '../rows.ts';
import { tileColumns, tileDefine } from '../shared_tile.ts';
import { bindingsOf, dispatchOf, epilogueDefine, type Product } from './operands.ts';
import type { TiledPlan } from './plan.ts';

const forward = kernel(source, 'matmul_tiled');

/** Records a matmul: one workgroup per tile, batch entry and split. */
export function multiplyTiled({ tile, splits, unit }: TiledPlan, product: Product): void {
  const { a, b, M, N, K, transposeA = false, transposeB = false } = product;
  const [aVec, bVec, vec] = [vectorOf(transposeA ? M : K), vectorOf(transposeB ? K : N), vectorOf(N)];
  const tileN = tileColumns(tile);
  const dispatch = dispatchOf(product, { tileM: tile, tileN, splits, stepK: forward.constant('TILE_K') });
  run(forward, {
    ...dispatch,
    bind: bindingsOf(product),
    params: { ...dispatch.params, a_batch: product.aBatch, b_batch: product.bBatch },
    define: {
      ...tileDefine(a.gpu.target, tile, tileN, unit),
      AVec: aVec === 4 ? 'vec4f' : 'f32',
      A_VEC: aVec,
      A_TYPE: a.dtype.toUpperCase(),
      TRANSPOSE_A: transposeA,
      BVec: bVec === 4 ? 'vec4f' : 'f32',
      B_VEC: bVec,
      B_TYPE: b.dtype.toUpperCase(),
      TRANSPOSE_B: transposeB,
      Vec: vec === 4 ? 'vec4f' : 'f32',
      Vecs: vec === 4 ? 'array<vec4f, 1>' : 'vec4f',
      VEC: vec,
      ...epilogueDefine(product),
    },
  });
}
