// The parts of an image that were looked at, cut out of it.
import type { Grid } from '../../model/vision/scales.ts';
import type { TakenPatches } from './overlay.ts';

/** Parts are shown so large at most; larger ones are shrunk. */
const LARGEST_PX = 320;
const MOST = 4;

/** A part of a grid, in cells; the ends are not included. */
interface Part {
  top: number;
  bottom: number;
  left: number;
  right: number;
  count: number;
}

/** The largest parts that hang together of what was taken at the finest scale, what was not taken in them dimmed. */
export function cropsOf(image: ImageBitmap, patches: readonly TakenPatches[]): HTMLCanvasElement[] {
  const taken = patches.findLast(({ count }) => count > 0);
  if (!taken) return [];
  const parts = partsOf(taken.grid, (row, column) => taken.has(row, column));
  return parts.slice(0, MOST).map((part) => drawn(image, taken, part));
}

/** Parts of cells that touch at edges, largest first. */
export function partsOf([Y, X]: Grid, isTaken: (row: number, column: number) => boolean): Part[] {
  const seen = new Set<number>();
  const parts: Part[] = [];
  for (let first = 0; first < Y * X; first++) {
    const part: Part = { top: Y, bottom: 0, left: X, right: 0, count: 0 };
    const open = [first];
    for (let cell = open.pop(); cell !== undefined; cell = open.pop()) {
      const [row, column] = [Math.floor(cell / X), cell % X];
      if (seen.has(cell) || !isTaken(row, column)) continue;
      seen.add(cell);
      part.count++;
      part.top = Math.min(part.top, row);
      part.bottom = Math.max(part.bottom, row + 1);
      part.left = Math.min(part.left, column);
      part.right = Math.max(part.right, column + 1);
      if (row > 0) open.push(cell - X);
      if (row + 1 < Y) open.push(cell + X);
      if (column > 0) open.push(cell - 1);
      if (column + 1 < X) open.push(cell + 1);
    }
    if (part.count > 0) parts.push(part);
  }
  return parts.sort((a, b) => b.count - a.count);
}

function drawn(
  image: ImageBitmap,
  taken: TakenPatches,
  { top, bottom, left, right }: Part,
): HTMLCanvasElement {
  const [Y, X] = taken.grid;
  const [cellWidth, cellHeight] = [image.width / X, image.height / Y];
  const [width, height] = [(right - left) * cellWidth, (bottom - top) * cellHeight];
  const zoom = Math.min(1, LARGEST_PX / Math.max(width, height));
  const canvas = document.createElement('canvas');
  canvas.width = Math.max(1, Math.round(width * zoom));
  canvas.height = Math.max(1, Math.round(height * zoom));
  const context = canvas.getContext('2d');
  if (!context) return canvas;
  context.drawImage(
    image,
    ...([left * cellWidth, top * cellHeight, width, height] as const),
    ...([0, 0, canvas.width, canvas.height] as const),
  );
  context.fillStyle = 'rgb(0 0 0 / 65%)';
  const [x, y] = [canvas.width / (right - left), canvas.height / (bottom - top)];
  for (let row = top; row < bottom; row++)
    for (let column = left; column < right; column++)
      if (!taken.has(row, column)) context.fillRect((column - left) * x, (row - top) * y, x, y);
  return canvas;
}
