// How a VILA sees images: by PS3, which is asked where to look, or all at once by the low-res pass of the same tower.
//
//   low-res      of the whole image
//   AnyRes       of the tiles of a grid in the image's shape, and of the whole image behind them
//   S²           of the image at several scales in tiles, whose maps are joined on channels
//   dynamic S²   as S², with a last scale in the image's shape
import {
  concat,
  expect,
  noGrad,
  pillowResize,
  resize,
  slice,
  type Tensor,
  tidy,
  type Weights,
} from '../../engine/index.ts';
import {
  dynamicS2Features,
  s2Features,
  type TileEncoder,
  towerEncoder,
} from '../model/baselines/features.ts';
import { cutTiles, tokensOf } from '../model/baselines/mosaic.ts';
import { project, projectTiles } from '../model/baselines/projector.ts';
import { dynamicGrid, type TileGrid } from '../model/baselines/tile_grids.ts';
import { normalized } from '../model/baselines/tiled.ts';
import { expectConfig } from '../model/config/config.ts';
import { imageSize } from '../model/vision/scales.ts';
import type { VisionModel } from '../model/vision/vision.ts';
import type { EncoderConfig } from './config.ts';
import type { Projector } from './projector.ts';
import { lookOf, Ps3Encoder } from './ps3_encoder.ts';
import type { Recorder, Seen, VilaEncoder, VilaLook, VilaLookOptions } from './vila_types.ts';

/** What an encoder is made of. */
export interface EncoderParts {
  readonly vision: VisionModel;
  /** Of PS3. */
  readonly projector: Projector;
  /** Of the projector, for all others. */
  readonly weights: Weights;
  /** Embeddings that stand between two tiles, [1, n, d], in the scope of a tensor: an image's newline and that of the text. */
  readonly between: (like: Tensor) => Tensor<'f32'>;
}

/** @throws ConfigError for scales of S² that the tower does not have tiles for */
export function vilaEncoder(config: EncoderConfig, parts: EncoderParts): VilaEncoder {
  const { vision, projector } = parts;
  if (config.kind === 'ps3') return new Ps3Encoder(vision, projector);
  const [tilePx] = vision.config.scalesPx;
  if ('scalesPx' in config) {
    const { scalesPx } = config;
    const fits = scalesPx[0] === tilePx && scalesPx.every((side) => side % tilePx === 0);
    expectConfig(fits, `s2_scales must begin with ${tilePx} and be multiples of it`, scalesPx);
  }
  return new WholeEncoder(config, parts, tilePx);
}

/** All of an image at once. */
class WholeEncoder implements VilaEncoder {
  readonly looks = false;
  readonly sidePx: number | undefined;
  readonly #config: EncoderConfig;
  readonly #parts: EncoderParts;
  readonly #tilePx: number;
  readonly #encode: TileEncoder;

  constructor(config: EncoderConfig, parts: EncoderParts, tilePx: number) {
    const { vision } = parts;
    this.#config = config;
    this.#parts = parts;
    this.#tilePx = tilePx;
    this.#encode = towerEncoder(vision, -2);
    if (config.kind === 's2') this.sidePx = config.scalesPx[config.scalesPx.length - 1];
    else this.sidePx = config.kind === 'low-res' ? vision.image.imagePx : undefined;
  }

