// How many tiles an image is cut into by the two AnyRes rules.
import { expect } from '../../../engine/index.ts';

/** Columns and rows of tiles. */
export type TileGrid = readonly [columns: number, rows: number];

/** What the rule of NVILA chooses among. */
export interface DynamicGridOptions {
  /** Side of a tile, pixels. */
  readonly tilePx: number;
  /** Fewest tiles; default 1. */
  readonly minTiles?: number;
  /** Most tiles; default 12. */
  readonly maxTiles?: number;
}

/**
 * The grid of NVILA's "dynamic" images: the one whose shape is nearest to the image's.
 *
 *   candidates: i columns and j rows, min <= i j <= max, by i j, then by i
 *   best = the smallest |W / H - i / j|; of equal ones a later one if W H > t^2 i j / 2
 *
 * @param width  of the image, pixels
 * @throws ShapeError when no grid has so many tiles
 * Source: NVlabs/VILA, llava/mm_utils.py, find_closest_aspect_ratio.
 */
export function dynamicGrid(width: number, height: number, options: DynamicGridOptions): TileGrid {
  const { tilePx, minTiles = 1, maxTiles = 12 } = options;
  const isRange =
    Number.isInteger(minTiles) && Number.isInteger(maxTiles) && 1 <= minTiles && minTiles <= maxTiles;
  expect(
    isRange,
    'dynamicGrid',
    'minTiles and maxTiles must be integers of 1 <= minTiles <= maxTiles',
    `${minTiles} and ${maxTiles}`,
  );
  const candidates: TileGrid[] = [];
  for (let columns = 1; columns <= maxTiles; columns++)
    for (let rows = 1; columns * rows <= maxTiles; rows++)
      if (columns * rows >= minTiles) candidates.push([columns, rows]);
  candidates.sort(([a, b], [c, d]) => a * b - c * d || a - c);
  const shape = width / height;
  let best = candidates[0];
  let nearest = Number.POSITIVE_INFINITY;
  for (const [columns, rows] of candidates) {
    const difference = Math.abs(shape - columns / rows);
    const isLarge = width * height > 0.5 * tilePx * tilePx * columns * rows;
    if (difference < nearest || (difference === nearest && isLarge)) {
      best = [columns, rows];
      nearest = difference;
    }
  }
  return best;
}

/**
 * The grid of LLaVA-NeXT's images: the one that shows most of the image's pixels, of equal ones the one that wastes least.
 *
 *   s = min(w / W, h / H);  effective = min(floor(W s) floor(H s), W H);  waste = w h - effective
 *
 * @param grids  to choose among, such as [2, 2], [1, 2], [2, 1], [1, 3] and [3, 1]
 * @throws ShapeError when there is none
 * Source: haotian-liu/LLaVA, llava/mm_utils.py, select_best_resolution.
 */
export function llavaNextGrid(
  width: number,
  height: number,
  tilePx: number,
  grids: readonly TileGrid[],
): TileGrid {
  expect(grids.length > 0, 'llavaNextGrid', 'there must be a grid to choose', 'none');
  let best = grids[0];
  let [mostPixels, leastWaste] = [0, Number.POSITIVE_INFINITY];
  for (const grid of grids) {
    const [w, h] = [grid[0] * tilePx, grid[1] * tilePx];
    const scale = Math.min(w / width, h / height);
    const shown = Math.min(Math.trunc(width * scale) * Math.trunc(height * scale), width * height);
    const waste = w * h - shown;
    if (shown > mostPixels || (shown === mostPixels && waste < leastWaste))
      [best, mostPixels, leastWaste] = [grid, shown, waste];
  }
  return best;
}

/** A part of a grid of cells. */
export interface CellRange {
  readonly top: number;
  readonly left: number;
  readonly rows: number;
  readonly columns: number;
}

/**
 * The cells of a padded image's map that show the image, what LLaVA-NeXT's "unpad" keeps.
 *
 * @param width    of the image before it was padded, pixels
 * @param rows     of the map
 * Source: haotian-liu/LLaVA, llava/model/llava_arch.py, unpad_image.
 */
export function unpaddedCells(width: number, height: number, rows: number, columns: number): CellRange {
  if (width / height > columns / rows) {
    const top = Math.floor((rows - Math.trunc(height * (columns / width))) / 2);
    return { top, left: 0, rows: rows - 2 * top, columns };
  }
  const left = Math.floor((columns - Math.trunc(width * (rows / height))) / 2);
  return { top: 0, left, rows, columns: columns - 2 * left };
}
