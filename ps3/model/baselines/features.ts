// Features of large images from an encoder of small ones: AnyRes, S² and dynamic S², none of which needs training.
import { concat, expect, resize, slice, type Tensor } from '../../../engine/index.ts';
import type { VisionModel } from '../vision/vision.ts';
import { cutTiles, stitchTokens, tokensOf } from './mosaic.ts';
import type { TileGrid } from './tile_grids.ts';

/** Encodes tiles one by one: [n, 3, t, t] normalised, or [n, t, t, 4] u8, to [n, G * G, C]. */
export type TileEncoder = (tiles: Tensor) => Tensor<'f32'>;

/** Tiles that go through the tower together. */
const BATCH = 8;

/**
 * The low-res pass of a PS3, or any tower of its kind, as an encoder of tiles.
 *
 * @param layer  which block's output, from the end: -1 the last, -2 the one before, as VILA takes it; not normalised
 */
export function towerEncoder(vision: VisionModel, layer = -1): TileEncoder {
  return (tiles) => {
    const parts: Tensor<'f32'>[] = [];
    for (let start = 0; start < tiles.shape[0]; start += BATCH) {
      const length = Math.min(BATCH, tiles.shape[0] - start);
      const { hidden, qkv } = vision.lowRes(slice(tiles, { axis: 0, start, length }), -layer);
      for (const unused of [...hidden.slice(1), ...qkv]) unused.dispose(); // the tape has what it needs of them
      parts.push(hidden[0]);
    }
    return concat(parts, { axis: 0 });
  };
}

/** Which map the others are brought to: its place among the scales, from the end if negative. */
function mapAt(maps: readonly Tensor<'f32'>[], index: number): Tensor<'f32'> {
  const map = maps.at(index);
  expect(map !== undefined, 's2Features', `resizeTo must be a place among ${maps.length} scales`, `${index}`);
  return map;
}

/** Brings maps to the size of one of them by area and joins their channels, [B, C * scales, h, w]. */
function merge(maps: readonly Tensor<'f32'>[], resizeTo: number): Tensor<'f32'> {
  const [, , h, w] = mapAt(maps, resizeTo).shape;
  const same = maps.map((map) =>
    map.shape[2] === h && map.shape[3] === w ? map : resize(map, [h, w], 'area'),
  );
  return concat(same, { axis: 1 });
}

/** How S² sees an image. */
export interface S2Options {
  /** Sides at which the image is seen, ascending, each a multiple of the tile's. */
  readonly scalesPx: readonly number[];
  /** Side of a tile; default the first scale. */
  readonly tilePx?: number;
  /** Place of the scale whose map all maps are brought to; default -1, the last. */
  readonly resizeTo?: number;
}

/**
 * What S² encodes: the tiles of every scale.
 *
 *   x_s = bicubic(x, s x s), a = -0.75, no antialias
 *
 * @param image  [B, 3, S, S], normalised
 * @returns      per scale [k * k * B, G * G, C], tile after tile in raster order, each of all B
 * @throws ShapeError when a scale is no multiple of the tile
 */
export function s2Tokens(
  image: Tensor<'f32'>,
  encode: TileEncoder,
  { scalesPx, tilePx = scalesPx[0] }: S2Options,
): Tensor<'f32'>[] {
  return scalesPx.map((side) => {
    const k = side / tilePx;
    expect(Number.isInteger(k), 's2Features', `a scale must be a multiple of ${tilePx} px`, `${side}`);
    const isOwn = image.shape[2] === side && image.shape[3] === side;
    const seen = isOwn ? image : resize(image, [side, side], 'bicubic');
    return encode(cutTiles(seen, [k, k]));
  });
}

/**
 * S²: the image at several scales, each cut into tiles, the maps of all scales brought to one and joined on channels.
 *
 *   y = concat_s area(stitch(encode(tiles of x_s)))
 *
 * @param image  [B, 3, S, S], normalised
 * @returns      [B, C * scales, h, w]
 * @throws ShapeError when a scale is no multiple of the tile
 * Source: Shi et al. 2024, arXiv:2403.13043; bfshi/scaling_on_scales, s2wrapper/core.py.
 */
export function s2Features(image: Tensor<'f32'>, encode: TileEncoder, options: S2Options): Tensor<'f32'> {
  const [B] = image.shape;
  const maps = s2Tokens(image, encode, options).map((tokens) => {
    const k = Math.sqrt(tokens.shape[0] / B);
    return stitchTokens(tokens, [k, k]);
  });
  return merge(maps, options.resizeTo ?? -1);
}

/**
 * Dynamic S²: as S², but the last scale is a grid in the image's own shape.
 *
 * @param tiles    [n * B, 3, t, t], as `dynamicS2Tiles` gives them, each tile of all B images of one shape
 * @param grid     of the last scale
 * @returns        [B, C * scales, h, w]
 * Source: NVlabs/VILA, llava/model/llava_arch.py, merge_features_for_dynamic_s2.
 */
export function dynamicS2Features(
  tiles: Tensor<'f32'>,
  [columns, rows]: TileGrid,
  encode: TileEncoder,
  { scalesPx, resizeTo = -1 }: Pick<S2Options, 'scalesPx' | 'resizeTo'>,
): Tensor<'f32'> {
  const squares = scalesPx.slice(0, -1).map((side) => Math.floor(side / scalesPx[0]));
  const grids = [...squares.map((k): TileGrid => [k, k]), [columns, rows] as const];
  const B = tiles.shape[0] / grids.reduce((count, [columns, rows]) => count + columns * rows, 0);
  const maps = tokensByGrid(encode(tiles), grids, B).map((own, i) =>
    stitchTokens(own, [grids[i][1], grids[i][0]]),
  );
  return merge(maps, resizeTo);
}

/** Cuts tokens [n * B, T, C] of the tiles of several grids of B images, one grid after another, into those of each grid. */
export function tokensByGrid(tokens: Tensor<'f32'>, grids: readonly TileGrid[], B = 1): Tensor<'f32'>[] {
  let start = 0;
  return grids.map(([columns, rows]) => {
    const length = columns * rows * B;
    const own = slice(tokens, { axis: 0, start, length });
    start += length;
    return own;
  });
}

/**
 * The map of the tiles of one grid, [1, C, rows * G, columns * G], without thumbnail.
 *
 * @param tokens  [n, G * G, C], tiles in raster order from the `first` on
 */
export function gridMap(tokens: Tensor<'f32'>, [columns, rows]: TileGrid, first = 0): Tensor<'f32'> {
  return stitchTokens(slice(tokens, { axis: 0, start: first, length: rows * columns }), [rows, columns]);
}

/** Tokens of a map tile by tile, [rows * columns, h * w, C]: the inverse of `gridMap`. */
export function tileTokens(map: Tensor<'f32'>, [columns, rows]: TileGrid): Tensor<'f32'> {
  return tokensOf(cutTiles(map, [rows, columns]));
}