  glance(image: Tensor): Omit<Seen, typeof Symbol.dispose> {
    return { image, glance: undefined, low: tidy([image], (image) => this.#tokens(image)) };
  }

  async look({ low }: Pick<Seen, 'low'>, options: VilaLookOptions, run: Recorder): Promise<VilaLook> {
    const given = Object.keys(options).join(', ');
    expect(
      given === '',
      'VilaModel.look',
      `${this.#config.kind} sees all at once: it takes no options`,
      given,
    );
    const [n, T, d] = low.shape;
    const rows = Array.from({ length: n }, (_, b) => Uint32Array.from({ length: T }, (_, i) => b * T + i));
    const table = run(() => low.reshape([n * T, d])) as Tensor<'f32'>;
    return lookOf({ table, rows }, { groups: rows.map(() => []), vision: undefined }, run);
  }

  /** [n, tokens, d] */
  #tokens(image: Tensor): Tensor<'f32'> {
    const config = this.#config;
    const { vision, weights } = this.#parts;
    switch (config.kind) {
      case 'anyres':
        return this.#anyRes(image, config);
      case 's2': {
        const { scalesPx, resizeTo } = config;
        const side = scalesPx[scalesPx.length - 1];
        const square = noGrad(() => this.#sized(image, [side, side]));
        return project(tokensOf(s2Features(square, this.#encode, { scalesPx, resizeTo })), weights);
      }
      case 'dynamic-s2':
        return this.#dynamicS2(image, config);
      default: {
        const { hidden, qkv } = vision.lowRes(image, 2);
        for (const unused of [hidden[1], ...qkv]) unused.dispose(); // the tape has what it needs of them
        return project(hidden[0], weights);
      }
    }
  }

  #anyRes(image: Tensor, { minTiles, maxTiles }: EncoderConfig & { kind: 'anyres' }): Tensor<'f32'> {
    const t = this.#tilePx;
    const [n] = image.shape;
    const [height, width] = imageSize(image);
    const grid = dynamicGrid(width, height, { tilePx: t, minTiles, maxTiles });
    const tiles = noGrad(() => {
      const cut = this.#tiles(image, grid);
      return grid[0] * grid[1] === 1 ? cut : concat([cut, this.#sized(image, [t, t])], { axis: 0 });
    });
    const tokens = project(this.#encode(tiles), this.#parts.weights);
    const between = this.#parts.between(tokens);
    const lines = concat(
      Array.from({ length: n }, () => between),
      { axis: 0 },
    );
    const parts: Tensor<'f32'>[] = [];
    for (let start = 0; start < tokens.shape[0]; start += n) {
      if (start > 0) parts.push(lines);
      parts.push(slice(tokens, { axis: 0, start, length: n }));
    }
    return concat(parts, { axis: 1 });
  }

  #dynamicS2(image: Tensor, config: EncoderConfig & { kind: 'dynamic-s2' }): Tensor<'f32'> {
    const { scalesPx, maxTiles, resizeTo } = config;
    const counts = scalesPx.map((side) => side / scalesPx[0]);
    const minTiles = counts[counts.length - 1] ** 2;
    const [height, width] = imageSize(image);
    const grid = dynamicGrid(width, height, { tilePx: this.#tilePx, minTiles, maxTiles });
    const grids = [...counts.slice(0, -1).map((k): TileGrid => [k, k]), grid];
    const tiles = noGrad(() =>
      concat(
        grids.map((grid) => this.#tiles(image, grid)),
        { axis: 0 },
      ),
    );
    const map = dynamicS2Features(tiles, grid, this.#encode, { scalesPx, resizeTo });
    return projectTiles(map, grids.at(resizeTo)!, this.#parts.weights);
  }

  /** Tile after tile in raster order, each of all images. */
  #tiles(image: Tensor, [columns, rows]: TileGrid): Tensor<'f32'> {
    const t = this.#tilePx;
    return cutTiles(this.#sized(image, [rows * t, columns * t]), [rows, columns]);
  }

  /** Normalised, [n, 3, h, w]: as Pillow resizes bytes; what is normalised already by the same filter in floats. */
  #sized(image: Tensor, size: readonly [h: number, w: number]): Tensor<'f32'> {
    return tidy([image], (image) => {
      const [H, W] = imageSize(image);
      const isOwn = H === size[0] && W === size[1];
      if (image.dtype !== 'u8')
        return isOwn ? (image as Tensor<'f32'>) : resize(image, size, 'bicubic-antialias');
      const bytes = isOwn ? image : pillowResize(image, size);
      return normalized(this.#parts.vision, bytes as Tensor<'u8'>);
    });
  }
}
