// Features of boxes by AnyRes and S², for a batch of square images on the device and with gradients: what the baselines are
// trained with, and compared by. For one image of any shape, on the host, see regions.ts; both agree on squares, up to the
// rounding to bytes that Pillow does after resizing.
import {
  add,
  cast,
  concat,
  expect,
  l2Normalize,
  mul,
  noGrad,
  permute,
  resize,
  slice,
  sum,
  type Tensor,
  tidy,
} from '../../../engine/index.ts';
import { touchedCells } from '../vision/selection.ts';
import type { VisionModel } from '../vision/vision.ts';
import { cutTiles } from './mosaic.ts';

/** Encoders that are nothing but the tower over tiles: its low-res pass, AnyRes as NVILA has it, S². */
export const TILED_ENCODERS = ['low-res', 'anyres', 's2'] as const;
/** A name of `TILED_ENCODERS`. */
export type TiledEncoder = (typeof TILED_ENCODERS)[number];

/** A baseline over square images. */
export interface TiledOptions {
  readonly encoder: TiledEncoder;
  /** Largest side at which the image is seen: a multiple of the low-res side, of AnyRes the side of the grid of tiles. */
  readonly sidePx: number;
}

/** Tiles along a side, per grid in the order in which they are seen: of S² one grid per doubling, of AnyRes the thumbnail last. */
function gridsOf({ encoder, sidePx }: TiledOptions, tilePx: number): number[] {
  const most = sidePx / tilePx;
  const isWhole = Number.isInteger(most) && most >= 1;
  expect(isWhole, 'tiledFeatures', `sidePx must be a multiple of ${tilePx}`, `${sidePx}`);
  if (encoder === 'low-res' || most === 1) return [1];
  if (encoder === 'anyres') return [most, 1];
  const doublings = Array.from({ length: Math.floor(Math.log2(most)) + 1 }, (_, i) => 2 ** i);
  return doublings.at(-1) === most ? doublings : [...doublings, most];
}

/** Tokens that go through the tower for an image. @throws ShapeError when sidePx is no multiple of the low-res side */
export function tiledTokens(vision: VisionModel, options: TiledOptions): number {
  const { scalesPx, gridSides } = vision.config;
  return gridsOf(options, scalesPx[0]).reduce((count, k) => count + (k * gridSides[0]) ** 2, 0);
}

/**
 * One embedding for the box of each image, in the space of the texts, pooled by the tower's own attention.
 *
 *   low-res  the pooled tokens that the box touches
 *   S²       the mean over scales of the normalised pooled tokens that the box touches
 *   AnyRes   the mean over tiles, the thumbnail too, weighted by the tokens that the box touches
 *
 * @param image  [B, S, S, 4] u8
 * @param box    [B, h, w], nonzero in the box
 * @returns      [B, E], normalised
 * @throws ShapeError when sidePx is no multiple of the low-res side
 * Source: NVlabs/VILA, llava/mm_utils.py, dynamic_preprocess of a square; bfshi/scaling_on_scales, s2wrapper/core.py.
 */
export function tiledFeatures(
  vision: VisionModel,
  image: Tensor<'u8'>,
  box: Tensor,
  options: TiledOptions,
): Tensor<'f32'> {
  const [B] = image.shape;
  const { gridSides } = vision.config;
  const [G] = gridSides;
  const grids = gridsOf(options, vision.config.scalesPx[0]);
  const tokens = encode(vision, image, grids, options.encoder);
  const [, T, C] = tokens.shape;
  const masks = grids.map((k) => touchedInTiles(box, k, G));
  if (options.encoder === 'anyres') {
    const mask = concat(masks, { axis: 0 });
    const counts = noGrad(() => sum(mask, { axis: 1, keepDims: true }));
    const weighed = mul(l2Normalize(vision.pool(tokens, mask)), counts);
    return l2Normalize(sum(weighed.reshape([mask.shape[0] / B, B, weighed.shape[1]]), { axis: 0 }));
  }
  let start = 0;
  const scales = grids.map((k, i) => {
    const length = k * k * B;
    const own = slice(tokens, { axis: 0, start, length }).reshape([k * k, B, T, C]);
    start += length;
    const together = permute(own, [1, 0, 2, 3]).reshape([B, k * k * T, C]);
    const mask = noGrad(() => permute(masks[i].reshape([k * k, B, T]), [1, 0, 2]).reshape([B, k * k * T]));
    return l2Normalize(vision.pool(together, mask));
  });
  return scales.length === 1 ? scales[0] : l2Normalize(scales.reduce((a, b) => add(a, b)));
}

/** Tokens of all tiles of all grids in one pass, [n * B, G * G, C]: tile after tile in raster order, each of all B. */
function encode(
  vision: VisionModel,
  image: Tensor<'u8'>,
  grids: readonly number[],
  encoder: TiledEncoder,
): Tensor<'f32'> {
  const tilePx = vision.config.scalesPx[0];
  const seen = (): Tensor => {
    if (encoder === 'low-res') return image; // the tower resizes it by itself
    const whole = normalized(vision, image);
    const shrunk = (from: Tensor<'f32'>, k: number, mode: 'bicubic' | 'bicubic-antialias'): Tensor<'f32'> => {
      const side = k * tilePx;
      return from.shape[2] === side ? from : resize(from, [side, side], mode);
    };
    const largest = shrunk(whole, Math.max(...grids), 'bicubic-antialias');
    const tiles = grids.map((k) =>
      // As S² does, without antialias; AnyRes begins with the whole image each time.
      cutTiles(encoder === 's2' ? shrunk(largest, k, 'bicubic') : shrunk(whole, k, 'bicubic-antialias'), [
        k,
        k,
      ]),
    );
    return concat(tiles, { axis: 0 });
  };
  const { hidden, qkv } = vision.lowRes(noGrad(seen));
  for (const packed of qkv) packed.dispose(); // the tape has what it needs of them
  return hidden[hidden.length - 1];
}

/** [B, H, W, 4] u8 as numbers of mean 0, [B, 3, H, W]. */
export function normalized({ image: { mean, std } }: VisionModel, image: Tensor<'u8'>): Tensor<'f32'> {
  return tidy([image], (image) => {
    const planes = permute(cast(image, 'f32'), [0, 3, 1, 2]);
    const channels = mean.map((middle, c) =>
      add(mul(slice(planes, { axis: 1, start: c, length: 1 }), 1 / (255 * std[c])), -middle / std[c]),
    );
    return concat(channels, { axis: 1 });
  });
}

/** Which tokens of k x k tiles the box touches, 0 and 1, [k * k * B, G * G]: tile after tile, each of all B. */
function touchedInTiles(box: Tensor, k: number, G: number): Tensor<'f32'> {
  const side = k * G;
  return noGrad(() =>
    tidy([box], (box) => {
      const cells = touchedCells(box, [side, side]);
      const tiles = cutTiles(cells.reshape([cells.shape[0], 1, side, side]), [k, k]);
      return tiles.reshape([tiles.shape[0], G * G]);
    }),
  );
}
