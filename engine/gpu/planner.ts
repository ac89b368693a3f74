// Which kernel and which tile for which shape: pure functions of the adapter class and the sizes.
//
// Their constants were measured on lavapipe and on an NVIDIA H200; on other GPUs they are an estimate. No table of measured
// choices ships with the package: `engine.tune()` makes one for the adapter at hand, and Engine.create takes it.

import type { MatrixShape } from './target.ts';

/** Software adapters run on the CPU: a barrier costs them much, a register block little. */
export type AdapterClass = 'software' | 'gpu';

/** A kind of product that the matrix units of an adapter have, as WebGPU lists them. */
export interface MatrixConfig extends MatrixShape {
  readonly componentType: string;
  readonly resultComponentType: string;
}

/** The largest product of f16 summed in f32 that `matmul_subgroup_matrix` can be made of. */
export function planMatrixUnit(configs: readonly MatrixConfig[]): MatrixShape | undefined {
  const sizeOf = ({ M, N, K }: MatrixShape): number => M * N * K;
  const fitting = configs.filter(
    ({ componentType, resultComponentType, M, N, K }) =>
      componentType === 'f16' &&
      resultComponentType === 'f32' &&
      [M, N, K].every((extent) => 16 % extent === 0),
  );
  const [best] = fitting.sort((a, b) => sizeOf(b) - sizeOf(a));
  return best && { M: best.M, N: best.N, K: best.K };
}

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

/** Choices that tests and tuning impose. */
export type MatmulForce = Partial<Pick<MatmulPlan, 'variant' | 'slices' | 'transposeFirst' | 'tile'>>;

/** Rows of c that a workgroup of `tiled` may compute. */
const TILES = [128, 96, 64, 32] as const;
export type Tile = (typeof TILES)[number];

/** Its columns. */
export const tileColumns = (tile: Tile): number => (tile === 96 ? 128 : tile);

/** What shaders/lib/tile.wgsl keeps in a workgroup: 16 terms of M rows of a and N columns of b, with three vec4 to spare each. */
export const tileBytes = (M: number, N: number): number => 16 * (4 * M + 48 + 4 * N + 48);

/** Workgroups from which a tile is worth its size, measured on an NVIDIA H200: smaller ones keep more of a large GPU busy. */
export const TILE_GROUPS: Readonly<Record<Tile, number>> = { 128: 170, 96: 170, 64: 600, 32: 0 };

/** Of that GPU, since WebGPU tells of none: its units, and how many workgroups of the larger tiles one of them works on at once. */
export const UNITS = 132;
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

/** What one invocation and one workgroup of a product in registers compute. */
export interface Block {
  /** Rows and lanes of c per invocation. */
  readonly rows: number;
  readonly cols: number;
  /** Invocations per workgroup. */
  readonly width: number;
  /** Rows of a that a workgroup reads at once and hands round: 1, or its width. */
  readonly handed: number;
}

/**
 * Throughput of blocks by their lanes, as fractions of the best: lavapipe, 512 x 512 x 512. First with rows handed round (16
 * rows), then without (8 rows). A block as wide as three vec4 matters because widths of 96 and 384 divide by it.
 */
const SPEED: Readonly<Record<'handed' | 'plain', Readonly<Record<1 | 4, readonly number[]>>>> = {
  handed: { 4: [0.85, 1, 0.93, 1], 1: [0.4, 0.67, 0.78, 0.87, 0.92, 0.97, 0.98, 1] },
  plain: { 4: [0.78, 1, 1], 1: [0.3, 0.5, 0.67, 0.8, 0.86, 0.92, 0.96, 1] },
};

/** The block for M rows of c and `lanes` lanes of `lane` numbers each that wastes least. */
export function planBlock(
  { adapterClass, subgroupSize = 1 }: Pick<MatmulFacts, 'adapterClass' | 'subgroupSize'>,
  M: number,
  lanes: number,
  lane: 1 | 4,
): Block {
  const software = adapterClass === 'software';
  const handed = software && M >= 8 && (subgroupSize === 4 || subgroupSize === 8) ? subgroupSize : 1;
  const width = handed > 1 ? handed : software ? 8 : 32;
  // Sixteen rows are also faster where a subgroup has four invocations, but take that driver seconds to compile.
  const rows = handed === 8 && M > 8 ? 16 : 2 ** Math.ceil(Math.log2(Math.min(8, Math.max(1, M))));
  let cols = 1;
  let leastTime = Number.POSITIVE_INFINITY;
  SPEED[handed > 1 ? 'handed' : 'plain'][lane].forEach((speed, i) => {
    const time = (Math.ceil(lanes / ((i + 1) * width)) * (i + 1)) / speed;
    // Of equals the narrower: it needs fewer registers.
    if (time < leastTime) {
      leastTime = time;
      cols = i + 1;
    }
  });
  return { rows, cols, width, handed };
}

/** Measured choices for one adapter, as `engine.tune()` returns them. Survives JSON. */
export interface Tuning {
  /** Name of the adapter that was measured; another one refuses it. */
  readonly adapter: string;
  /** By `matmulKey`. */
  readonly matmul: Readonly<Record<string, MatmulForce>>;
}

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
