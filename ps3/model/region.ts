// Where to look when it is known: a box or a point of the image in place of a prompt.
import { expect } from '../../engine/index.ts';
import type { Grid } from './vision/scales.ts';

/**
 * A part of an image in fractions of its width and height: (0, 0) is the top left corner, (1, 1) the bottom right.
 * A box is left, top, right, bottom.
 */
export type Region =
  | { readonly box: readonly [left: number, top: number, right: number, bottom: number] }
  | { readonly point: readonly [x: number, y: number] };

/** A box covers a cell of which it has more than this in both axes: less is rounding. */
const ROUNDING = 1e-6;

/**
 * How near each cell of a grid is to a region.
 *
 *   nearness = 1                          in every cell that the box covers, if only in part; in the point's own cell
 *            = 1 - |c - r| / |(X, Y)|     elsewhere; c the cell's centre, r the point of the region nearest to it, in cells
 *
 * @param op  the function that was called, for the message
 * @returns   [Y * X], in (0, 1]
 * @throws ShapeError for a region that is empty or not within the image
 */
export function nearness(region: Region, [Y, X]: Grid, op = 'nearness'): Float32Array {
  const isBox = 'box' in region;
  const [left, top, right, bottom] = isBox ? region.box : [...region.point, ...region.point];
  const isWithin = [left, top, right, bottom].every((fraction) => fraction >= 0 && fraction <= 1);
  const isProper = isBox ? left < right && top < bottom : true;
  expect(
    isWithin && isProper,
    op,
    isBox
      ? 'a box must have 0 <= left < right <= 1 and 0 <= top < bottom <= 1'
      : 'a point must be within 0..1',
    JSON.stringify(region),
    'Divide pixels by the width and height of the image.',
  );
  const diagonal = Math.hypot(X, Y);
  return Float32Array.from({ length: Y * X }, (_, i) => {
    const [dx, coversX] = alongAxis(i % X, left * X, right * X);
    const [dy, coversY] = alongAxis(Math.floor(i / X), top * Y, bottom * Y);
    return coversX && coversY ? 1 : 1 - Math.hypot(dx, dy) / diagonal;
  });
}

/** How far the centre of a cell is from [from, to], and whether the cell covers part of it. */
function alongAxis(cell: number, from: number, to: number): [distance: number, covers: boolean] {
  const centre = cell + 0.5;
  const overlap = Math.min(to, cell + 1) - Math.max(from, cell);
  // A point on an edge belongs to the lower cell: ties go to the lower index.
  const covers = from === to ? cell === Math.max(Math.ceil(from) - 1, 0) : overlap > ROUNDING;
  return [Math.max(from - centre, centre - to, 0), covers];
}

/** One region for every image: a single one is meant for all. @throws ShapeError when there are not B */
export function regionsOf(op: string, region: Region | readonly Region[], B: number): readonly Region[] {
  const regions = Array.isArray(region) ? (region as readonly Region[]) : [region as Region];
  expect(
    regions.length === B || regions.length === 1,
    op,
    `there must be one, or one for each of ${B} images`,
    `${regions.length}`,
  );
  return regions.length === B ? regions : Array.from({ length: B }, () => regions[0]);
}
