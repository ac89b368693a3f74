// Matmuls of query blocks on software adapters: in registers, an invocation for some rows and columns.
import source from '../../../shaders/attention/register.wgsl' with { type: 'text' };
import { kernel } from '../../gpu/kernel.ts';
import { output, run } from '../../tensor/dispatch.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { planRegisterTile, registerDefine } from '../register_tile.ts';
import type { ProductSizes } from './plan.ts';
import {
  type BlockKernels,
  fromRow,
  hiddenFrom,
  type PlacedSegment,
  type ProductKind,
  type ProductOperands,
  type QueryBlock,
  type Rows,
  transpose,
  type View,
} from './query_block.ts';
import { sightCall } from './sight.ts';

const productKernel = kernel(source, 'attention_product');
const transposeKernel = kernel(source, 'attention_transpose');
const weightsKernel = kernel(source, 'attention_weights');

const stridesOfA = ({ start, batch, head, row, col }: View) => ({
  a_start: start,
  a_batch: batch,
  a_head: head,
  a_row: row,
  a_step: col,
});

/** [planes of the block, K, queries] in scratch memory. */
function transposed(block: QueryBlock, rows: View): View {
  const { planes, queries } = block;
  const { K } = block.problem;
  const to = block.scratch(K, queries);
  run(transposeKernel, {
    bind: { source: rows.tensor, transposed: to.tensor },
    params: {
      ...block.params,
      M: queries,
      K,
      ...stridesOfA(rows),
      c_start: to.start,
      c_batch: to.batch,
      c_head: to.head,
      c_row: 1,
      c_col: to.row,
    },
    groups: Math.ceil(
      (planes * queries * Math.ceil(K / transposeKernel.constant('RUN'))) / transposeKernel.workgroupSize,
    ),
  });
  return to;
}

/** Queries whose weights every matmul reads together: they divide by its columns of a workgroup. */
function queriesTogether({ problem, queries }: QueryBlock, keys: number): number {
  const columns = [keys, problem.K].map((M) => {
    const { threadN, wg } = planRegisterTile(problem.q.tensor.gpu.target, M, Math.ceil(queries / 4), 4);
    return 4 * threadN * wg;
  });
  const [few, many] = columns.sort((a, b) => a - b);
  return many % few === 0 ? many : few * many;
}

function product(
  block: QueryBlock,
  kind: ProductKind,
  { M, N, K }: ProductSizes,
  operands: ProductOperands,
): void {
  const { a, b, c, perQuery, bias, scale = 1, adds = false, sight } = operands;
  const planes = block.planes / c.group;
  const hidden = sightCall(sight, hiddenFrom(kind, operands));
  const strides = [b.start, b.batch, b.head, b.row];
  const vec = strides.every((stride) => stride % 4 === 0) ? 4 : 1;
  const vecs = Math.ceil(N / vec);
  const { target } = c.tensor.gpu;
  const tile = planRegisterTile(target, M, vecs, vec);
  const [b_start, b_batch, b_head, b_step] = strides.map((stride) => stride / vec);
  const groupsM = Math.ceil(M / tile.threadM);
  const groupsN = Math.ceil(vecs / tile.threadN / tile.wg);
  run(productKernel, {
    bind: { a: a.tensor, b: b.tensor, c: c.tensor, per_query: perQuery, mask_bias: bias, ...hidden.bind },
    params: {
      ...block.params,
      ...hidden.params,
      planes,
      M,
      N,
      K,
      groups_m: groupsM,
      groups_n: groupsN,
      scale,
      ...stridesOfA(a),
      b_start,
      b_batch,
      b_head,
      b_step,
      c_start: c.start,
      c_batch: c.batch,
      c_head: c.head,
      c_row: c.row,
      c_col: c.col,
      together: kind === 'WEIGHTS' && sight ? queriesTogether(block, M) : 1,
    },
    define: {
      Vec: vec === 4 ? 'vec4f' : 'f32',
      VEC: vec,
      ...registerDefine(tile, target),
      KIND: kind,
      ADDS: adds,
      HAS_MASK: !!bias,
      A_GROUP: a.group,
      MEMBERS: c.group,
      ...hidden.define,
    },
    groups: groupsM * groupsN * planes,
    flops: 2 * block.planes * M * N * K,
  });
}

function scores(block: QueryBlock, keys: number): View {
  return block.scratch(keys, block.queries);
}

function attend(
  block: QueryBlock,
  segments: readonly PlacedSegment[],
  allKeys: number,
  out: Rows,
  lse: Tensor,
): void {
  const { planes, queries: N } = block;
  const { K, q, scale } = block.problem;
  using inverse_sum = output([lse], lse.shape);
  const queries = transposed(block, block.rows(q));
  const weights = scores(block, allKeys);
  for (const { k, keys, before, bias, sight } of segments) {
    const operands = { a: block.keys(k), b: queries, c: fromRow(weights, before), bias, scale, sight };
    product(block, 'SCORES', { M: keys, N, K }, operands);
  }
  const { before, keys, sight } = segments[segments.length - 1];
  const hidden = sightCall(sight, 'ELEMENTS');
  run(weightsKernel, {
    bind: { weights: weights.tensor, lse, inverse_sum, ...hidden.bind },
    params: {
      ...block.params,
      ...stridesOfA(weights),
      ...hidden.params,
      M: allKeys,
      N,
      before,
      together: sight ? queriesTogether(block, keys) : 1,
    },
    define: hidden.define,
    groups: Math.ceil((planes * N) / weightsKernel.workgroupSize),
    flops: 10 * planes * N * allKeys,
  });
  const c = transpose(block.rows(out));
  for (const { v, keys, before, sight } of segments) {
    const operands = { a: transpose(block.keys(v)), b: fromRow(weights, before), c, sight };
    product(
      block,
      'NORMALISED',
      { M: K, N, K: keys },
      { ...operands, perQuery: inverse_sum, adds: before > 0 },
    );
  }
}

export const registerKernels: BlockKernels = { align: 1, scores, transposed, product, attend };
