// Matmuls of query blocks on GPUs: in tiles of workgroup memory.
import source from '../../../shaders/attention/tiled.wgsl' with { type: 'text' };
import { kernel } from '../../gpu/kernel.ts';
import { type OpCall, output, run } from '../../tensor/dispatch.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { tileDefine } from '../shared_tile.ts';
import { type BlockTile, type ProductSizes, planBlockTile } from './plan.ts';
import {
  type BlockKernels,
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

const tileKernel = kernel(source, 'attention_tile');
const mergeKernel = kernel(source, 'attention_merge_tiles');

/** A view by its lines: along rows or, where it is transposed, along columns. */
function linesOf(name: string, { start, batch, head, row, col, transposed }: View): Record<string, number> {
  return {
    [`${name}_start`]: start,
    [`${name}_batch`]: batch,
    [`${name}_head`]: head,
    [`${name}_line`]: transposed ? col : row,
  };
}

/** @param group  planes of the block that go into one of c */
function planOf(block: QueryBlock, { M, N, K }: ProductSizes, whole: boolean, group = 1): BlockTile {
  const { planes, problem } = block;
  const sizes = { M, N, K, planes: planes / group };
  return planBlockTile(problem.q.tensor.gpu.target, sizes, whole, problem.unit);
}

/** [splits, planes of c in the block, M, N] */
function splitSumsOf(block: QueryBlock, splits: number, { M, N }: ProductSizes, group = 1): Tensor {
  return output([block.problem.q.tensor], [splits, block.planes / group, M, N]);
}

/** Sums from a split on. */
function viewOf({ plane, problem }: QueryBlock, splitSums: Tensor, split: number, group = 1): View {
  const [, planes, M, N] = splitSums.shape;
  const head = M * N;
  return {
    tensor: splitSums,
    start: (split * planes - plane / group) * head,
    batch: (problem.H / group) * head,
    head,
    row: N,
    col: 1,
    transposed: false,
    group,
  };
}

/** Bindings, params and constants that only matmuls of SCORES and OUTPUT have. */
type Extras = Partial<Pick<OpCall, 'bind' | 'params' | 'define'>>;

/** A matmul whose c is contiguous along n. */
function multiplyTiles(
  block: QueryBlock,
  kind: ProductKind,
  { M, N, K }: ProductSizes,
  operands: ProductOperands,
  { tileM, tileN, splits }: BlockTile,
  extras: Extras = {},
): void {
  const { a, b, c, perQuery, bias, scale = 1, adds = false, sight } = operands;
  const { unit } = block.problem;
  const planes = block.planes / c.group;
  const hidden = sightCall(sight, hiddenFrom(kind, operands));
  const TILE_K = tileKernel.constant('TILE_K');
  const [groupsM, groupsN] = [Math.ceil(M / tileM), Math.ceil(N / tileN)];
  run(tileKernel, {
    bind: {
      ...{ a: a.tensor, b: b.tensor, c: c.tensor, per_query: perQuery, mask_bias: bias },
      ...hidden.bind,
      ...extras.bind,
    },
    params: {
      ...block.params,
      ...hidden.params,
      planes,
      M,
      N,
      K,
      scale,
      splits,
      groups_m: groupsM,
      groups_n: groupsN,
      k_split: Math.ceil(K / splits / TILE_K) * TILE_K,
      c_split: planes * M * N,
      ...linesOf('a', a),
      ...linesOf('b', b),
      ...linesOf('c', c),
      tiles: 0,
      first_tile: 0,
      pitch: 0,
      first_split: 0,
      ...extras.params,
    },
    define: {
      KIND: kind,
      ADDS: adds,
      HAS_MASK: !!bias,
      A_GROUP: a.group,
      B_GROUP: b.group,
      MEMBERS: c.group,
      ...hidden.define,
      ...extras.define,
      TRANSPOSE_A: a.transposed,
      TRANSPOSE_B: b.transposed,
      ...tileDefine(c.tensor.gpu.target, tileM, tileN, unit),
      ...(!unit && { SHORT_END: splits === 1 && (K - 1) % TILE_K < TILE_K / 2 }),
    },
    groups: groupsM * groupsN * planes * splits,
    flops: 2 * block.planes * M * N * K,
  });
}

function mergeTiles(
  block: QueryBlock,
  kind: ProductKind,
  { c, perQuery, bias, scale = 1, adds = false }: Omit<ProductOperands, 'a' | 'b'>,
  splitSums: Tensor,
  bind?: OpCall['bind'],
): void {
  const [splits, planes, M, N] = splitSums.shape;
  run(mergeKernel, {
    bind: { split_sums: splitSums, c: c.tensor, per_query: perQuery, mask_bias: bias, ...bind },
    params: { ...block.params, ...linesOf('c', c), planes, M, N, scale, splits, offset: 0 },
    define: { KIND: kind, ADDS: adds, HAS_MASK: !!bias, MEMBERS: c.group },
    groups: Math.ceil(splitSums.size / splits / 4 / mergeKernel.workgroupSize),
  });
}

function product(block: QueryBlock, kind: ProductKind, sizes: ProductSizes, operands: ProductOperands): void {
  const { a, b, c, sight, sumsQueries } = operands;
  if (c.transposed) {
    // Lines of c run along m: c' = b' a'.
    const exchanged = { ...operands, a: transpose(b), b: transpose(a), c: transpose(c) };
    product(block, kind, { M: sizes.N, N: sizes.M, K: sizes.K }, exchanged);
    return;
  }
  const plan = planOf(block, sizes, kind !== 'SUMS', c.group);
  if (plan.splits === 1) {
    multiplyTiles(block, kind, sizes, operands, plan);
    return;
  }
  using splitSums = splitSumsOf(block, plan.splits, sizes, c.group);
  const sums = { a, b, c: viewOf(block, splitSums, 0, c.group), sight, sumsQueries };
  multiplyTiles(block, 'SUMS', sizes, sums, plan);
  mergeTiles(block, kind, operands, splitSums);
}

/** Lines of keys, so that a workgroup finds the scores of a query side by side. */
function scores(block: QueryBlock, keys: number): View {
  return transpose(block.scratch(block.queries, keys));
}

function attend(
  block: QueryBlock,
  segments: readonly PlacedSegment[],
  allKeys: number,
  out: Rows,
  lse: Tensor,
): void {
  const { planes, queries: M } = block;
  const { K, q, scale } = block.problem;
  const pitch = 4 * Math.ceil(M / 4);
  const weights = transpose(scores(block, allKeys));
  const from = (before: number): View => ({ ...weights, start: weights.start + before });
  const plans = segments.map(({ keys: N }) => planOf(block, { M, N, K }, true));
  const across = segments.map(({ keys }, i) => Math.ceil(keys / plans[i].tileN));
  const tiles = across.reduce((sum, n) => sum + n);
  using tile_max = output([lse], [planes, tiles, pitch]);
  segments.forEach(({ k, keys: N, before, bias, sight }, i) => {
    const operands = { a: block.rows(q), b: transpose(block.keys(k)), c: from(before), bias, scale, sight };
    const params = { tiles, pitch, first_tile: i > 0 ? across[0] : 0 };
    multiplyTiles(block, 'SCORES', { M, N, K }, operands, plans[i], { bind: { tile_max }, params });
  });

  const outs = segments.map(({ keys }) => planOf(block, { M, N: K, K: keys }, false));
  const splits = outs.reduce((sum, one) => sum + one.splits, 0);
  const SPLIT = splits > 1;
  const c = block.rows(out);
  using splitSums = SPLIT ? splitSumsOf(block, splits, { M, N: K, K: 0 }) : undefined;
  using max_sum = SPLIT ? output([lse], [splits, planes, M, 2]) : undefined;
  segments.forEach(({ v, keys, before, sight }, i) => {
    const first_split = i > 0 ? outs[0].splits : 0;
    const operands = {
      a: from(before),
      b: block.keys(v),
      c: splitSums ? viewOf(block, splitSums, first_split) : c,
      sight,
    };
    const bind = { tile_max, lse: max_sum ?? lse };
    const params = { tiles, pitch, first_split };
    multiplyTiles(block, 'OUTPUT', { M, N: K, K: keys }, operands, outs[i], {
      bind,
      params,
      define: { SPLIT },
    });
  });
  if (splitSums) mergeTiles(block, 'OUTPUT', { c }, splitSums, { max_sum, lse });
}

export const tiledKernels: BlockKernels = {
  align: 4, // a vec4f
  scores,
  transposed: (_block, rows) => transpose(rows),
  product,
  attend,
};
