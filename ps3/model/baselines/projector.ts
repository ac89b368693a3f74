// The projector of NVILA from image tokens to a language model's width, by which the baselines' tokens are counted.
import {
  concat,
  layerNormLayer,
  linearLayer,
  pad,
  permute,
  type Tensor,
  tidy,
  type Weights,
} from '../../../engine/index.ts';
import { tileTokens } from './features.ts';
import { stitchTokens, tokensOf } from './mosaic.ts';
import type { TileGrid } from './tile_grids.ts';

/**
 * Joins every 2 x 2 tokens of a square grid on channels; an odd side gets a row and a column of zeros.
 *
 * @param tokens  [B, G * G, C]
 * @returns       [B, ceil(G / 2)^2, 4 C], channels of the upper two tokens, then of the lower two
 */
export function mergeTokens(tokens: Tensor<'f32'>): Tensor<'f32'> {
  return tidy([tokens], (tokens) => {
    const [B, T, C] = tokens.shape;
    const G = Math.sqrt(T);
    const g = Math.ceil(G / 2);
    const square = tokens.reshape([B, G, G, C]);
    const extra = 2 * g - G;
    const even =
      extra === 0
        ? square
        : pad(square, [
            [0, 0],
            [0, extra],
            [0, extra],
            [0, 0],
          ]);
    return permute(even.reshape([B, g, 2, g, 2, C]), [0, 1, 3, 2, 4, 5]).reshape([B, g * g, 4 * C]);
  });
}

/**
 * `mlp_downsample`: 2 x 2 tokens to one, layer norm, linear, gelu, linear.
 *
 * @param tokens   [B, G * G, C]
 * @param weights  the names below the projector's, `layers.1` to `layers.4`
 * @returns        [B, ceil(G / 2)^2, d]
 * Source: NVlabs/VILA, llava/model/multimodal_projector/base_projector.py.
 */
export function project(tokens: Tensor<'f32'>, weights: Weights): Tensor<'f32'> {
  return tidy([tokens], (tokens) => {
    const normed = layerNormLayer(mergeTokens(tokens), weights.in('layers.1'), { eps: 1e-5 });
    const hidden = linearLayer(normed, weights.in('layers.2'), { gelu: 'erf' });
    return linearLayer(hidden, weights.in('layers.4'));
  });
}

/**
 * Projects a map tile by tile, as NVILA does for dynamic S²: an odd side of a tile is padded in each.
 *
 * @param map  [1, C, rows * G, columns * G]
 * @returns    [tokens, d], in raster order of the whole
 */
export function projectTiles(map: Tensor<'f32'>, grid: TileGrid, weights: Weights): Tensor<'f32'> {
  const [columns, rows] = grid;
  const whole = tokensOf(stitchTokens(project(tileTokens(map, grid), weights), [rows, columns]));
  return whole.reshape(whole.shape.slice(1));
}

/**
 * A newline's embedding behind the tokens of every tile.
 *
 * @param tokens   [n, T, d]
 * @param newline  [1, d]
 * @returns        [n, T + 1, d]
 */
export function withNewlines(tokens: Tensor<'f32'>, newline: Tensor<'f32'>): Tensor<'f32'> {
  const [n, , d] = tokens.shape;
  const ends = Array.from({ length: n }, () => newline.reshape([1, 1, d]));
  return concat([tokens, concat(ends, { axis: 0 })], { axis: 1 });
}
