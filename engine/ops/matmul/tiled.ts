import source from '../../../shaders/matmul/tiled.wgsl' with { type: 'text' };
import { kernel } from '../../gpu/kernel.ts';
import { run } from '../../tensor/dispatch.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { K_TILE, type Tile, tileColumns, tileDefine } from '../shared_tile.ts';

const forward = kernel(source, 'matmul_tiled');
const forwardEdge = kernel(source, 'matmul_tiled_edge');

/** One (batched) product as the kernels see it. */
export interface ProductCall {
  readonly a: Tensor;
  /** f32, f16 or bf16. */
  readonly b: Tensor;
  /** [slices, batch, M, N] */
  readonly c: Tensor;
  readonly bias?: Tensor;
  readonly residual?: Tensor;
  readonly pre?: Tensor;
  readonly M: number;
  readonly N: number;
  readonly K: number;
  readonly batch: number;
  /** Elements from one batch entry to the next; 0 if all share one. */
  readonly aBatch: number;
  readonly bBatch: number;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly scale: number;
  /** 0 none, 1 erf, 2 tanh. */
  readonly gelu: number;
  readonly slices: number;
  /** Rows of c that a workgroup computes. */
  readonly tile: Tile;
}

/** Records a product through workgroup memory: one workgroup per tile, batch entry and slice. */
export function multiplyTiled(call: ProductCall): void {
  const { a, b, c, bias, residual, pre, M, N, K, batch, slices, scale, gelu, transposeA, transposeB, tile } =
    call;
  const edge = N % 4 !== 0;
  const aWidth = (transposeA ? M : K) % 4 === 0 ? 4 : 1;
  const bWidth = (transposeB ? K : N) % 4 === 0 ? 4 : 1;
  const operands = { a, ...(b.dtype === 'f32' ? { b } : { b_packed: b }) };
  const [groupsM, groupsN] = [Math.ceil(M / tile), Math.ceil(N / tileColumns(tile))];
  run(edge ? forwardEdge : forward, {
    bind: edge
      ? { ...operands, c_edge: c, bias_edge: bias, residual_edge: residual, pre_edge: pre }
      : { ...operands, c, bias, residual, pre },
    params: {
      ...{ M, N, K, k_slice: Math.max(K_TILE, Math.ceil(K / slices / K_TILE) * K_TILE) },
      ...{ a_batch: call.aBatch, b_batch: call.bBatch, batch, slices, scale },
      ...{ groups_m: groupsM, groups_n: groupsN },
    },
    define: {
      LaneA: aWidth === 4 ? 'vec4f' : 'f32',
      LaneB: bWidth === 4 ? 'vec4f' : 'f32',
      ...tileDefine(a.gpu, tile, tileColumns(tile)),
      ...{ A_WIDTH: aWidth, B_WIDTH: bWidth, B_TYPE: b.dtype.toUpperCase() },
      ...{ TRANSPOSE_A: transposeA, TRANSPOSE_B: transposeB },
      ...{ HAS_BIAS: !!bias, HAS_RESIDUAL: !!residual, HAS_PRE: !!pre, GELU: gelu },
    },
    groups: groupsM * groupsN * batch * slices,
    flops: 2 * batch * M * N * K,
  });
}
