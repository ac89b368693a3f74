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
 * Joins every r x r tokens of a square grid on channels; a side that r does not divide gets rows and columns of zeros.
 *
 * @param tokens  [B, G * G, C]
 * @returns       [B, ceil(G / r)^2, r r C], channels of the tokens in raster order
 */
export function mergeTokens(tokens: Tensor<'f32'>, r = 2): Tensor<'f32'> {
  return tidy([tokens], (tokens) => {
    const [B, T, C] = tokens.shape;
    const G = Math.sqrt(T);
    const g = Math.ceil(G / r);
    const square = tokens.reshape([B, G, G, C]);
    const extra = r * g - G;
    const whole =
      extra === 0
        ? square
        : pad(square, [
            [0, 0],
            [0, extra],
            [0, extra],
            [0, 0],
          ]);
    return permute(whole.reshape([B, g, r, g, r, C]), [0, 1, 3, 2, 4, 5]).reshape([B, g * g, r * r * C]);
  });
}

/**
 * The tokens along a side that a projector joins to one: 2 of `mlp_downsample`, 3 of `mlp_downsample_3x3_fix`.
 *
 * @param width  C, of the tower
 */
export function mergeRatio(weights: Weights, width: number): number {
  return Math.sqrt(weights.get('layers.1.weight').size / width);
}

/**
 * The projector behind joining: layer norm, linear, gelu, linear; of `mlp_downsample_3x3_fix` layer norm, linear, gelu twice.
 *
 * @param joined   [..., r r C], as `mergeTokens` gives them
 * @param weights  the names below the projector's, `layers.1` and on
 * @returns        [..., d]
 * Source: NVlabs/VILA, llava/model/multimodal_projector/base_projector.py.
 */
export function projectJoined(joined: Tensor<'f32'>, weights: Weights): Tensor<'f32'> {
  return tidy([joined], (joined) => {
    const layer = (x: Tensor<'f32'>, norm: number): Tensor<'f32'> =>
      linearLayer(
        layerNormLayer(x, weights.in(`layers.${norm}`), { eps: 1e-5 }),
        weights.in(`layers.${norm + 1}`),
        {
          gelu: 'erf',
        },
      );
    const first = layer(joined, 1);
    return weights.has('layers.7.weight')
      ? linearLayer(layer(first, 4), weights.in('layers.7'))
      : linearLayer(first, weights.in('layers.4'));
  });
}

/**
 * The projector over whole grids.
 *
 * @param tokens   [B, G * G, C]
 * @param weights  as of `projectJoined`
 * @returns        [B, ceil(G / r)^2, d]
 */
export function project(tokens: Tensor<'f32'>, weights: Weights): Tensor<'f32'> {
  return tidy([tokens], (tokens) =>
    projectJoined(mergeTokens(tokens, mergeRatio(weights, tokens.shape[2])), weights),
  );
}

/**
 * Projects a map tile by tile, as NVILA does for dynamic S²: an odd side of a tile is padded in each.
 *
 * @param map  [B, C, rows * G, columns * G]
 * @returns    [B, tokens, d], in raster order of the whole
 */
export function projectTiles(map: Tensor<'f32'>, grid: TileGrid, weights: Weights): Tensor<'f32'> {
  const [columns, rows] = grid;
  return tokensOf(stitchTokens(project(tileTokens(map, grid), weights), [rows, columns]));
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
