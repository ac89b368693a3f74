// One embedding for the boxes of an image by every encoder, in the space of the texts, by nothing but the tower's own attention
// pooling: AnyRes and S² have no head of their own without training.
import {
  arange,
  type Engine,
  expect,
  l2Normalize,
  noGrad,
  type Random,
  type Scope,
  type Tensor,
} from '../../../engine/index.ts';
import { total } from '../config/config.ts';
import type { ModelCore } from '../core.ts';
import type { DecodedImage } from '../decoder.ts';
import { resizeToSquare } from '../image.ts';
import { cropBoxes, type Edges, randomSelection } from './controls.ts';
import { s2Tokens, tokensByGrid, towerEncoder } from './features.ts';
import type { TileGrid } from './tile_grids.ts';
import { dynamicS2Tiles, dynamicTiles, llavaNextTiles, normalizedSquare } from './tiles.ts';

/**
 * Encoders that are compared: plain low-res, AnyRes as NVILA and as LLaVA-NeXT, S² and dynamic S², a native full-resolution ViT,
 * PS3 by three selections, and the box itself at low resolution.
 */
export const REGION_ENCODERS = [
  'low-res',
  'anyres',
  'anyres-next',
  's2',
  'dynamic-s2',
  'native',
  'ps3-top-down',
  'ps3-bottom-up',
  'ps3-random',
  'oracle-crop',
] as const;
/** A name of `REGION_ENCODERS`. */
export type RegionEncoder = (typeof REGION_ENCODERS)[number];

/** What an encoder is asked. */
export interface RegionQuery {
  readonly image: DecodedImage;
  /** In pixels of the image; what they touch is pooled. Without any, all of it. */
  readonly boxes: readonly Edges[];
  /** [1, C], of a text that says what to look for: `ps3-top-down` needs it. */
  readonly prompt?: Tensor;
  /** `ps3-random` needs it. */
  readonly random?: Random;
  /** Most tiles of AnyRes and of the largest scale of S²; default 16, four times the low-res side. */
  readonly maxTiles?: number;
}

/** What an encoder gives. */
export interface RegionFeature {
  /** [E], of length 1. */
  readonly feature: Float32Array;
  /** Tokens that went through the tower. */
  readonly tokens: number;
}

interface Asked extends RegionQuery {
  readonly maxTiles: number;
  readonly engine: Engine;
  readonly model: ModelCore;
  readonly scope: Scope;
}

/**
 * One embedding for the boxes.
 *
 *   low-res, PS3   the pooled tokens that the boxes touch; of PS3 the high-res ones of one look
 *   S²             the mean over scales of the normalised pooled tokens that the boxes touch
 *   native         the pooled tokens that the boxes touch, of all patches of the largest scale with at most 16,384 as one sequence
 *   AnyRes         the mean over tiles, the thumbnail too, weighted by the tokens that the boxes touch
 *
 * Where no token is touched, as after a look elsewhere, all of them are pooled.
 *
 * @throws ShapeError when maxTiles is not a positive integer
 */
export async function regionFeature(
  engine: Engine,
  model: ModelCore,
  encoder: RegionEncoder,
  query: RegionQuery,
): Promise<RegionFeature> {
  const { maxTiles = 16 } = query;
  const isCount = Number.isInteger(maxTiles) && maxTiles > 0;
  expect(isCount, 'regionFeature', 'maxTiles must be a positive integer', `${maxTiles}`);
  using scope = engine.scope();
  return await FEATURES[encoder]({ ...query, maxTiles, engine, model, scope });
}

/** Most tokens of a native ViT: the attention of all to all grows with their square. */
const NATIVE_TOKENS = 16_384;

const FEATURES: Readonly<Record<RegionEncoder, (asked: Asked) => Promise<RegionFeature>>> = {
  'low-res': (asked) => lowRes(asked, asked.image, asked.boxes),
  'oracle-crop': (asked) =>
    asked.boxes.length === 0
      ? lowRes(asked, asked.image, [])
      : lowRes(asked, cropBoxes(asked.image, asked.boxes), []),
  anyres,
  'anyres-next': anyresNext,
  s2,
  'dynamic-s2': dynamicS2,
  native,
  'ps3-top-down': (asked) => ps3(asked, 'topDown'),
  'ps3-bottom-up': (asked) => ps3(asked, 'bottomUp'),
  'ps3-random': (asked) => ps3(asked, 'random'),
};

/**
 * Which tokens of the tiles of a grid the boxes touch: 1 and 0, tile after tile.
 *
 * @param G  tokens along a side of a tile
 */
