// Matmuls in tiles through workgroup memory: the host's side of shaders/lib/shared_tile.wgsl and matrix_tile.wgsl.
import type { Define } from '../gpu/kernel.ts';
import type { MatrixShape, Target } from '../gpu/target.ts';
import { MOST_INVOCATIONS } from './rows.ts';

/** Rows of c that a workgroup of `tiled` may compute. */
export const TILES = [256, 128, 96, 64, 32] as const;
export type Tile = (typeof TILES)[number];

/** Its columns. */
export const tileColumns = (tile: Tile): number => (tile >= 96 ? 128 : tile);

/** Columns up to which each subgroup computes all of them: then more subgroups share the rows. */
const NARROW = 96;
/** Rows of c of a subgroup, of each pass (`const PASS_M` of shaders/lib/matrix_tile.wgsl). */
const PASS_M = 16;
/** Numbers in f16 that it stages together of a row, where they fit; with two for each term half as many terms. */
const MATRIX_TERMS = 32;
/** And where they do not. */
export const FEW_TERMS = 16;
/** Subgroups of a tile of 256 rows. */
const MOST_SUBGROUPS = 8;

/** Four subgroups, along M and N; two for tiles that are small, eight of 64 x 64 for 256 rows. */
const subgroupsOf = (M: number, N: number): readonly [number, number] =>
  M > 128 ? [MOST_SUBGROUPS / 2, 2] : N > NARROW ? [2, 2] : [Math.min(4, M / PASS_M), 1];

/** Columns of a subgroup in a pass. */
const passColumns = (M: number, N: number): number => N / subgroupsOf(M, N)[1] / (M > 128 ? 2 : 1);

/**
 * What a tile keeps in a workgroup. shaders/lib/shared_tile.wgsl: 16 terms of M rows of a and N columns of b, with three more
 * vec4 each. On matrix units: `terms` in f16, with eight more, and a pass of sums.
 */
export function tileBytes(M: number, N: number, unit?: MatrixShape, terms: number = MATRIX_TERMS): number {
  if (!unit) return 16 * (4 * M + 48 + 4 * N + 48);
  const [down, across] = subgroupsOf(M, N);
  return 2 * terms * (M + 8 + N + 8) + 4 * PASS_M * down * across * passColumns(M, N);
}

/** Tiles for which a workgroup has the memory and the invocations, the largest first; 256 rows are for matrix units only. */
export const fittingTiles = (
  { subgroupSize, workgroupBytes }: Target,
  unit?: MatrixShape,
  components: 1 | 2 = 1,
): Tile[] =>
  TILES.filter(
    (tile) =>
      (tile <= 128 || (unit && MOST_SUBGROUPS * subgroupSize <= MOST_INVOCATIONS)) &&
      tileBytes(tile, tileColumns(tile), unit, FEW_TERMS * components) <= workgroupBytes,
  );

/** The columns of a tile that has all N of them. */
export const wholeColumns = (N: number, unit?: MatrixShape): number => {
  const step = unit ? unit.N * subgroupsOf(128, N)[1] : 8;
  return step * Math.ceil(N / step);
};

/**
 * Workgroups from which a tile of this size pays, measured on an NVIDIA H200: smaller ones keep more of a
 * large GPU busy.
 */
export const TILE_GROUPS: Readonly<Record<Exclude<Tile, 256>, number>> = {
  128: 170,
  96: 170,
  64: 600,
  32: 0,
};

/**
 * Who computes which part of tiles of M rows, one of TILES, and N columns, a multiple of 8. An
 * invocation holds 8 x 8 elements of c; 12 x 8 of 96 rows (H200, 2560 x 3456 x 1152: 39 instead of 32
 * TFLOP/s, more than 8 x 16 or 16 x 8).
 *
 * @param unit   multiplies them, if given
 * @param components  f16 that an operand is the sum of; 1 rounds it
 */
export function tileDefine(
  target: Target,
  M: number,
  N: number,
  unit?: MatrixShape,
  components: 1 | 2 = 1,
): Define {
  // A CPU's driver would compile unrolled code for a minute.
  const { unrolled: UNROLLED, subgroupSize, workgroupBytes } = target;
  if (unit) {
    const [SUBGROUPS_M, SUBGROUPS_N] = subgroupsOf(M, N);
    const threads = subgroupSize * SUBGROUPS_M * SUBGROUPS_N;
    const SUBGROUP_TILE_N = N / SUBGROUPS_N;
    const PASS_N = passColumns(M, N);
    const terms = tileBytes(M, N, unit) <= workgroupBytes ? MATRIX_TERMS : FEW_TERMS * components;
    return {
      shared_tile: 'matrix_tile',
      SUBGROUP: subgroupSize,
      SUBGROUPS_M,
      SUBGROUPS_N,
      SUBGROUP_TILE_N,
      PASS_N,
      SQUARES_M: M / PASS_M / SUBGROUPS_M,
      SQUARES_N: (SUBGROUP_TILE_N / PASS_N) * Math.ceil(PASS_N / subgroupSize),
      LOADS: Math.ceil((M + N) / threads),
      TILE_K: terms / components,
      COMPONENTS: components,
      Four: components === 1 ? 'vec4<f16>' : 'vec4f',
      MATRIX_M: unit.M,
      MATRIX_N: unit.N,
      MATRIX_K: unit.K,
      UNROLLED,
    };
  }
  const across = N === 32 ? 8 : N / 8;
  const down = M === 128 ? 16 : 8;
  const subgroupN = across % 4 === 0 ? 4 : across;
  const threads = across * down;
  return {
    WG_M: down,
    WG_N: across,
    SUBGROUP_M: subgroupN === 4 ? 8 : 4,
    SUBGROUP_N: subgroupN,
    SQUARES_M: M / down / 4,
    SQUARES_N: N / across / 4,
    LOADS: Math.ceil((M + N) / threads),
    UNROLLED,
  };
}
