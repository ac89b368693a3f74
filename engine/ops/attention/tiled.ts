// Matmuls of query blocks on GPUs: in tiles of workgroup memory.
import source from '../../../shaders/attention/tiled.wgsl' with { type: 'text' };
import { type Define, kernel } from '../../gpu/kernel.ts';
import type { MatrixShape } from '../../gpu/target.ts';
import { output, planned } from '../../tensor/dispatch.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { tileDefine } from '../shared_tile.ts';
import { type BlockTile, type ProductSizes, planBlockTile } from './plan.ts';
import {
  type BlockKernels,
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

const tileKernel = kernel(source, 'attention_tile');
const mergeKernel = kernel(source, 'attention_merge_tiles');

/** A view by its lines: along rows or, where it is transposed, along columns. */
function linesOf(name: string, { start, batch, head, row, col, transposed }: Layout): Record<string, number> {
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

/** What only matmuls of SCORES and OUTPUT have: bindings, and where a tile's largest scores or a split's sums are. */
interface Extras {
  readonly tile_max?: Tensor;
  readonly lse?: Tensor;
  readonly tiles: number;
  readonly pitch: number;
  readonly firstTile: number;
  readonly firstSplit: number;
  /** Of OUTPUT: its sums are merged afterwards. */
  readonly isSplit?: boolean;
}

const NO_EXTRAS: Extras = { tiles: 0, pitch: 0, firstTile: 0, firstSplit: 0 };

/** A matmul whose c is contiguous along n. */
function multiplyTiles(
  block: QueryBlock,
  kind: ProductKind,
  { M, N, K }: ProductSizes,
  operands: ProductOperands,
  { tileM, tileN, splits }: BlockTile,
  { tile_max, lse, tiles, pitch, firstTile, firstSplit, isSplit }: Extras = NO_EXTRAS,
): void {
  const { a, b, c, perQuery, bias, scale = 1, adds = false, sight } = operands;
  const { bind, params, define } = sightCall(sight, hiddenFrom(kind, operands));
  runTiles(
    {
      a: a.tensor,
      b: b.tensor,
      c: c.tensor,
      per_query: perQuery,
      mask_bias: bias,
      offsets: bind.offsets,
      tile_max,
      lse,
    },
    ...([kind, M, N, K, scale, adds, !!bias, define, params.offset, tileM, tileN, splits] as const),
    ...([block.problem.unit, tiles, pitch, firstTile, firstSplit, isSplit] as const),
    ...numbersOf(block, a, b, c),
  );
}

const runTiles = planned(
  (
    { target },
    ...[kind, M, N, K, scale, ADDS, HAS_MASK, hides, offset, tileM, tileN, splits, ...others]: readonly [
      ...[kind: ProductKind, M: number, N: number, K: number, scale: number, adds: boolean, mask: boolean],
      ...[hides: Define, offset: number, tileM: number, tileN: number, splits: number],
      ...[unit: MatrixShape | undefined, tiles: number, pitch: number, firstTile: number, firstSplit: number],
      ...[isSplit: boolean | undefined, ...numbers: number[]],
    ]
  ) => {
    const [unit, tiles, pitch, first_tile, first_split, SPLIT, ...numbers] = others;
    const {
      block,
      views: [a, b, c],
    } = readNumbers(numbers);
    const planes = block.planes / c.group;
    const TILE_K = tileKernel.constant('TILE_K');
    const [groupsM, groupsN] = [Math.ceil(M / tileM), Math.ceil(N / tileN)];
    return {
      kernel: tileKernel,
      params: {
        ...block,
        ...{ offset, planes, M, N, K, scale, splits, tiles, first_tile, pitch, first_split },
        groups_m: groupsM,
        groups_n: groupsN,
        k_split: Math.ceil(K / splits / TILE_K) * TILE_K,
        c_split: planes * M * N,
        ...linesOf('a', a),
        ...linesOf('b', b),
        ...linesOf('c', c),
      },
      define: {
        KIND: kind,
        ADDS,
        HAS_MASK,
        A_GROUP: a.group,
        B_GROUP: b.group,
        MEMBERS: c.group,
        ...hides,
        ...(SPLIT !== undefined && { SPLIT }),
        TRANSPOSE_A: a.transposed,
        TRANSPOSE_B: b.transposed,
        ...tileDefine(target, tileM, tileN, unit),
        ...(!unit && { SHORT_END: splits === 1 && (K - 1) % TILE_K < TILE_K / 2 }),
      },
      groups: groupsM * groupsN * planes * splits,
      flops: 2 * block.planes * M * N * K,
    };
  },
);

function mergeTiles(
  block: QueryBlock,
  kind: ProductKind,
  { c, perQuery, bias, scale = 1, adds = false }: Omit<ProductOperands, 'a' | 'b'>,
  splitSums: Tensor,
  { max_sum, lse }: { readonly max_sum?: Tensor | undefined; readonly lse?: Tensor } = {},
): void {
  const [splits, planes, M, N] = splitSums.shape;
  runMerge(
    { split_sums: splitSums, c: c.tensor, per_query: perQuery, mask_bias: bias, max_sum, lse },
    ...([kind, splits, planes, M, N, scale, adds, !!bias] as const),
    ...numbersOf(block, c, c, c),
  );
}

const runMerge = planned(
  (
    _gpu,
    ...[kind, splits, planes, M, N, scale, ADDS, HAS_MASK, ...numbers]: readonly [
      ...[kind: ProductKind, splits: number, planes: number, M: number, N: number, scale: number],
      ...[adds: boolean, mask: boolean, ...numbers: number[]],
    ]
  ) => {
    const {
      block,
      views: [c],
    } = readNumbers(numbers);
    return {
      kernel: mergeKernel,
      params: { ...block, ...linesOf('c', c), planes, M, N, scale, splits, offset: 0 },
      define: { KIND: kind, ADDS, HAS_MASK, MEMBERS: c.group },
      groups: Math.ceil((planes * M * N) / 4 / mergeKernel.workgroupSize),
    };
  },
);

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
    const extras = { tile_max, tiles, pitch, firstTile: i > 0 ? across[0] : 0, firstSplit: 0 };
    multiplyTiles(block, 'SCORES', { M, N, K }, operands, plans[i], extras);
  });

  const outs = segments.map(({ keys }) => planOf(block, { M, N: K, K: keys }, false));
  const splits = outs.reduce((sum, one) => sum + one.splits, 0);
  const isSplit = splits > 1;
  const c = block.rows(out);
  using splitSums = isSplit ? splitSumsOf(block, splits, { M, N: K, K: 0 }) : undefined;
  using max_sum = isSplit ? output([lse], [splits, planes, M, 2]) : undefined;
  segments.forEach(({ v, keys, before, sight }, i) => {
    const firstSplit = i > 0 ? outs[0].splits : 0;
    const operands = {
      a: from(before),
      b: block.keys(v),
      c: splitSums ? viewOf(block, splitSums, firstSplit) : c,
      sight,
    };
    const extras = { tile_max, lse: max_sum ?? lse, tiles, pitch, firstTile: 0, firstSplit, isSplit };
    multiplyTiles(block, 'OUTPUT', { M, N: K, K: keys }, operands, outs[i], extras);
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
