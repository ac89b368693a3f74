// Boxes and what is made of them: the ground-truth map, its cells per scale, and the joint crop of image and
// boxes.
import type { Random } from '../../engine/index.ts';

/** [x1, y1, x2, y2] in pixels of the image, right and bottom edges exclusive. */
export type Box = [number, number, number, number];

/** A rectangle of whole pixels. */
export interface Rect {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** The whole pixels that a box touches. */
export function pixelsOf([x1, y1, x2, y2]: Box): Rect {
  const [x, y] = [Math.floor(x1), Math.floor(y1)];
  return { x, y, width: Math.ceil(x2) - x, height: Math.ceil(y2) - y };
}

/** The boxes of an image after it is squashed to a square. */
export function squashBoxes(boxes: readonly Box[], width: number, height: number, side: number): Box[] {
  const [sx, sy] = [side / width, side / height];
  return boxes.map(([x1, y1, x2, y2]) => [x1 * sx, y1 * sy, x2 * sx, y2 * sy]);
}

/** [first row or column, one past the last] that the map's rule gives an interval, clipped to the image. */
function mapSpan(low: number, high: number, side: number): [number, number] {
  return [Math.min(side, Math.max(0, Math.floor(low))), Math.min(side, Math.max(0, Math.ceil(high) + 1))];
}

/**
 * The ground-truth map: ones in [floor(y1), ceil(y2) + 1) x [floor(x1), ceil(x2) + 1) of every box, clipped.
 *
 * @returns [side, side]
 * Source: the reference implementation; it covers one row and one column more than the box.
 */
export function rasteriseBoxes(boxes: readonly Box[], side: number): Float32Array {
  const map = new Float32Array(side * side);
  for (const [x1, y1, x2, y2] of boxes) {
    const [left, right] = mapSpan(x1, x2, side);
    const [top, bottom] = mapSpan(y1, y2, side);
    for (let y = top; y < bottom; y++) map.fill(1, y * side + left, y * side + Math.max(left, right));
  }
  return map;
}

/**
 * The cells of a grid that the ground-truth map touches: y = 1[area_resize(map) > 0], without making the map.
 *
 * @returns [gridSide, gridSide], 0 or 1
 */
export function boxCells(boxes: readonly Box[], side: number, gridSide: number): Uint8Array {
  const cells = new Uint8Array(gridSide * gridSide);
  for (const [x1, y1, x2, y2] of boxes) {
    const [left, right] = mapSpan(x1, x2, side);
    const [top, bottom] = mapSpan(y1, y2, side);
    if (left >= right || top >= bottom) continue;
    // Cell i averages the pixels from floor(i side / grid) to ceil((i + 1) side / grid).
    const touches = (cell: number, low: number, high: number): boolean =>
      Math.floor((cell * side) / gridSide) < high && Math.ceil(((cell + 1) * side) / gridSide) > low;
    for (let row = 0; row < gridSide; row++) {
      if (!touches(row, top, bottom)) continue;
      for (let column = 0; column < gridSide; column++) {
        if (touches(column, left, right)) cells[row * gridSide + column] = 1;
      }
    }
  }
  return cells;
}

/**
 * Which share of each cell of a grid a box covers.
 *
 * @param side  of the image, pixels
 * @returns     [gridSide, gridSide], in [0, 1]
 */
export function boxShares([x1, y1, x2, y2]: Box, side: number, gridSide: number): Float32Array {
  const cellPx = side / gridSide;
  const along = (low: number, high: number): Float64Array =>
    Float64Array.from({ length: gridSide }, (_, cell) => {
      const length = Math.min(high, (cell + 1) * cellPx) - Math.max(low, cell * cellPx);
      return Math.max(0, length) / cellPx;
    });
  const [rows, columns] = [along(y1, y2), along(x1, x2)];
  return Float32Array.from(
    { length: gridSide * gridSide },
    (_, i) => rows[Math.floor(i / gridSide)] * columns[i % gridSide],
  );
}

/**
 * The side of the smallest grid whose cells tell exactly which cells of every other grid are touched: the least common
 * multiple of their sides where that divides the image, else the image's own pixels. The finest grid alone is not
 * enough: of 270 cells along an axis two and a half make one of 108.
 *
 * @param side  of the image, pixels
 */
export function exactGridSide(gridSides: readonly number[], side: number): number {
  const divisor = (a: number, b: number): number => (b === 0 ? a : divisor(b, a % b));
  const multiple = gridSides.reduce((all, grid) => (all / divisor(all, grid)) * grid, 1);
  return side % multiple === 0 ? multiple : side;
}

/**
 * The rectangle of a random resized crop: area share and aspect ratio drawn, ten attempts, else the whole
 * image.
 *
 * @param area    share of the image's area, uniform
 * @param aspect  width / height, uniform on a log scale
 * Source: torchvision RandomResizedCrop, which falls back to a central crop; of a square image that is all of
 * it.
 */
export function randomCrop(
  side: number,
  area: readonly [number, number],
  aspect: readonly [number, number],
  random: Random,
): Rect {
  for (let attempt = 0; attempt < 10; attempt++) {
    const wanted = side * side * random.range(area[0], area[1]);
    const ratio = Math.exp(random.range(Math.log(aspect[0]), Math.log(aspect[1])));
    const width = Math.round(Math.sqrt(wanted * ratio));
    const height = Math.round(Math.sqrt(wanted / ratio));
    if (width < 1 || height < 1 || width > side || height > side) continue;
    return { x: random.integer(side - width + 1), y: random.integer(side - height + 1), width, height };
  }
  return { x: 0, y: 0, width: side, height: side };
}

/** Boxes of an image after the crop is squashed to a square of `side`: shifted, clamped and scaled. */
export function cropBoxes(boxes: readonly Box[], crop: Rect, side: number): Box[] {
  const along = (edge: number, start: number, length: number): number =>
    (Math.min(length, Math.max(0, edge - start)) * side) / length;
  return boxes.map(([x1, y1, x2, y2]) => [
    along(x1, crop.x, crop.width),
    along(y1, crop.y, crop.height),
    along(x2, crop.x, crop.width),
    along(y2, crop.y, crop.height),
  ]);
}

/**
 * A crop of a square image squashed back to its side by bilinear interpolation at pixel centres; crops cover
 * most of the image, so no smoothing is needed.
 *
 * @param rgba  [side, side, 4]
 * @returns     [side, side, 4]
 */
export function cropImage(rgba: Uint8Array, side: number, crop: Rect): Uint8Array {
  if (crop.width === side && crop.height === side) return rgba.slice();
  const result = new Uint8Array(rgba.length);
  for (let y = 0; y < side; y++) {
    const sy = Math.min(crop.height - 1, Math.max(0, ((y + 0.5) * crop.height) / side - 0.5));
    const row0 = crop.y + Math.floor(sy);
    const row1 = Math.min(crop.y + crop.height - 1, row0 + 1);
    const fy = sy - Math.floor(sy);
    for (let x = 0; x < side; x++) {
      const sx = Math.min(crop.width - 1, Math.max(0, ((x + 0.5) * crop.width) / side - 0.5));
      const column0 = crop.x + Math.floor(sx);
      const column1 = Math.min(crop.x + crop.width - 1, column0 + 1);
      const fx = sx - Math.floor(sx);
      const o = 4 * (y * side + x);
      for (let c = 0; c < 4; c++) {
        const upper =
          (1 - fx) * rgba[4 * (row0 * side + column0) + c] + fx * rgba[4 * (row0 * side + column1) + c];
        const lower =
          (1 - fx) * rgba[4 * (row1 * side + column0) + c] + fx * rgba[4 * (row1 * side + column1) + c];
        result[o + c] = (1 - fy) * upper + fy * lower + 0.5;
      }
    }
  }
  return result;
}

/** Whether two boxes are nearer to each other than a gap, pixels. */
export function overlap(a: Box, b: Box, gapPx: number): boolean {
  return a[0] < b[2] + gapPx && b[0] < a[2] + gapPx && a[1] < b[3] + gapPx && b[1] < a[3] + gapPx;
}

/** What of a box is in a square window that begins at (left, top), in its pixels. */
export function boxWithin([x1, y1, x2, y2]: Readonly<Box>, left: number, top: number, side: number): Box {
  const inside = (edge: number): number => Math.min(side, Math.max(0, edge));
  return [inside(x1 - left), inside(y1 - top), inside(x2 - left), inside(y2 - top)];
}
