// Which kernel and which tile for which shape: pure functions of the adapter class and the sizes.
//
// Their constants were measured on lavapipe and on an NVIDIA H200; on other GPUs they are an estimate. No table of measured
// choices ships with the package: `engine.tune()` makes one for the adapter at hand, and Engine.create takes it.

import type { AdapterClass, MatrixShape } from '../../gpu/target.ts';
import type { MatmulForce, Tuning } from '../../gpu/tuning.ts';
import { type Block, planBlock } from '../register_tile.ts';
import { TILE_GROUPS, TILES, type Tile, tileBytes, tileColumns, UNITS } from '../shared_tile.ts';

export interface MatmulFacts {
  readonly adapterClass: AdapterClass;
  /** Invocations of every subgroup. Default 1: unknown. */
  readonly subgroupSize?: number;
  /** Of the matrix units, where they may be used. */
  readonly matrixUnit?: MatrixShape;
  readonly M: number;
  readonly N: number;
  readonly K: number;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  /** Products in the batch. Default 1. */
  readonly batch?: number;
  /** Bias, gelu or residual follow; then K stays whole, since only complete sums may pass through them. */
  readonly epilogue?: boolean;
  /** Bytes that a workgroup may share. Default: what WebGPU grants everywhere. */
  readonly workgroupBytes?: number;
}

/** Its block is for `registers`. */
export interface MatmulPlan extends Block {
  readonly variant: 'registers' | 'tiled' | 'subgroup_matrix';
  /** Rows of c that a workgroup of `tiled` computes; of `subgroup_matrix`, see MATRIX_TILES. */
  readonly tile: Tile;
  /** f32 per lane of c (and of b for `registers`). */
  readonly lane: 1 | 4;
  /** Turn a transposed b into [K, N] first (`registers`). */
  readonly transposeFirst: boolean;
  /** Read four rows of a at once, out of [K, M]; an a that does not lie so is turned first (`registers`). */
  readonly quads: boolean;
  /** Parts of K that are summed apart and added in a second pass. */
  readonly slices: number;
}

/** Workgroups of the larger tiles that a unit of an NVIDIA H200 works on at once. */
const HELD = { 128: 2, 96: 3 } as const;
/** A workgroup that has its unit for itself takes this many times its share of the time of two. */
const ALONE = 1.6;

/** Time that a unit which holds so many workgroups at once takes for its part of all, in workgroups. */
function unitTime(held: number, groups: number): number {
  const round = UNITS * held;
  const rest = Math.ceil((groups % round) / UNITS);
  return Math.floor(groups / round) * held + (rest === 1 ? ALONE : rest);
}

/** The tile wanted, if it fits; else the largest that gives enough workgroups or, where K may be split, that is not mostly edge. */
function planTile(
  { M, N, K, batch = 1, epilogue = false, workgroupBytes = 16_384 }: MatmulFacts,
  wanted?: Tile,
): Tile {
  const groups = (tile: Tile): number => batch * Math.ceil(M / tile) * Math.ceil(N / tileColumns(tile));
  const suits = (tile: Tile): boolean =>
    groups(tile) >= TILE_GROUPS[tile] || (!epilogue && K >= 2 * SLICE_TERMS && Math.min(M, N) > 0.75 * tile);
  const fitting = TILES.filter((tile) => tileBytes(tile, tileColumns(tile)) <= workgroupBytes);
  const tile = fitting.find((tile) => (wanted ? tile === wanted : suits(tile))) ?? 32;
  if (tile !== 128 || wanted) return tile;
  const time = (tile: keyof typeof HELD): number => {
    const slices = epilogue ? 1 : planSlices(GROUPS_WANTED, groups(tile), K);
    return (tile * unitTime(HELD[tile], groups(tile) * slices)) / slices;
  };
  return time(96) < time(128) ? 96 : 128;
}

/** Rows and columns of c that the four subgroups of a workgroup of `subgroup_matrix` compute, by the tile of its plan. */
export const MATRIX_TILES: Readonly<Record<Tile, readonly [number, number]>> = {
  128: [128, 128],
  96: [128, 128],
  64: [128, 64],
  32: [64, 64],
};
/** TFLOP/s of the larger two on an NVIDIA H200 that is full, and how many a unit works on at once. */
const MATRIX_RATE = { 128: 200, 64: 168 } as const;
const MATRIX_HELD = { 128: 2, 64: 3 } as const;

