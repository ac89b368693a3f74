// How well maps lead to boxes, at any budget. Shi et al. 2025, arXiv:2503.19903, section 7.2.
import type { Box } from '../../data/boxes.ts';

/** Sizes of a box by its area in low-res patches: below 1, 1 to 4, above 4. */
export type ObjectSize = 'small' | 'medium' | 'large';

/**
 * @param box      in pixels
 * @param side     of the image, pixels
 * @param lowGrid  low-res patches along a side
 */
export function sizeOf([x1, y1, x2, y2]: Box, side: number, lowGrid: number): ObjectSize {
  const cells = ((x2 - x1) * (y2 - y1) * lowGrid ** 2) / side ** 2;
  return cells < 1 ? 'small' : cells <= 4 ? 'medium' : 'large';
}

/** The order in which selection takes patches: the most promising first, ties to the lower index. @returns rank of each, from 0 */
export function selectionRanks(map: ArrayLike<number>): Uint32Array {
  const order = Uint32Array.from({ length: map.length }, (_, i) => i).sort(
    (a, b) => map[b] - map[a] || a - b,
  );
  const ranks = new Uint32Array(map.length);
  order.forEach((patch, rank) => {
    ranks[patch] = rank;
  });
  return ranks;
}

/** How a selection covers a box; over all scales, a patch a patch. */
export interface Coverage {
  /** Share of the box's patches that are selected, for each budget. */
  readonly recall: readonly number[];
  /** Share of the selected patches that are the box's, for each budget. */
  readonly precision: readonly number[];
  /** 1 where at least one patch of the finest scale is the box's and selected, else 0, for each budget. */
  readonly hit: readonly number[];
  /**
   * Area under recall over the budget from 0 to 1: 1/2 of a random order.
   *
   *   mean over the box's patches of 1 - (rank + 1/2) / patches of its scale
   */
  readonly area: number;
}

/**
 * Share of the patches of boxes that a selection took, over all scales, a patch a patch.
 *
 * @param maps   per scale, nonzero in the patches that were taken
 * @param cells  per scale, nonzero in the boxes' patches
 * @returns      NaN where no patch is the boxes'
 */
export function takenShare(maps: readonly ArrayLike<number>[], cells: readonly ArrayLike<number>[]): number {
  let [taken, wanted] = [0, 0];
  cells.forEach((scale, s) => {
    for (let i = 0; i < scale.length; i++) {
      if (scale[i] === 0) continue;
      wanted++;
      if (maps[s][i] > 0) taken++;
    }
  });
  return taken / wanted;
}

/**
 * Coverage of a box at some budgets. Every scale gives the same share of its patches, rounded.
 *
 * @param ranks    per scale, the finest last, as `selectionRanks` gives them
 * @param cells    per scale, nonzero in the box's patches
 * @param budgets  shares of all patches, in [0, 1]
 */
export function coverageOf(
  ranks: readonly ArrayLike<number>[],
  cells: readonly ArrayLike<number>[],
  budgets: readonly number[],
): Coverage {
  let wanted = 0;
  let area = 0;
  ranks.forEach((scale, s) => {
    for (let i = 0; i < scale.length; i++)
      if (cells[s][i]) {
        wanted++;
        area += 1 - (scale[i] + 0.5) / scale.length;
      }
  });
  const counted = budgets.map((budget) => {
    let selected = 0;
    let found = 0;
    let finest = 0;
    ranks.forEach((scale, s) => {
      const count = Math.round(budget * scale.length);
      selected += count;
      let here = 0;
      for (let i = 0; i < scale.length; i++) here += Number(Boolean(cells[s][i]) && scale[i] < count);
      found += here;
      finest = here;
    });
    return {
      recall: found / wanted,
      precision: selected === 0 ? 0 : found / selected,
      hit: Number(finest > 0),
    };
  });
  return {
    recall: counted.map(({ recall }) => recall),
    precision: counted.map(({ precision }) => precision),
    hit: counted.map(({ hit }) => hit),
    area: area / wanted,
  };
}

/**
 * Where a map is highest: the centre of the level rectangle that begins at its first maximum, since a map that is enlarged
 * from a coarser grid has one for each of its cells.
 *
 * @param map   [rows * columns]
 * @returns     x and y as shares of the image's sides
 */
export function pointOf(map: ArrayLike<number>, rows: number, columns: number): [x: number, y: number] {
  let first = 0;
  for (let i = 1; i < rows * columns; i++) if (map[i] > map[first]) first = i;
  const [top, left] = [Math.floor(first / columns), first % columns];
  let [bottom, right] = [top + 1, left + 1];
  while (right < columns && map[top * columns + right] === map[first]) right++;
  while (bottom < rows && map[bottom * columns + left] === map[first]) bottom++;
  return [(left + right) / 2 / columns, (top + bottom) / 2 / rows];
}

/** Whether a point, in shares of the image's sides, is in a box. */
export function isInside([x, y]: readonly [number, number], [x1, y1, x2, y2]: Box, side: number): boolean {
  return x * side >= x1 && x * side < x2 && y * side >= y1 && y * side < y2;
}
