import source from '../../shaders/matmul_subgroup_matrix.wgsl' with { type: 'text' };
import { kernel } from '../gpu/kernel.ts';
import type { MatrixShape } from '../gpu/planner.ts';
import { run } from '../tensor/dispatch.ts';
import type { ProductCall } from './matmul_tiled.ts';

const forward = kernel(source, 'matmul_subgroup_matrix');

const TILE = 64;
const K_TILE = 32;
const SUBGROUPS = 4;

/** Records a product by matrix units that multiply matrices of `unit`. */
export function multiplySubgroupMatrix(call: ProductCall, unit: MatrixShape): void {
  const { a, b, c, bias, residual, pre, M, N, K, batch, slices } = call;
  const groupsM = Math.ceil(M / TILE);
  const groupsN = Math.ceil(N / TILE);
  run(forward, {
    bind: { a, ...(b.dtype === 'f32' ? { b } : { b_packed: b }), c, bias, residual, pre },
    params: {
      M,
      N,
      K,
      k_slice: Math.max(K_TILE, Math.ceil(K / slices / K_TILE) * K_TILE),
      a_batch: call.aBatch,
      b_batch: call.bBatch,
      batch,
      groups_m: groupsM,
      groups_n: groupsN,
      slices,
      scale: call.scale,
    },
    define: {
      THREADS: SUBGROUPS * a.gpu.subgroupSize,
      MATRIX_M: unit.M,
      MATRIX_N: unit.N,
      MATRIX_K: unit.K,
      B_TYPE: b.dtype.toUpperCase(),
      TRANSPOSE_A: call.transposeA,
      TRANSPOSE_B: call.transposeB,
      HAS_BIAS: !!bias,
      HAS_RESIDUAL: !!residual,
      HAS_PRE: !!pre,
      GELU: call.gelu,
    },
    groups: groupsM * groupsN * batch * slices,
    flops: 2 * batch * M * N * K,
  });
}
