// Which kernels and which tiles for which attention: pure functions of the adapter class and the sizes.
import type { AdapterClass } from '../../gpu/target.ts';
import { TILE_GROUPS, type Tile, tileBytes, UNITS } from '../shared_tile.ts';

/** How the result is made: `strips` keeps the scores of some queries at a time, `chunks` none. */
export type AttentionVariant = 'strips' | 'chunks';

/** On lavapipe chunks take 5.1, 8.1 and 20 ms for 1, 2 and 4 queries (16 heads of 72, 729 keys), strips 8.0, 9.8 and 8.4. */
const STRIP_QUERIES = 3;

/**
 * Chooses the kernels for attention of T queries of K numbers; its gradients are made in strips in any case. On a GPU strips win, but
 * K has to divide by four.
 */
export function planAttention(
  adapterClass: AdapterClass,
  { T, K }: { T: number; K: number },
  force?: AttentionVariant,
): AttentionVariant {
  if (adapterClass === 'gpu' && K % 4 !== 0) return 'chunks';
  return force ?? (adapterClass === 'gpu' || T >= STRIP_QUERIES ? 'strips' : 'chunks');
}

/** What a workgroup of attention in strips computes on a GPU, and in how many parts K is summed. */
export interface StripTile {
  readonly tileM: number;
  readonly tileN: number;
  readonly slices: number;
}

/** Terms of a slice at least. */
const STRIP_TERMS = 96;

/** Numbers in a line of c up to which one workgroup takes it whole. */
const NARROW = 128;

/**
 * Tiles for `planes` products.
 *
 * @param whole  K must not be sliced
 */
export function planStripTile(
  { M, N, K, planes, whole }: { M: number; N: number; K: number; planes: number; whole: boolean },
  workgroupBytes: number,
): StripTile {
  const widthOf = (tile: Tile): number => (N <= NARROW ? 8 * Math.ceil(N / 8) : tile);
  const groups = (tile: Tile): number => planes * Math.ceil(M / tile) * Math.ceil(N / widthOf(tile));
  // And five numbers per row.
  const fits = (tile: Tile): boolean => tileBytes(tile, widthOf(tile)) + 20 * tile <= workgroupBytes;
  // Where K may be sliced no tile leaves units without work.
  const suits = (tile: Tile): boolean => (whole ? groups(tile) >= TILE_GROUPS[tile] : M > tile / 2);
  const tileM = ([128, 64] as const).find((tile) => fits(tile) && suits(tile)) ?? 32;
  const slices = Math.min(Math.floor((2 * UNITS) / groups(tileM)), Math.floor(K / STRIP_TERMS));
  return { tileM, tileN: widthOf(tileM), slices: whole ? 1 : Math.max(1, slices) };
}

/** Keys of a chunk at least: a merge of more chunks would cost more than it spreads. */
const CHUNK_KEYS = { software: 32, gpu: 16 };
/** Enough for all cores, and for the units of a large GPU. */
const CHUNK_INVOCATIONS = { software: 1024, gpu: 16_384 };

/** Keys of a chunk of attention; where queries are many they keep everyone busy, and no chunk is cut. */
export function planChunk(
  adapterClass: AdapterClass,
  { B, T, heads }: { B: number; T: number; heads: number },
  keys: number,
): number {
  if (T >= STRIP_QUERIES) return Math.max(1, keys);
  const wanted = Math.ceil(CHUNK_INVOCATIONS[adapterClass] / (B * T * heads));
  return Math.max(CHUNK_KEYS[adapterClass], Math.ceil(keys / wanted));
}
