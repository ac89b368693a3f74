// The scales at which an image is seen: their pixels and their grids of patches.

import type { Tensor } from '../../../engine/index.ts';
import type { VisionConfig } from '../config/config.ts';

/** Rows and columns of patches, [Y, X]. */
export type Grid = readonly [rows: number, columns: number];

/** Height and width in pixels of [B, 3, H, W] or, where it is u8, [B, H, W, 4]. */
export function imageSize(image: Tensor): [h: number, w: number] {
  const [h, w] = image.dtype === 'u8' ? image.shape.slice(1, 3) : image.shape.slice(2, 4);
  return [h, w];
}

/**
 * Pixels of an image of h x w pixels at each scale: a square low-res one, then zooms that keep the image's shape in
 * whole low-res patches of the shorter side.
 */
export function scaleSizes(
  config: Pick<VisionConfig, 'scalesPx' | 'patchPx'>,
  h: number,
  w: number,
): [number, number][] {
  const { scalesPx, patchPx } = config;
  const [s0] = scalesPx;
  return scalesPx.map((side, i) => {
    if (i === 0) return [s0, s0];
    const zoom = Math.floor(side / s0);
    const shorter =
      Math.max(Math.floor(Math.trunc((s0 / Math.max(h, w)) * Math.min(h, w)) / patchPx), 1) * patchPx * zoom;
    return h >= w ? [s0 * zoom, shorter] : [shorter, s0 * zoom];
  });
}

/** Patches of each scale of an image of h x w pixels, low-res first; at least one per axis. */
export function scaleGrids(config: Pick<VisionConfig, 'scalesPx' | 'patchPx'>, h: number, w: number): Grid[] {
  const patches = (px: number): number => Math.max(1, Math.floor(px / config.patchPx));
  return scaleSizes(config, h, w).map(([H, W]) => [patches(H), patches(W)]);
}
