import source from '../../shaders/matmul_tiled.wgsl' with { type: 'text' };
import { type Define, kernel } from '../gpu/kernel.ts';
import { type Tile, tileColumns } from '../gpu/planner.ts';
import { run } from '../tensor/dispatch.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { K_TILE, tileDefine } from './tile.ts';

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

/**
 * What products in tiles have in common: one workgroup per tile, batch entry and slice.
 *
 * @param kTile  terms of a step, of which a slice has whole ones
 */
export function tiledRun(
  { b, M, N, K, batch, slices, tile, ...call }: ProductCall,
  kTile: number,
): {
  operandB: Record<string, Tensor>;
  params: Record<string, number>;
  define: Define;
  groups: number;
  flops: number;
} {
  const groupsM = Math.ceil(M / tile);
  const groupsN = Math.ceil(N / tileColumns(tile));
  return {
    operandB: b.dtype === 'f32' ? { b } : { b_packed: b },
    params: {
      M,
      N,
      K,
      k_slice: Math.max(kTile, Math.ceil(K / slices / kTile) * kTile),
      a_batch: call.aBatch,
      b_batch: call.bBatch,
      batch,
      groups_m: groupsM,
      groups_n: groupsN,
      slices,
      scale: call.scale,
    },
    define: {
      B_TYPE: b.dtype.toUpperCase(),
      TRANSPOSE_A: call.transposeA,
      TRANSPOSE_B: call.transposeB,
      HAS_BIAS: !!call.bias,
      HAS_RESIDUAL: !!call.residual,
      HAS_PRE: !!call.pre,
      GELU: call.gelu,
    },
    groups: groupsM * groupsN * batch * slices,
    flops: 2 * batch * M * N * K,
  };
}

/** Records a product through workgroup memory. */
export function multiplyTiled(call: ProductCall): void {
  const { a, c, bias, residual, pre, M, N, K, transposeA, transposeB, tile } = call;
  const edge = N % 4 !== 0;
  const aWidth = (transposeA ? M : K) % 4 === 0 ? 4 : 1;
  const bWidth = (transposeB ? K : N) % 4 === 0 ? 4 : 1;
  const { operandB, define, ...common } = tiledRun(call, K_TILE);
  run(edge ? forwardEdge : forward, {
    ...common,
    bind: edge
      ? { a, ...operandB, c_edge: c, bias_edge: bias, residual_edge: residual, pre_edge: pre }
      : { a, ...operandB, c, bias, residual, pre },
    define: {
      LaneA: aWidth === 4 ? 'vec4f' : 'f32',
      LaneB: bWidth === 4 ? 'vec4f' : 'f32',
      ...tileDefine(a.gpu, tile, tileColumns(tile)),
      A_WIDTH: aWidth,
      B_WIDTH: bWidth,
      ...define,
    },
  });
}
