// Which kernels for which attention: pure functions of a target and sizes, the only place of the family that
// asks what an adapter is good at.
//
//   composed       matmul, softmax, matmul; all T x M scores in memory. The only one that takes masks of any
//                  form, a soft cap, and values of another size than keys.
//   query_blocks   the scores of some queries at a time are stored and read again; all gradients are
//                  computed so. Matmuls in registers on CPUs, where a barrier is expensive: lavapipe, 256
//                  queries over 985 keys of 16 heads of 72 in 143 ms. Matmuls in tiles on GPUs: NVIDIA H200,
//                  0.102 ms.
//   split_kv       flash-decoding, nothing of size T x M written: wins with one or two queries on CPUs.
//                  lavapipe, 16 heads of 72, 729 keys: 5.1, 8.1 and 20 ms for 1, 2 and 4 queries, where query
//                  blocks take 8.0, 9.8 and 8.4. And for one query on GPUs, a token that is decoded or a
//                  pooling, of which tiles would use one row: unmeasured on hardware.
//   flash          the same with tiles of 64 queries, for GPUs: no scores are written and read again, which on an
//                  H200 are 539 MB of a look's layer. Unmeasured on hardware, so that only `force` chooses it.
//
// Rows `self_attention` and `pool_attention` of bench/ops/attention.bench.ts.
import type { MatrixShape, Target } from '../../gpu/target.ts';
import type { ProductDType } from '../../tensor/autograd.ts';
import { FEW_TERMS, TILE_GROUPS, type Tile, tileBytes, wholeColumns } from '../shared_tile.ts';

/** How attention is computed, where there is more than one way. */
export type AttentionVariant = 'query_blocks' | 'split_kv' | 'flash';

/** H heads of K elements, T queries, and the keys of each segment. */
export interface AttentionSizes {
  readonly B: number;
  readonly T: number;
  readonly H: number;
  readonly K: number;
  readonly keys: readonly number[];
  /** Neighbouring heads that share one head of keys, 1 by default; a block has all or none of them. */
  readonly group?: number;
  /** f32: operands must not be rounded; f16: they shall be, on matrix units. Default: as is faster. */
  readonly products?: ProductDType;
}

/** Planes (a head of a batch entry each) and queries whose scores are in memory at a time. */
export interface BlockSize {
  readonly planes: number;
  readonly queries: number;
}

export interface AttentionPlan {
  readonly variant: AttentionVariant;
  /** How the matmuls of query blocks are computed. */
  readonly products: 'register' | 'tiled';
  /** Zeros to append to every head first: tiles are read by vec4f. */
  readonly padding: number;
  readonly forward: BlockSize;
  readonly backward: BlockSize;
  /** Multiplies tiles in the forward pass. */
  readonly unit: MatrixShape | undefined;
  /** Of split_kv and flash: keys of a split, for each segment. */
  readonly splitKeys: readonly number[];
  /** Of split_kv: the shader's loops over a head are unrolled. */
  readonly unrolled: boolean;
  /** Of split_kv and flash: splits whose partial results are merged without waiting for one before the next; on GPUs unmeasured. */
  readonly mergedAtOnce: number;
}

/** From here on query blocks are ahead on CPUs; measured on lavapipe, see above. */
const BLOCK_QUERIES = 3;
/** Larger heads do not fit into the registers of an invocation. */
const SPLIT_HEAD = 128;
/** Fewest keys of a split: a merge of more splits would cost more than it spreads. lavapipe, one query. */
const SPLIT_KEYS = 32;

/** Queries of a workgroup of `flash` (`const TILE_T` of shaders/attention/flash.wgsl). */
export const FLASH_QUERIES = 64;

