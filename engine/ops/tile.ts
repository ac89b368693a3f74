// Products in tiles through workgroup memory: the host's side of shaders/lib/tile.wgsl.
import type { Gpu } from '../gpu/gpu.ts';
import type { Define } from '../gpu/kernel.ts';

/** Terms that a workgroup takes at a time; slices of a product have whole ones. */
export const K_TILE = 16;

/** Who computes which part of tiles of M rows, 128, 64 or 32, and N columns: as many, or another multiple of 8. */
export function tileDefine(gpu: Gpu, M: number, N: number): Define {
  const width = (edge: number): number => (edge === 32 ? 8 : edge / 8);
  const [across, down] = [width(N), width(M)];
  const threads = across * down;
  return {
    WIDTH_M: down,
    WIDTH_N: across,
    NEAR_N: across % 8 === 0 ? 8 : across,
    PARTS_M: M / down / 4,
    PARTS_N: N / across / 4,
    THREADS: threads,
    SQUARES: Math.ceil((M + N) / threads),
    UNROLLED: !gpu.isSoftware,
  };
}
