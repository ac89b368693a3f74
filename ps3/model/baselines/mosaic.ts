// Images cut into tiles, and the tokens of tiles back on one map.
import { permute, type Tensor } from '../../../engine/index.ts';

/** Rows and columns of tiles. */
export type Blocks = readonly [rows: number, columns: number];

/**
 * Cuts maps into tiles.
 *
 * @param x  [B, C, H, W], whose sides the blocks divide
 * @returns  [rows * columns * B, C, H / rows, W / columns], tile after tile in raster order, each of all B
 */
export function cutTiles(x: Tensor<'f32'>, [rows, columns]: Blocks): Tensor<'f32'> {
  const [B, C, H, W] = x.shape;
  const [h, w] = [H / rows, W / columns];
  const tiles = permute(x.reshape([B, C, rows, h, columns, w]), [2, 4, 0, 1, 3, 5]);
  return tiles.reshape([rows * columns * B, C, h, w]);
}

/**
 * Puts the tokens of tiles on one map: the inverse of cutting.
 *
 * @param tokens  [rows * columns * B, G * G, C], tile after tile in raster order, each of all B
 * @returns       [B, C, rows * G, columns * G]
 */
export function stitchTokens(tokens: Tensor<'f32'>, [rows, columns]: Blocks): Tensor<'f32'> {
  const [n, T, C] = tokens.shape;
  const B = n / rows / columns;
  const G = Math.sqrt(T);
  const map = permute(tokens.reshape([rows, columns, B, G, G, C]), [2, 5, 0, 3, 1, 4]);
  return map.reshape([B, C, rows * G, columns * G]);
}

/** Maps as tokens: [B, C, H, W] to [B, H * W, C]. */
export function tokensOf(map: Tensor<'f32'>): Tensor<'f32'> {
  const [B, C, H, W] = map.shape;
  return permute(map.reshape([B, C, H * W]), [0, 2, 1]);
}