export function planAttention(
  target: Target,
  sizes: AttentionSizes,
  force?: AttentionVariant,
): AttentionPlan {
  const { B, T, H, K } = sizes;
  const { without } = target;
  const onGpu = target.kind === 'gpu';
  const canRound = sizes.products === 'f16' || (onGpu && sizes.products !== 'f32');
  const isRounded = canRound && target.matrixUnit !== undefined && !without.includes('attention_matrices');
  const isTiled = (onGpu || isRounded) && !without.includes('attention_tiled');
  const products = isTiled ? 'tiled' : 'register';
  const few = !without.includes('split_kv') && T < (onGpu ? 2 : BLOCK_QUERIES);
  const variant = K > SPLIT_HEAD ? 'query_blocks' : (force ?? (few ? 'split_kv' : 'query_blocks'));
  const splits =
    variant === 'flash'
      ? Math.max(1, Math.floor(target.fillGroups / (B * Math.ceil(T / FLASH_QUERIES) * H)))
      : Math.ceil(target.fillInvocations / (B * T * H));
  const inFours = products === 'tiled' || variant === 'flash';
  return {
    variant,
    products,
    padding: inFours && K % 4 !== 0 ? 4 - (K % 4) : 0,
    forward: planBlocks(products, sizes, 1.3),
    backward: planBlocks(products, sizes, 0.65),
    unit: isTiled && isRounded ? target.matrixUnit : undefined,
    splitKeys: sizes.keys.map((keys) => Math.max(SPLIT_KEYS, Math.ceil(keys / splits))),
    unrolled: target.kind === 'cpu',
    mergedAtOnce: onGpu ? 8 : 1,
  };
}

/**
 * Scores in memory at a time. For matmuls in registers 4 MB, which a CPU's cache holds (lavapipe). For tiles
 * 36 MiB at least, since fewer are too little work in flight, and up to 128 MiB where q, k, v and out are
 * large themselves (NVIDIA H200).
 *
 * @param share  of the elements of q, k, v and out: half as many beside their gradients
 */
function planBlocks(
  products: 'register' | 'tiled',
  { B, T, H, K, keys, group = 1 }: AttentionSizes,
  share: number,
): BlockSize {
  const allKeys = keys.reduce((sum, count) => sum + count, 0);
  const numbers = 2 * B * H * K * (T + allKeys);
  const most = products === 'register' ? 2 ** 20 : Math.min(2 ** 25, Math.max(9 * 2 ** 20, share * numbers));
  const rows = most / allKeys;
  const planes = group * Math.max(1, Math.floor(rows / group / T));
  const queries = Math.max(64, Math.floor(rows / group / 64) * 64);
  return { planes, queries: planes > group ? T : Math.min(T, queries) };
}

/** One matmul of a query block: c[m,n] = sum_k a[m,k] b[k,n] in each of `planes`. */
export interface ProductSizes {
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

/** What a workgroup of attention_tile computes, and in how many splits K is summed. */
export interface BlockTile {
  readonly tileM: number;
  readonly tileN: number;
  readonly splits: number;
}

/** Measured on an NVIDIA H200: fewest terms of a split; columns of c up to which a workgroup computes all. */
const SPLIT_TERMS = 96;
const NARROW = 128;

/**
 * Tiles for `planes` matmuls.
 *
 * @param whole  K must not be split
 * @param unit   multiplies them, if given
 */
export function planBlockTile(
  { workgroupBytes, cores }: Target,
  { M, N, K, planes }: ProductSizes & { readonly planes: number },
  whole: boolean,
  unit?: MatrixShape,
): BlockTile {
  // And five numbers per row.
  const holds = (tile: Tile, width: number, terms?: number): boolean =>
    tileBytes(tile, width, unit, terms) + 20 * tile <= workgroupBytes;
  const allColumns = wholeColumns(N, unit);
  // On matrix units all columns of heads above 80 are more than default limits hold, for 32 rows too.
  const widthOf = (tile: Tile): number =>
    N <= NARROW && holds(tile, allColumns, FEW_TERMS) ? allColumns : tile;
  const groups = (tile: Tile): number => planes * Math.ceil(M / tile) * Math.ceil(N / widthOf(tile));
  // Where K may be split no tile leaves cores without work.
  const suits = (tile: 128 | 64): boolean => (whole ? groups(tile) >= TILE_GROUPS[tile] : M > tile / 2);
  const tileM = ([128, 64] as const).find((tile) => holds(tile, widthOf(tile)) && suits(tile)) ?? 32;
  const splits = Math.min(Math.floor((2 * cores) / groups(tileM)), Math.floor(K / SPLIT_TERMS));
  return { tileM, tileN: widthOf(tileM), splits: whole ? 1 : Math.max(1, splits) };
}
