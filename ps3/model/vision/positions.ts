// Position embeddings of chosen patches: a table learned at the low-res grid, resampled for every high-res scale, plus a
// learned residual per scale. Only the rows of the chosen patches are made, so the cost follows them and not the grid.
import {
  add,
  arange,
  cast,
  div,
  embedding,
  equal,
  matmul,
  mul,
  noGrad,
  remainder,
  resizeRows,
  slice,
  type Tensor,
  tidy,
  type Weights,
} from '../../../engine/index.ts';
import type { VisionConfig } from '../config/config.ts';
import type { Grid } from './scales.ts';

/**
 * What is added to the patches of the low-res grid.
 *
 * @param like  any tensor of the computation; the result lives where it lives
 * @returns     [Y * X, C]
 */
export function lowResPositions(
  weights: Weights,
  config: VisionConfig,
  [Y, X]: Grid,
  like: Tensor,
): Tensor<'f32'> {
  const table = weights.get('trunk.pos_embed');
  const [, cells, C] = table.shape;
  return tidy([like], (like) => {
    if (cells === Y * X) return cast(table.in(like.scope), 'f32').reshape([cells, C]);
    const all = arange(like, Y * X).reshape([1, Y * X]);
    return baseRows(table.in(like.scope), config, [Y, X], all).reshape([Y * X, C]);
  });
}

/**
 * What is added to chosen patches of a high-res grid.
 *
 * The base table is resampled (bicubic, antialias) to a square of the grid's longer side, of which the grid is the top
 * left; C-RADIO's large table is not resampled.
 *
 * @param scale    index of the high-res scale, from 1
 * @param indices  u32 [B, k] into Y * X
 * @returns        [B, k, C]
 */
export function positionsAt(
  weights: Weights,
  config: VisionConfig,
  scale: number,
  grid: Grid,
  indices: Tensor,
): Tensor<'f32'> {
  return tidy([indices], (indices) => {
    const base = baseRows(weights.get('trunk.pos_embed').in(indices.scope), config, grid, indices);
    if (!config.separatePosEmb) return base;
    const residual = weights.get(`pos_emb_residual.${scale - 1}`).in(indices.scope);
    return add(
      base,
      config.tiedPositions ? cellRows(residual, grid, indices) : squareRows(residual, grid, indices),
    );
  });
}

/**
 * The same for chosen patches of windows, which have the positions that they have in the whole images.
 *
 * @param whole    of the whole images
 * @param scale    index of the scale; 0, the low-res one, has no residuals
 * @param grid     of the window
 * @param indices  u32 [B, k] into the window's Y * X; undefined: all of them
 * @param origin   u32 [B, 2], the low-res row and column at which each window begins
 * @returns        [B, k, C]
 */
export function windowPositionsAt(
  weights: Weights,
  whole: VisionConfig,
  scale: number,
  [Y, X]: Grid,
  indices: Tensor | undefined,
  origin: Tensor,
): Tensor<'f32'> {
  return tidy([origin, indices], (origin, indices) => {
    const [row, column] = placeOf(indices ?? arange(origin, Y * X).reshape([1, Y * X]), X);
    const side = whole.gridSides[scale];
    const beginning = (axis: number): Tensor =>
      mul(slice(origin, { axis: 1, start: axis, length: 1 }), side / whole.gridSides[0]);
    const places = add(mul(add(row, beginning(0)), side), add(column, beginning(1)));
    if (scale > 0) return positionsAt(weights, whole, scale, [side, side], places);
    return baseRows(weights.get('trunk.pos_embed').in(places.scope), whole, [side, side], places);
  });
}

function baseRows(table: Tensor, config: VisionConfig, grid: Grid, indices: Tensor): Tensor<'f32'> {
  const [, cells, C] = table.shape;
  const side = Math.sqrt(cells);
  const longer = Math.max(...grid);
  if (config.posMode === 'cropped' || longer === side) return squareRows(table, grid, indices);
  // A resampled row is a sum of table rows: the weights of its own row and column, multiplied.
  const axis = resamplingWeights(indices, side, longer);
  const [B, k] = indices.shape;
  const [row, column] = placeOf(indices, grid[1]);
  const rows = embedding(axis, row).reshape([B, k, side, 1]);
  const columns = embedding(axis, column).reshape([B, k, 1, side]);
  return matmul(mul(rows, columns).reshape([B, k, cells]), table.reshape([cells, C]));
}

/** Weights [longer, side] of a table's rows in those of the resampled table, along one axis. */
function resamplingWeights(like: Tensor, side: number, longer: number): Tensor<'f32'> {
  return noGrad(() =>
    tidy([like], (like) => {
      const cells = arange(like, side);
      const identity = equal(cells.reshape([side, 1]), cells.reshape([1, side]));
      return resizeRows(identity, [side, 1], [longer, 1], 'bicubic-antialias');
    }),
  );
}

/** Rows of a square table [1, side * side, C] whose top left is the grid. */
function squareRows(table: Tensor, [Y, X]: Grid, indices: Tensor): Tensor<'f32'> {
  const [, cells, C] = table.shape;
  const side = Math.sqrt(cells);
  const rows = table.reshape([cells, C]);
  if (X === side || Y === 1) return embedding(rows, indices);
  const [row, column] = placeOf(indices, X);
  return embedding(rows, add(mul(row, side), column));
}

/** Rows of a table [1, side * side, C] of the places within a low-res patch, which each of them repeats. */
function cellRows(table: Tensor, [, X]: Grid, indices: Tensor): Tensor<'f32'> {
  const [, places, C] = table.shape;
  const side = Math.sqrt(places);
  const [row, column] = placeOf(indices, X);
  const place = add(mul(remainder(row, side), side), remainder(column, side));
  return embedding(table.reshape([places, C]), place);
}

/**
 * The table [1, Y * Y, C] of every place of a grid that tied residuals [1, side * side, C] stand for.
 *
 * @param grid  Y
 */
export function untied<A extends Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer>>(
  table: A,
  side: number,
  grid: number,
): A {
  const C = table.length / side ** 2;
  const whole = new (table.constructor as new (length: number) => A)(grid * grid * C);
  for (let y = 0; y < grid; y++)
    for (let x = 0; x < grid; x++) {
      const place = (y % side) * side + (x % side);
      whole.set(table.subarray(place * C, (place + 1) * C), (y * grid + x) * C);
    }
  return whole;
}

/** Row and column of raster indices into a grid of X columns. */
function placeOf(indices: Tensor, X: number): [row: Tensor, column: Tensor] {
  return [div(indices, X), remainder(indices, X)];
}