function planMatrixTile({ M, N, batch = 1 }: MatmulFacts, wanted?: Tile): Tile {
  const groups = (tile: Tile): number => {
    const [rows, columns] = MATRIX_TILES[tile];
    return batch * Math.ceil(M / rows) * Math.ceil(N / columns);
  };
  const time = (tile: keyof typeof MATRIX_HELD): number =>
    (tile * unitTime(MATRIX_HELD[tile], groups(tile))) / MATRIX_RATE[tile];
  if (wanted) return wanted;
  if (groups(64) < UNITS) return 32;
  return time(64) < time(128) ? 64 : 128;
}

/** Workgroups that keep a large GPU busy. */
const GROUPS_WANTED = 512;

/** Rows of a from which turning b costs less than it saves: measured on lavapipe, 20 % at 2304 rows. */
const TRANSPOSE_ROWS = 64;

/** Columns of c from which turning a costs less than it saves. */
const QUADS_COLUMNS = 96;

/** Terms a slice has at least; fewer would cost more in the second pass than they bring. */
const SLICE_TERMS = 256;

/** Parts that a sum over K may have. */
const mostSlices = (K: number): number => Math.max(1, Math.min(64, Math.floor(K / SLICE_TERMS)));

/** Parts of a sum over K that make enough of some workgroups. */
const planSlices = (wanted: number, groups: number, K: number): number =>
  Math.min(Math.ceil(wanted / Math.max(1, groups)), mostSlices(K));

/** Names a product in a tuning table: '729x1152x4304 NT' or, in a batch of 16, '729x72x729 NN 16'. */
export function matmulKey({ M, N, K, transposeA, transposeB, batch = 1 }: MatmulFacts): string {
  const form = `${transposeA ? 'T' : 'N'}${transposeB ? 'T' : 'N'}`;
  return `${M}x${N}x${K} ${form}${batch > 1 ? ` ${batch}` : ''}`;
}

/** Every choice that is legal for a product, one for each different plan. */
export function matmulCandidates(facts: MatmulFacts): MatmulForce[] {
  const candidates = new Map<string, MatmulForce>();
  const slicesMax = facts.epilogue ? 1 : mostSlices(facts.K);
  const offer = (force: MatmulForce): void => {
    for (let slices = 1; slices <= slicesMax; slices *= 2) {
      const plan = JSON.stringify(planMatmul(facts, { ...force, slices }));
      if (!candidates.has(plan)) candidates.set(plan, { ...force, slices });
    }
  };
  for (const transposeFirst of facts.transposeB ? [true, false] : [false])
    offer({ variant: 'registers', transposeFirst });
  for (const tile of TILES) offer({ variant: 'tiled', tile });
  // Where there are no matrix units this plans the same again.
  for (const tile of [128, 64, 32] as const) offer({ variant: 'subgroup_matrix', tile });
  return [...candidates.values()];
}

/**
 * Chooses kernel, block and split for one (batched) product.
 *
 * @param force   overrides every other choice
 * @param tuning  measured choices, which come before those made here
 */
export function planMatmul(facts: MatmulFacts, force: MatmulForce = {}, tuning?: Tuning): MatmulPlan {
  const tuned = tuning?.matmul[matmulKey(facts)];
  if (tuned) return planMatmul(facts, { ...tuned, ...force });
  const { adapterClass, matrixUnit, M, N, K, transposeA, transposeB, batch = 1, epilogue = false } = facts;
  const software = adapterClass === 'software';
  const square = matrixUnit ? 'subgroup_matrix' : 'tiled';
  const wanted = force.variant ?? (software || M <= 8 ? 'registers' : square);
  const variant = wanted === 'registers' || wanted === 'tiled' ? wanted : square;
  const transposeFirst =
    variant === 'registers' && transposeB && (force.transposeFirst ?? (M >= TRANSPOSE_ROWS && N > 1));
  const lane = N % 4 === 0 && (variant !== 'registers' || !transposeB || transposeFirst) ? 4 : 1;
  const block = planBlock(facts, M, N / lane, lane);
  const quads =
    variant === 'registers' &&
    software &&
    block.handed === 1 &&
    M >= 8 &&
    (transposeA ? M % 4 === 0 : N >= QUADS_COLUMNS);
  const tile = variant === 'tiled' ? planTile(facts, force.tile) : planMatrixTile(facts, force.tile);
  const [tileM, tileN] = variant === 'subgroup_matrix' ? MATRIX_TILES[tile] : [tile, tileColumns(tile)];
  const groups =
    variant !== 'registers'
      ? batch * Math.ceil(M / tileM) * Math.ceil(N / tileN)
      : batch * Math.ceil(M / block.rows) * Math.ceil(N / lane / block.cols / block.width);
  const split = planSlices(software ? 16 : GROUPS_WANTED, groups, K);
  const slices = epilogue ? 1 : (force.slices ?? split);
  return { variant, tile, lane, ...block, transposeFirst, quads, slices };
}
