// Matmuls in tiles through workgroup memory: the host's side of shaders/lib/shared_tile.wgsl.
import type { Gpu } from '../gpu/gpu.ts';
import type { Define } from '../gpu/kernel.ts';

/** Rows of c that a workgroup of `tiled` may compute. */
export const TILES = [128, 96, 64, 32] as const;
export type Tile = (typeof TILES)[number];

/** Its columns. */
export const tileColumns = (tile: Tile): number => (tile === 96 ? 128 : tile);

/**
 * What shaders/lib/shared_tile.wgsl keeps in a workgroup: 16 terms of M rows of a and N columns of b, with
 * three more vec4 each.
 */
export const tileBytes = (M: number, N: number): number => 16 * (4 * M + 48 + 4 * N + 48);

/**
 * Workgroups from which a tile of this size pays, measured on an NVIDIA H200: smaller ones keep more of a
 * large GPU busy.
 */
export const TILE_GROUPS: Readonly<Record<Tile, number>> = { 128: 170, 96: 170, 64: 600, 32: 0 };

/**
 * Who computes which part of tiles of M rows, 128, 96, 64 or 32, and N columns, a multiple of 8. An
 * invocation holds 8 x 8 elements of c; 12 x 8 of 96 rows (H200, 2560 x 3456 x 1152: 39 instead of 32
 * TFLOP/s, more than 8 x 16 or 16 x 8).
 */
export function tileDefine(gpu: Gpu, M: number, N: number): Define {
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
    UNROLLED: gpu.target.unrolled, // a CPU's driver would compile such code for a minute
  };
}
