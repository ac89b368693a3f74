// Tiles of an image as the AnyRes baselines make them: resized as Pillow does, cut, normalised.
import { type Engine, pillowResize, type Scope, type Tensor } from '../../../engine/index.ts';
import type { ImageConfig } from '../config/config.ts';
import type { DecodedImage } from '../decoder.ts';
import { type DynamicGridOptions, dynamicGrid, llavaNextGrid, type TileGrid } from './tile_grids.ts';

/** How tiles become numbers, and where they live. */
export interface TileOptions {
  readonly image: Pick<ImageConfig, 'mean' | 'std'>;
  readonly scope: Scope;
}

/** The tiles of an image. */
export interface Tiles {
  /** [n, 3, t, t], normalised. */
  readonly tiles: Tensor<'f32'>;
  readonly grid: TileGrid;
}

/** Tiles of an image that is padded. */
export interface PaddedTiles extends Tiles {
  /** Where the image is on the grid of tiles, pixels. */
  readonly shown: {
    readonly left: number;
    readonly top: number;
    readonly width: number;
    readonly height: number;
  };
}

/** Pixels on the host, [height, width, 4]. */
interface Pixels {
  readonly rgba: Uint8Array;
  readonly width: number;
}

/** Resizes as Pillow does. */
async function resized(
  engine: Engine,
  { rgba, width, height }: DecodedImage,
  w: number,
  h: number,
): Promise<Pixels> {
  using image = engine.tensor(rgba, [1, height, width, 4]);
  using result = pillowResize(image, [h, w]);
  return { rgba: await result.data(), width: w };
}

/** Squares of pixels, given by their left top corners, as numbers [n, 3, t, t]. */
function normalized(
  squares: readonly (readonly [Pixels, left: number, top: number])[],
  t: number,
  { mean, std }: TileOptions['image'],
): Float32Array {
  const numbers = new Float32Array(squares.length * 3 * t * t);
  let at = 0;
  for (const [{ rgba, width }, left, top] of squares)
    for (let c = 0; c < 3; c++)
      for (let y = 0; y < t; y++)
        for (let x = 0; x < t; x++)
          numbers[at++] = (rgba[4 * ((top + y) * width + left + x) + c] / 255 - mean[c]) / std[c];
  return numbers;
}

/** The same on the device. */
function upload(
  engine: Engine,
  squares: readonly (readonly [Pixels, left: number, top: number])[],
  t: number,
  { image, scope }: TileOptions,
): Tensor<'f32'> {
  return engine.tensor(normalized(squares, t, image), [squares.length, 3, t, t], { scope });
}

/** A whole image resized to a square and normalised, [1, 3, S, S] on the host. */
export async function normalizedPixels(
  engine: Engine,
  image: DecodedImage,
  sidePx: number,
  colours: TileOptions['image'],
): Promise<Float32Array> {
  return normalized([[await resized(engine, image, sidePx, sidePx), 0, 0]], sidePx, colours);
}

/** Corners of all tiles in raster order. */
function corners(pixels: Pixels, [columns, rows]: TileGrid, t: number): [Pixels, number, number][] {
  return Array.from({ length: rows * columns }, (_, i) => [
    pixels,
    (i % columns) * t,
    Math.floor(i / columns) * t,
  ]);
}

/** A whole image resized to a square and normalised, [1, 3, S, S]. */
export async function normalizedSquare(
  engine: Engine,
  image: DecodedImage,
  sidePx: number,
  options: TileOptions,
): Promise<Tensor<'f32'>> {
  const pixels = await normalizedPixels(engine, image, sidePx, options.image);
  return engine.tensor(pixels, [1, 3, sidePx, sidePx], { scope: options.scope });
}

/**
 * AnyRes as NVILA's "dynamic" images: resized to the nearest grid of tiles whatever the shape, cut in raster order; the whole
 * image as a last tile where there are several.
 *
 * Source: NVlabs/VILA, llava/mm_utils.py, dynamic_preprocess.
 */
export async function dynamicTiles(
  engine: Engine,
  image: DecodedImage,
  options: DynamicGridOptions & TileOptions,
): Promise<Tiles> {
  const { tilePx: t } = options;
  const grid = dynamicGrid(image.width, image.height, options);
  const squares = corners(await resized(engine, image, grid[0] * t, grid[1] * t), grid, t);
  if (squares.length > 1) squares.push([await resized(engine, image, t, t), 0, 0]);
  return { tiles: upload(engine, squares, t, options), grid };
}

/**
 * AnyRes as in LLaVA-NeXT: the whole image as the first tile, then the image in its own shape, padded with black on both
 * sides to a grid of tiles, cut in raster order.
 *
 * @param options  grids: those to choose among
 * Source: haotian-liu/LLaVA, llava/mm_utils.py, process_anyres_image.
 */
export async function llavaNextTiles(
  engine: Engine,
  image: DecodedImage,
  options: { readonly tilePx: number; readonly grids: readonly TileGrid[] } & TileOptions,
): Promise<PaddedTiles> {
  const { tilePx: t, grids } = options;
  const { width, height } = image;
  const grid = llavaNextGrid(width, height, t, grids);
  const [W, H] = [grid[0] * t, grid[1] * t];
  const [sx, sy] = [W / width, H / height];
  const w = sx < sy ? W : Math.min(Math.ceil(width * sy), W);
  const h = sx < sy ? Math.min(Math.ceil(height * sx), H) : H;
  const shown = await resized(engine, image, w, h);
  const padded = { rgba: new Uint8Array(W * H * 4), width: W };
  const [left, top] = [Math.floor((W - w) / 2), Math.floor((H - h) / 2)];
  for (let y = 0; y < h; y++)
    padded.rgba.set(shown.rgba.subarray(4 * y * w, 4 * (y + 1) * w), 4 * ((top + y) * W + left));
  const squares = [[await resized(engine, image, t, t), 0, 0] as const, ...corners(padded, grid, t)];
  return { tiles: upload(engine, squares, t, options), grid, shown: { left, top, width: w, height: h } };
}

/**
 * The tiles of dynamic S²: the image at every scale but the last as squares of k x k tiles, then at a grid of at least as many
 * tiles as the last scale has, of the image's own shape; no thumbnail.
 *
 * @param options  scalesPx: ascending, each a multiple of the first, which is a tile's side
 * @returns        tiles scale after scale, each in raster order; the grid is the last scale's
 * Source: NVlabs/VILA, llava/mm_utils.py, dynamic_s2_preprocess.
 */
export async function dynamicS2Tiles(
  engine: Engine,
  image: DecodedImage,
  options: { readonly scalesPx: readonly number[]; readonly maxTiles?: number } & TileOptions,
): Promise<Tiles> {
  const { scalesPx, maxTiles = 12 } = options;
  const [t] = scalesPx;
  const squares: [Pixels, number, number][] = [];
  for (const scale of scalesPx.slice(0, -1)) {
    const k = Math.floor(scale / t);
    squares.push(...corners(await resized(engine, image, k * t, k * t), [k, k], t));
  }
  const minTiles = Math.floor(scalesPx[scalesPx.length - 1] / t) ** 2;
  const grid = dynamicGrid(image.width, image.height, { tilePx: t, minTiles, maxTiles });
  squares.push(...corners(await resized(engine, image, grid[0] * t, grid[1] * t), grid, t));
  return { tiles: upload(engine, squares, t, options), grid };
}
