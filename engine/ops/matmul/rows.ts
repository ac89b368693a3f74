// A few rows times a matrix: shaders/matmul/rows.wgsl.
import source from '../../../shaders/matmul/rows.wgsl' with { type: 'text' };
import { type Define, kernel } from '../../gpu/kernel.ts';
import type { Target } from '../../gpu/target.ts';
import { run } from '../../tensor/dispatch.ts';
import { isBindable } from '../../tensor/part.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import type { Gelu } from '../gelu.ts';
import { epilogueDefine } from './operands.ts';

const forward = kernel(source, 'matmul_rows');

/** Rows of a matrix that begin at a multiple of 256 bytes, the alignment of bindings, however it is stored. */
export const ALIGNED_ROWS = 128;

/** Rows of a matrix of N that fit into a binding: all, or a run that begins and ends at aligned rows. */
export function bindableRows(tensor: Tensor, N: number): number {
  if (isBindable(tensor)) return Math.max(1, N);
  const { maxStorageBufferBindingSize } = tensor.gpu.limits;
  const fitting = Math.floor((maxStorageBufferBindingSize * N) / tensor.sizeBytes / ALIGNED_ROWS);
  return ALIGNED_ROWS * Math.max(1, fitting);
}

/** The matrix, [perColumn N, K]. */
export interface Matrix {
  /** Of any dtype: 16 bytes are read at a time. */
  readonly tensor: Tensor;
  /** How its elements are stored: as shaders/lib/dense.wgsl calls it. */
  readonly type: string;
  /** Elements in 16 bytes, by which K divides. */
  readonly load: number;
  /** Of integers: [perColumn N, K / group] f16, what neighbours along K are multiplied by. */
  readonly factors?: Tensor;
  readonly group?: number;
}

/** What `multiplyRows` computes, as a product of `operands.ts`. */
export interface RowsProduct {
  /** f32. */
  readonly a: Tensor;
  /** [M, N] */
  readonly c: Tensor;
  readonly M: number;
  readonly N: number;
  readonly K: number;
  readonly bias?: Tensor;
  readonly residual?: Tensor;
  readonly gelu?: Gelu;
  /** Rows of the matrix per column of c, 1 by default: 2 are gate and up of SwiGLU, in one binding. */
  readonly perColumn?: 1 | 2;
}

/** How a product of M rows is cut among invocations; undefined where larger tiles are faster. */
interface RowsPlan {
  /** Rows of the matrix per invocation. */
  readonly threadN: number;
  /** Invocations, or groups of them, in a workgroup that share no row of the matrix. */
  readonly perGroup: number;
  readonly define: Define;
}

/**
 * On a CPU each invocation has rows of the matrix of its own; on a GPU a subgroup shares them, more where there are enough. Measured on
 * lavapipe (CPU time of 1 x 4864 x 896, and of the same in larger tiles: f32 5.1 and 8.2 ms, bf16 3.0 and 7.6 ms, int8 2.8 ms, int4
 * 2.9 ms), where more rows are faster in larger tiles.
 */
export function planMatrixRows(
  target: Target,
  { M, N, perColumn = 1 }: Pick<RowsProduct, 'M' | 'N' | 'perColumn'>,
  isInteger: boolean,
): RowsPlan | undefined {
  const { kind, subgroupSize, rowWorkgroup, fillGroups, unrolled, unrolledRegisters, without } = target;
  if (M > (kind === 'gpu' ? 8 : isInteger ? 4 : 2) || without.includes('rows')) return undefined;
  const isSubgroup = kind === 'gpu' && subgroupSize > 1;
  const rows = perColumn * N;
  const threadN = kind === 'cpu' || rows >= 16 * fillGroups ? 4 : rows >= 8 * fillGroups ? 2 : perColumn;
  const perGroup = kind === 'cpu' ? rowWorkgroup : 1;
  const define = {
    ROW_WG: kind === 'cpu' ? 1 : isSubgroup ? subgroupSize : rowWorkgroup,
    WG_ROWS: perGroup,
    THREAD_N: threadN,
    PER_COLUMN: perColumn,
    UNROLLED: unrolled || unrolledRegisters,
    ...(isSubgroup && { fold: 'fold_subgroup' }),
  };
  return { threadN, perGroup, define };
}

/** Records a product of a few rows; of a matrix beyond the binding limit in runs of its rows, which gate and up must not be. */
export function multiplyRows(
  { threadN, perGroup, define }: RowsPlan,
  { a, c, bias, residual, gelu, M, N, K, perColumn = 1 }: RowsProduct,
  { tensor, type, load, factors, group = load }: Matrix,
): void {
  const step = bindableRows(tensor, N);
  for (let first = 0; first < N; first += step) {
    const R = Math.min(step, N - first);
    using b = tensor.view((first * tensor.size) / N, [(R * tensor.size) / N]);
    using scales = factors?.view((first * factors.size) / N, [(R * factors.size) / N]);
    run(forward, {
      bind: { a, b, c, bias, residual, factors: scales },
      params: { N, first, R, loads: K / load, scale: 1 },
      define: {
        ...define,
        THREAD_M: M,
        B_TYPE: type,
        LOAD: load,
        PER_FACTOR: group,
        ...epilogueDefine({ bias, residual, gelu }),
      },
      groups: Math.ceil((perColumn * R) / threadN / perGroup),
      flops: 2 * M * R * K * perColumn,
    });
  }
}