export function touchedTokens(
  boxes: readonly Edges[],
  { width, height }: Pick<DecodedImage, 'width' | 'height'>,
  [columns, rows]: TileGrid,
  G: number,
): Float32Array {
  const mask = new Float32Array(columns * rows * G * G);
  const [X, Y] = [columns * G, rows * G];
  for (const [left, top, right, bottom] of boxes) {
    const span = (low: number, high: number, side: number, cells: number): [number, number] => {
      const first = Math.min(Math.max(Math.floor((low * cells) / side), 0), cells - 1);
      return [first, Math.min(Math.max(Math.ceil((high * cells) / side), first + 1), cells)];
    };
    const [x1, x2] = span(left, right, width, X);
    const [y1, y2] = span(top, bottom, height, Y);
    for (let y = y1; y < y2; y++)
      for (let x = x1; x < x2; x++) {
        const tile = Math.floor(y / G) * columns + Math.floor(x / G);
        mask[tile * G * G + (y % G) * G + (x % G)] = 1;
      }
  }
  return mask;
}

const sum = (numbers: Float32Array): number => numbers.reduce((all, number) => all + number, 0);

/** Normalised pooled tokens [n, T, C] under masks [n, T], [n, E]. */
function pooled(
  { model, engine, scope }: Asked,
  tokens: Tensor<'f32'>,
  mask: Float32Array,
): Promise<Float32Array> {
  const [n, T] = tokens.shape;
  const keyMask = engine.tensor(mask, [n, T], { scope });
  return noGrad(() => l2Normalize(model.vision.pool(tokens, keyMask))).data();
}

/** The normalised weighted mean of rows [n, E]. */
function mean(rows: Float32Array, weights: readonly number[]): Float32Array {
  const E = rows.length / weights.length;
  const result = new Float64Array(E);
  weights.forEach((weight, i) => {
    for (let e = 0; e < E; e++) result[e] += weight * rows[i * E + e];
  });
  const length = Math.hypot(...result);
  return Float32Array.from(result, (value) => value / length);
}

/** The tower's side and tokens along it. */
function towerOf({ model }: Asked): { tilePx: number; G: number } {
  const { scalesPx, gridSides } = model.config.vision;
  return { tilePx: scalesPx[0], G: gridSides[0] };
}

async function lowRes(asked: Asked, image: DecodedImage, boxes: readonly Edges[]): Promise<RegionFeature> {
  const { engine, model, scope } = asked;
  const { G } = towerOf(asked);
  const pixels = resizeToSquare(engine, image, model.config.image.imagePx, { scope });
  const tokens = noGrad(() => model.vision.lowRes(pixels).hidden[0]);
  const feature = await pooled(asked, tokens, touchedTokens(boxes, image, [1, 1], G));
  return { feature, tokens: G * G };
}

async function anyres(asked: Asked): Promise<RegionFeature> {
  const { engine, model, scope, image, boxes, maxTiles } = asked;
  const { tilePx, G } = towerOf(asked);
  const options = { tilePx, maxTiles, image: model.config.image, scope };
  const { tiles, grid } = await dynamicTiles(engine, image, options);
  const cut = touchedTokens(boxes, image, grid, G);
  const whole = grid[0] * grid[1] > 1 ? touchedTokens(boxes, image, [1, 1], G) : [];
  return overTiles(asked, tiles, [...cut, ...whole]);
}

async function anyresNext(asked: Asked): Promise<RegionFeature> {
  const { engine, model, scope, image, boxes, maxTiles } = asked;
  const { tilePx, G } = towerOf(asked);
  const grids = Array.from(
    { length: maxTiles ** 2 },
    (_, i): TileGrid => [1 + Math.floor(i / maxTiles), 1 + (i % maxTiles)],
  ).filter(([columns, rows]) => columns * rows <= maxTiles);
  const options = { tilePx, grids, image: model.config.image, scope };
  const { tiles, grid, shown } = await llavaNextTiles(engine, image, options);
  const [sx, sy] = [shown.width / image.width, shown.height / image.height];
  // Without a box, what shows the image: padding is cut off.
  const all: Edges = [0, 0, image.width, image.height];
  const placed = (boxes.length > 0 ? boxes : [all]).map(
    ([left, top, right, bottom]): Edges => [
      shown.left + left * sx,
      shown.top + top * sy,
      shown.left + right * sx,
      shown.top + bottom * sy,
    ],
  );
  const padded = { width: grid[0] * tilePx, height: grid[1] * tilePx };
  const whole = touchedTokens(boxes.length > 0 ? boxes : [all], image, [1, 1], G);
  return overTiles(asked, tiles, [...whole, ...touchedTokens(placed, padded, grid, G)]);
}

/** The mean over tiles, weighted by their tokens under a mask; without any, over all. */
async function overTiles(
  asked: Asked,
  tiles: Tensor<'f32'>,
  touched: readonly number[],
): Promise<RegionFeature> {
  const tokens = noGrad(() => towerEncoder(asked.model.vision)(tiles));
  const [n, T] = tokens.shape;
  const mask = Float32Array.from(touched);
  const counts = Array.from({ length: n }, (_, i) => sum(mask.subarray(i * T, (i + 1) * T)));
  const weights = counts.some((count) => count > 0) ? counts : counts.map(() => 1);
  return { feature: mean(await pooled(asked, tokens, mask), weights), tokens: n * T };
}

