import source from '../../../shaders/matmul/subgroup_matrix.wgsl' with { type: 'text' };
import { kernel } from '../../gpu/kernel.ts';
import type { MatrixShape } from '../../gpu/target.ts';
import { output, run } from '../../tensor/dispatch.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { MATRIX_TILES } from './plan.ts';
import type { ProductCall } from './tiled.ts';

const forward = kernel(source, 'matmul_subgroup_matrix');
const packKernel = kernel(source, 'matmul_pack');

/** Of a packed square. */
const SIDE = 16;
/** Two matrices along k, of 16 terms at most. */
const K_STEP = 32;
/** Eight numbers per invocation. */
const PACKED_EACH = 8;
/** Subgroups of a workgroup: two by two. */
const SUBGROUPS = 4;

/** Params that only one of the kernels reads. */
const UNUSED = { N: 0, k_slice: 0, a_batch: 0, b_batch: 0, slices: 0, scale: 1 };

interface Operand {
  readonly tensor: Tensor;
  readonly rows: number;
  readonly K: number;
  readonly batch: number;
  /** Lines run along the rows, not along K. */
  readonly turned: boolean;
}

/** Squares of f16, whole tiles of rows. The caller disposes it. */
function packed({ tensor, rows, K, batch, turned }: Operand, tile: number): Tensor {
  const down = (Math.ceil(rows / tile) * tile) / SIDE;
  const across = (Math.ceil(K / K_STEP) * K_STEP) / SIDE;
  const squares = output([tensor], [batch, down, across, SIDE * SIDE], 'f16');
  const isF32 = tensor.dtype === 'f32';
  const isWide = isF32 && !turned && K % 4 === 0;
  run(packKernel, {
    bind: { source: isF32 ? tensor : undefined, source_packed: isF32 ? undefined : tensor, squares },
    params: { ...UNUSED, M: rows, K, batch, groups_m: down, groups_n: across },
    define: {
      Source: isWide ? 'vec4f' : 'f32',
      WIDTH: isWide ? 4 : 1,
      TURNED: turned,
      SOURCE: tensor.dtype.toUpperCase(),
    },
    groups: Math.ceil(squares.size / PACKED_EACH / packKernel.workgroupSize),
  });
  return squares;
}

/** Records a product by matrix units that multiply matrices of `unit`. */
export function multiplySubgroupMatrix(call: ProductCall, unit: MatrixShape): void {
  const { a, b, c, bias, residual, pre, M, N, K, batch, transposeA, transposeB, slices, tile } = call;
  const [aCount, bCount] = [call.aBatch ? batch : 1, call.bBatch ? batch : 1];
  const [tileM, tileN] = MATRIX_TILES[tile];
  using aHalf = packed({ tensor: a, rows: M, K, batch: aCount, turned: transposeA }, tileM);
  using bHalf = packed({ tensor: b, rows: N, K, batch: bCount, turned: !transposeB }, tileN);
  const [groupsM, groupsN] = [Math.ceil(M / tileM), Math.ceil(N / tileN)];
  const terms = K_STEP * Math.ceil(K / K_STEP);
  run(forward, {
    bind: { a_half: aHalf, b_half: bHalf, c, bias, residual, pre },
    params: {
      ...{ M, N, K: terms, batch, slices, scale: call.scale, groups_m: groupsM, groups_n: groupsN },
      k_slice: Math.max(K_STEP, Math.ceil(terms / slices / K_STEP) * K_STEP),
      a_batch: aCount > 1 ? aHalf.size / batch : 0,
      b_batch: bCount > 1 ? bHalf.size / batch : 0,
    },
    define: {
      THREADS: SUBGROUPS * a.gpu.target.subgroupSize,
      ...{ MATRIX_M: unit.M, MATRIX_N: unit.N, MATRIX_K: unit.K },
      ...{ PART_M: tileM / 2, PART_N: tileN / 2 },
      ...{ HAS_BIAS: !!bias, HAS_RESIDUAL: !!residual, HAS_PRE: !!pre, GELU: call.gelu },
      UNROLLED: a.gpu.target.unrolled,
    },
    groups: groupsM * groupsN * batch * slices,
    flops: 2 * batch * M * N * K,
  });
}
