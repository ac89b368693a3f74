// Matmuls of query blocks on software adapters: in registers, an invocation for some rows and columns.
import source from '../../../shaders/attention/register.wgsl' with { type: 'text' };
import { type Define, kernel } from '../../gpu/kernel.ts';
import type { Target } from '../../gpu/target.ts';
import { output, planned } from '../../tensor/dispatch.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { planRegisterTile, registerDefine } from '../register_tile.ts';
import type { ProductSizes } from './plan.ts';
import {
  type BlockKernels,
  fromRow,
  hiddenFrom,
  type Layout,
  numbersOf,
  type PlacedSegment,
  type ProductKind,
  type ProductOperands,
  type QueryBlock,
  type Rows,
  readNumbers,
  transpose,
  type View,
} from './query_block.ts';
import { sightCall } from './sight.ts';

const productKernel = kernel(source, 'attention_product');
const transposeKernel = kernel(source, 'attention_transpose');
const weightsKernel = kernel(source, 'attention_weights');

const stridesOfA = ({ start, batch, head, row, col }: Layout) => ({
  a_start: start,
  a_batch: batch,
  a_head: head,
  a_row: row,
  a_step: col,
});

/** [planes of the block, K, queries] in scratch memory. */
function transposed(block: QueryBlock, rows: View): View {
  const { K } = block.problem;
  const to = block.scratch(K, block.queries);
  const bind = { source: rows.tensor, transposed: to.tensor };
  runTranspose(bind, block.queries, K, ...numbersOf(block, rows, to, to));
  return to;
}

const runTranspose = planned((_gpu, M: number, K: number, ...numbers: number[]) => {
  const {
    block,
    views: [rows, to],
  } = readNumbers(numbers);
  return {
    kernel: transposeKernel,
    params: {
      ...block,
      M,
      K,
      ...stridesOfA(rows),
      c_start: to.start,
      c_batch: to.batch,
      c_head: to.head,
      c_row: 1,
      c_col: to.row,
    },
    groups: Math.ceil(
      (block.planes * M * Math.ceil(K / transposeKernel.constant('RUN'))) / transposeKernel.workgroupSize,
    ),
  };
});

/** Queries whose weights every matmul reads together: they divide by its columns of a workgroup. 1 where nothing is hidden. */
function queriesTogether(target: Target, hides: Define, keys: number, queries: number, K: number): number {
  if (!('HIDES' in hides)) return 1;
  const columns = [keys, K].map((M) => {
    const { threadN, wg } = planRegisterTile(target, M, Math.ceil(queries / 4), 4);
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
  const { bind, params, define } = sightCall(sight, hiddenFrom(kind, operands));
  runProduct(
    { a: a.tensor, b: b.tensor, c: c.tensor, per_query: perQuery, mask_bias: bias, ...bind },
    ...([kind, M, N, K, scale, adds, !!bias, define, params.offset] as const),
    ...numbersOf(block, a, b, c),
  );
}

const runProduct = planned(
  (
    { target },
    ...[kind, M, N, K, scale, ADDS, HAS_MASK, hides, offset, ...numbers]: readonly [
      ...[kind: ProductKind, M: number, N: number, K: number, scale: number, adds: boolean, mask: boolean],
      ...[hides: Define, offset: number, ...numbers: number[]],
    ]
  ) => {
    const {
      block,
      views: [a, b, c],
    } = readNumbers(numbers);
    const planes = block.planes / c.group;
    const strides = [b.start, b.batch, b.head, b.row];
    const vec = strides.every((stride) => stride % 4 === 0) ? 4 : 1;
    const vecs = Math.ceil(N / vec);
    const tile = planRegisterTile(target, M, vecs, vec);
    const [b_start, b_batch, b_head, b_step] = strides.map((stride) => stride / vec);
    const groupsM = Math.ceil(M / tile.threadM);
    const groupsN = Math.ceil(vecs / tile.threadN / tile.wg);
    return {
      kernel: productKernel,
      params: {
        ...block,
        ...{ offset, planes, M, N, K, scale, b_start, b_batch, b_head, b_step },
        groups_m: groupsM,
        groups_n: groupsN,
        ...stridesOfA(a),
        c_start: c.start,
        c_batch: c.batch,
        c_head: c.head,
        c_row: c.row,
        c_col: c.col,
        together: kind === 'WEIGHTS' ? queriesTogether(target, hides, M, N, K) : 1,
      },
      define: {
        Vec: vec === 4 ? 'vec4f' : 'f32',
        VEC: vec,
        ...registerDefine(tile, target),
        KIND: kind,
        ADDS,
        HAS_MASK,
        A_GROUP: a.group,
        MEMBERS: c.group,
        ...hides,
      },
      groups: groupsM * groupsN * planes,
      flops: 2 * block.planes * M * N * K,
    };
  },
);

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
  const { queries: N } = block;
  const { K, q, scale } = block.problem;
  using inverse_sum = output([lse], lse.shape);
  const queries = transposed(block, block.rows(q));
  const weights = scores(block, allKeys);
  for (const { k, keys, before, bias, sight } of segments) {
    const operands = { a: block.keys(k), b: queries, c: fromRow(weights, before), bias, scale, sight };
    product(block, 'SCORES', { M: keys, N, K }, operands);
  }
  const { before, keys, sight } = segments[segments.length - 1];
  const { bind, params, define } = sightCall(sight, 'ELEMENTS');
  runWeights(
    { weights: weights.tensor, lse, inverse_sum, ...bind },
    ...([allKeys, keys, N, K, before, define, params.offset] as const),
    ...numbersOf(block, weights, weights, weights),
  );
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

const runWeights = planned(
  (
    { target },
    ...[allKeys, keys, N, K, before, hides, offset, ...numbers]: readonly [
      ...[allKeys: number, keys: number, N: number, K: number, before: number],
      ...[hides: Define, offset: number, ...numbers: number[]],
    ]
  ) => {
    const {
      block,
      views: [weights],
    } = readNumbers(numbers);
    return {
      kernel: weightsKernel,
      params: {
        ...block,
        ...stridesOfA(weights),
        ...{ offset, M: allKeys, N, before },
        together: queriesTogether(target, hides, keys, N, K),
      },
      define: hides,
      groups: Math.ceil((block.planes * N) / weightsKernel.workgroupSize),
      flops: 10 * block.planes * N * allKeys,
    };
  },
);

export const registerKernels: BlockKernels = { align: 1, scores, transposed, product, attend };
