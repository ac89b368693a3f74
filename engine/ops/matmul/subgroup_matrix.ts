// Matmuls by the matrix units of a GPU: shaders/matmul/pack.wgsl, then subgroup_matrix.wgsl.
import packSource from '../../../shaders/matmul/pack.wgsl' with { type: 'text' };
import source from '../../../shaders/matmul/subgroup_matrix.wgsl' with { type: 'text' };
import { kernel } from '../../gpu/kernel.ts';
import { output, run } from '../../tensor/dispatch.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { dispatchOf, epilogueDefine, type Operands, type Product } from './operands.ts';
import type { SubgroupMatrixPlan } from './plan.ts';

const forward = kernel(source, 'matmul_subgroup_matrix');
const pack = kernel(packSource, 'matmul_pack');

/** Two matrices along k, of 16 terms at most. */
const STEP_K = 32;
/** Eight elements per invocation. */
const PACKED_EACH = 8;
/** Subgroups of a workgroup: two by two. */
const SUBGROUPS = 4;

interface Operand {
  readonly tensor: Tensor;
  readonly rows: number;
  readonly K: number;
  readonly batch: number;
  /** The rows are the contiguous axis, not K. */
  readonly transposed: boolean;
}

/** Squares of f16, whole tiles of rows. The caller disposes it. */
function packed({ tensor, rows, K, batch, transposed }: Operand, tile: number): Tensor {
  const side = pack.constant('SIDE');
  const down = (Math.ceil(rows / tile) * tile) / side;
  const across = (Math.ceil(K / STEP_K) * STEP_K) / side;
  const squares = output([tensor], [batch, down, across, side * side], 'f16');
  const isF32 = tensor.dtype === 'f32';
  const isWide = isF32 && !transposed && K % 4 === 0;
  run(pack, {
    bind: { source: isF32 ? tensor : undefined, source_packed: isF32 ? undefined : tensor, squares },
    params: { M: rows, K, batch, groups_m: down, groups_n: across },
    define: {
      Vec: isWide ? 'vec4f' : 'f32',
      VEC: isWide ? 4 : 1,
      TRANSPOSED: transposed,
      SOURCE: tensor.dtype.toUpperCase(),
    },
    groups: Math.ceil(squares.size / PACKED_EACH / pack.workgroupSize),
  });
  return squares;
}

/** Records a matmul: operands packed, then one workgroup per tile, batch entry and split. */
export function multiplySubgroupMatrix(
  plan: SubgroupMatrixPlan,
  product: Product,
  { a, b, c, bias, residual, pre }: Operands,
): void {
  const { M, N, K, batch, aBatch, bBatch, transposeA = false, transposeB = false } = product;
  const { tileM, tileN, unit, splits } = plan;
  const [aCount, bCount] = [aBatch ? batch : 1, bBatch ? batch : 1];
  using aHalf = packed({ tensor: a, rows: M, K, batch: aCount, transposed: transposeA }, tileM);
  using bHalf = packed({ tensor: b, rows: N, K, batch: bCount, transposed: !transposeB }, tileN);
  const dispatch = dispatchOf(product, { tileM, tileN, splits, stepK: STEP_K });
  run(forward, {
    ...dispatch,
    bind: { a_half: aHalf, b_half: bHalf, c, bias, residual, pre },
    params: {
      ...dispatch.params,
      K: STEP_K * Math.ceil(K / STEP_K),
      a_batch: aCount > 1 ? aHalf.size / batch : 0,
      b_batch: bCount > 1 ? bHalf.size / batch : 0,
    },
    define: {
      WG: SUBGROUPS * a.gpu.target.subgroupSize,
      MATRIX_M: unit.M,
      MATRIX_N: unit.N,
      MATRIX_K: unit.K,
      SUBGROUP_TILE_M: tileM / 2,
      SUBGROUP_TILE_N: tileN / 2,
      UNROLLED: a.gpu.target.unrolled,
      ...epilogueDefine(product),
    },
  });
}