/** Grids of tiles that squares of some sides are cut into. */
const squaresOf = (sidesPx: readonly number[], tilePx: number): TileGrid[] =>
  sidesPx.map((side) => [side / tilePx, side / tilePx]);

/** The mean over scales, each the tokens of a grid of tiles. */
async function overScales(
  asked: Asked,
  scales: readonly Tensor<'f32'>[],
  grids: readonly TileGrid[],
): Promise<RegionFeature> {
  const { G } = towerOf(asked);
  const rows: number[] = [];
  let count = 0;
  for (const [i, tokens] of scales.entries()) {
    const [n, T, C] = tokens.shape;
    count += n * T;
    const mask = touchedTokens(asked.boxes, asked.image, grids[i], G);
    rows.push(...(await pooled(asked, tokens.reshape([1, n * T, C]), mask)));
  }
  const equal = scales.map(() => 1);
  return { feature: mean(Float32Array.from(rows), equal), tokens: count };
}

/** The model's scales that have no more tiles than may be. */
function tiledScales({ model, maxTiles }: Asked): number[] {
  const { scalesPx } = model.config.vision;
  return scalesPx.filter((side) => (side / scalesPx[0]) ** 2 <= maxTiles && side % scalesPx[0] === 0);
}

async function s2(asked: Asked): Promise<RegionFeature> {
  const { engine, model, scope, image } = asked;
  const scalesPx = tiledScales(asked);
  const options = { image: model.config.image, scope };
  const square = await normalizedSquare(engine, image, scalesPx[scalesPx.length - 1], options);
  const tokens = noGrad(() => s2Tokens(square, towerEncoder(model.vision), { scalesPx }));
  return overScales(asked, tokens, squaresOf(scalesPx, scalesPx[0]));
}

async function dynamicS2(asked: Asked): Promise<RegionFeature> {
  const { engine, model, scope, image, maxTiles } = asked;
  const scalesPx = tiledScales(asked);
  const options = { scalesPx, maxTiles, image: model.config.image, scope };
  const { tiles, grid } = await dynamicS2Tiles(engine, image, options);
  const tokens = noGrad(() => towerEncoder(model.vision)(tiles));
  const grids = [...squaresOf(scalesPx.slice(0, -1), scalesPx[0]), grid];
  return overScales(asked, tokensByGrid(tokens, grids), grids);
}

/** Every patch attends to every patch, and the position table is resampled as PS3 does it: the tower without PS3. */
async function native(asked: Asked): Promise<RegionFeature> {
  const { engine, model, scope, image, boxes } = asked;
  const { scalesPx, gridSides } = model.config.vision;
  const scale = gridSides.findLastIndex((side) => side ** 2 <= NATIVE_TOKENS);
  if (scale <= 0) return lowRes(asked, image, boxes);
  const G = gridSides[scale];
  const pixels = resizeToSquare(engine, image, scalesPx[scale], { scope });
  const tokens = noGrad(() =>
    model.vision.encodeCrops(pixels, scale, arange(pixels, G * G).reshape([1, G * G])),
  );
  return { feature: await pooled(asked, tokens, touchedTokens(boxes, image, [1, 1], G)), tokens: G * G };
}

async function ps3(asked: Asked, by: 'topDown' | 'bottomUp' | 'random'): Promise<RegionFeature> {
  const { engine, model, scope, image, boxes, prompt, random } = asked;
  const { vision } = model;
  const { imagePx } = model.config.image;
  const pixels = resizeToSquare(engine, image, imagePx, { scope });
  const grids = vision.grids(pixels);
  const sides = grids.slice(1).map(([rows]) => rows);
  const [counts] = vision.plan(grids, { looks: 1 });
  expect(
    by !== 'random' || random !== undefined,
    'regionFeature',
    'random must be there for ps3-random',
    'none',
  );
  expect(
    by !== 'topDown' || prompt !== undefined,
    'regionFeature',
    'prompt must be there for ps3-top-down',
    'none',
  );
  const drawn = by === 'random' ? randomSelection(counts, sides, 1, random!) : undefined;
  const selection = drawn?.map((map, i) => ({
    map: engine.tensor(map, [1, map.length], { scope }),
    count: counts[i],
  }));
  const look = noGrad(() => {
    const low = vision.lowRes(pixels);
    const features = vision.selectionFeatures(pixels, low);
    const maps = vision.maps(features, grids, by === 'topDown' ? { prompt } : {});
    return vision.look(pixels, low, maps, grids, counts, undefined, { selection });
  });
  const mask: number[] = [];
  for (const [i, { map }] of look.choices.entries()) {
    if (counts[i] === 0) continue;
    const touched = touchedTokens(boxes, image, [1, 1], sides[i]);
    (await map.data()).forEach((taken, cell) => {
      if (taken) mask.push(touched[cell]);
    });
  }
  const feature = await pooled(asked, look.tokens, Float32Array.from(mask));
  return { feature, tokens: grids[0][0] * grids[0][1] + total(counts) };
}
