import source from '../../shaders/matmul_subgroup_matrix.wgsl' with { type: 'text' };
import { kernel } from '../gpu/kernel.ts';
import type { MatrixShape } from '../gpu/planner.ts';
import { run } from '../tensor/dispatch.ts';
import { type ProductCall, tiledRun } from './matmul_tiled.ts';

const forward = kernel(source, 'matmul_subgroup_matrix');

const K_TILE = 32;
const SUBGROUPS = 4;

/** Records a product by matrix units that multiply matrices of `unit`. */
export function multiplySubgroupMatrix(call: ProductCall, unit: MatrixShape): void {
  const { a, c, bias, residual, pre } = call;
  const { operandB, define, ...common } = tiledRun(call, K_TILE);
  run(forward, {
    ...common,
    bind: { a, ...operandB, c, bias, residual, pre },
    define: {
      THREADS: SUBGROUPS * a.gpu.subgroupSize,
      MATRIX_M: unit.M,
      MATRIX_N: unit.N,
      MATRIX_K: unit.K,
      ...define,
    },
  });
}
