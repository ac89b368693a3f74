// Position tables: one learned at the low-res grid, resized for every high-res scale, plus a learned residual per scale.
import { add, resizeRows, slice, type Tensor, tidy, type Weights } from '../../engine/index.ts';
import type { VisionConfig } from './config.ts';
import type { Grid } from './scales.ts';

/**
 * What is added to the patches of a grid.
 *
 * The base table is resized (bicubic, antialias) to a square of the grid's longer side and cropped from the top left;
 * C-RADIO's large table is only cropped.
 *
 * @param scale  index of the scale, 0 = low-res
 * @param like   any tensor of the computation; the result lives where it lives
 * @returns      [Y * X, C]
 */
export function positionTable(
  weights: Weights,
  config: VisionConfig,
  scale: number,
  grid: Grid,
  like: Tensor,
): Tensor {
  const base = weights.get('trunk.pos_embed');
  const side = Math.round(Math.sqrt(base.shape[1]));
  return tidy([base.in(like.scope)], (table) => {
    const longer = Math.max(...grid);
    const C = table.shape[2];
    let rows = table.reshape([-1, C]);
    if (config.posMode === 'cropped') rows = crop(rows, side, grid);
    else {
      if (longer !== side) rows = resizeRows(rows, [side, side], [longer, longer], 'bicubic-antialias');
      rows = crop(rows, longer, grid);
    }
    const name = `pos_emb_residual.${scale - 1}`;
    if (scale === 0 || !config.separatePosEmb) return rows;
    const residual = weights.get(name).in(rows.scope).reshape([-1, C]);
    return add(rows, crop(residual, Math.round(Math.sqrt(residual.shape[0])), grid));
  });
}

/** The top left Y x X cells of a square table [side * side, C]. */
function crop(rows: Tensor, side: number, [Y, X]: Grid): Tensor {
  const C = rows.shape[1];
  if (Y === side && X === side) return rows;
  const top = slice(rows.reshape([side, side, C]), 0, 0, Y);
  return slice(top, 1, 0, X).reshape([Y * X, C]);
}
