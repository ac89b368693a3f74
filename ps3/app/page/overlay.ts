// What is drawn on the image: a saliency map in colour, outlines of the patches taken, and the region asked
// for.
import type { Grid } from '../../model/vision/scales.ts';
import { type Colour, colourOf, SCALE_LINES } from '../colours.ts';
import type { Region, SaliencyMap } from './messages.ts';
import type { Place } from './viewer.ts';

/** Patches smaller than this, in CSS pixels, are outlined together. */
const SMALLEST_OUTLINED_PX = 7;

/** What the overlay draws. */
export interface Overlay {
  readonly map: HTMLCanvasElement | undefined;
  /** 0 to 1. */
  readonly opacity: number;
  readonly patches: readonly TakenPatches[];
  readonly region: Region | undefined;
}

export function lineOf(scale: number): (typeof SCALE_LINES)[number] {
  return SCALE_LINES[Math.min(scale, SCALE_LINES.length - 1)];
}

export const cssColour = ([red, green, blue]: Colour): string =>
  `rgb(${Math.round(red)} ${Math.round(green)} ${Math.round(blue)})`;

/** A map as an image of one pixel per cell, from the darkest colour at its lowest value to the brightest at its highest. */
export function drawnMap({ grid: [Y, X], values }: SaliencyMap): HTMLCanvasElement {
  const canvas = Object.assign(document.createElement('canvas'), { width: X, height: Y });
  const pixels = new ImageData(X, Y);
  const [low, high] = extent(values);
  values.forEach((value, i) => {
    pixels.data.set([...colourOf((value - low) / (high - low || 1)), 255], 4 * i);
  });
  canvas.getContext('2d')?.putImageData(pixels, 0, 0);
  return canvas;
}

/** [smallest, largest]. */
export function extent(values: Float32Array): [number, number] {
  return values.reduce<[number, number]>(
    ([low, high], value) => [Math.min(low, value), Math.max(high, value)],
    [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
  );
}

/** The patches of one scale that were taken by now. */
export class TakenPatches {
  readonly grid: Grid;
  readonly #scale: number;
  readonly #taken: Uint8Array;
  #count = 0;
  /** Outlines in cells: of every patch, and of the area that all cover. */
  #paths: { each: Path2D; area: Path2D } | undefined;

  /** @param scale  0 is the coarsest of the high-res scales */
  constructor(scale: number, grid: Grid) {
    this.#scale = scale;
    this.grid = grid;
    this.#taken = new Uint8Array(grid[0] * grid[1]);
  }

  get count(): number {
    return this.#count;
  }

  add(indices: Uint32Array): void {
    for (const index of indices) this.#taken[index] = 1;
    this.#count += indices.length;
    this.#paths = undefined;
  }

  has(row: number, column: number): boolean {
    const [Y, X] = this.grid;
    return row >= 0 && column >= 0 && row < Y && column < X && this.#taken[row * X + column] === 1;
  }

  draw(context: CanvasRenderingContext2D, { left, top, width, height }: Place): void {
    if (this.#count === 0) return;
    const [Y, X] = this.grid;
    this.#paths ??= this.#outlines();
    const { each, area } = this.#paths;
    const path = new Path2D();
    path.addPath(
      Math.min(width / X, height / Y) < SMALLEST_OUTLINED_PX ? area : each,
      new DOMMatrix([width / X, 0, 0, height / Y, left, top]),
    );
    const { colour, widthPx } = lineOf(this.#scale);
    context.lineCap = 'square';
    // A dark rim sets the line off from bright images.
    context.lineWidth = widthPx + 1.5;
    context.strokeStyle = 'rgb(0 0 0 / 55%)';
    context.stroke(path);
    context.lineWidth = widthPx;
    context.strokeStyle = cssColour(colour);
    context.stroke(path);
  }

  #outlines(): { each: Path2D; area: Path2D } {
    const [Y, X] = this.grid;
    const each = new Path2D();
    const area = new Path2D();
    const line = (isEdge: boolean, x1: number, y1: number, x2: number, y2: number): void => {
      for (const path of isEdge ? [each, area] : [each]) {
        path.moveTo(x1, y1);
        path.lineTo(x2, y2);
      }
    };
    // Every line once: above and to the left of each cell, with one row and column beyond the last.
    for (let row = 0; row <= Y; row++)
      for (let column = 0; column <= X; column++) {
        const [here, above, before] = [
          this.has(row, column),
          this.has(row - 1, column),
          this.has(row, column - 1),
        ];
        if (here || above) line(here !== above, column, row, column + 1, row);
        if (here || before) line(here !== before, column, row, column, row + 1);
      }
    return { each, area };
  }
}

export function drawOverlay(
  context: CanvasRenderingContext2D,
  place: Place,
  { map, opacity, patches, region }: Overlay,
): void {
  const { left, top, width, height } = place;
  if (map) {
    // The image is drawn in grey beneath the colours of the map.
    context.globalCompositeOperation = 'saturation';
    context.globalAlpha = Math.min(1, 2 * opacity);
    context.fillStyle = '#000000';
    context.fillRect(left, top, width, height);
    context.globalCompositeOperation = 'source-over';
    context.globalAlpha = opacity;
    context.imageSmoothingEnabled = false;
    context.drawImage(map, left, top, width, height);
    context.globalAlpha = 1;
  }
  context.save();
  context.beginPath();
  context.rect(left, top, width, height);
  context.clip();
  for (const taken of patches.toReversed()) taken.draw(context, place);
  if (region) drawRegion(context, place, region);
  context.restore();
}

function drawRegion(
  context: CanvasRenderingContext2D,
  { left, top, width, height }: Place,
  region: Region,
): void {
  const path = new Path2D();
  if ('box' in region) {
    const [x1, y1, x2, y2] = region.box;
    path.rect(left + x1 * width, top + y1 * height, (x2 - x1) * width, (y2 - y1) * height);
  } else {
    const [x, y] = [left + region.point[0] * width, top + region.point[1] * height];
    path.arc(x, y, 9, 0, 2 * Math.PI);
    for (const [dx, dy] of [
      [0, 1],
      [1, 0],
      [0, -1],
      [-1, 0],
    ]) {
      path.moveTo(x + 5 * dx, y + 5 * dy);
      path.lineTo(x + 14 * dx, y + 14 * dy);
    }
  }
  context.setLineDash('box' in region ? [8, 4] : []);
  for (const [lineWidth, style] of [
    [5, 'rgb(0 0 0 / 70%)'],
    [2.5, '#ff5ecb'],
  ] as const) {
    context.lineWidth = lineWidth;
    context.strokeStyle = style;
    context.stroke(path);
  }
  context.setLineDash([]);
}

/** Share of the image that patches of any scale cover. */
export function coveredShare(patches: readonly TakenPatches[]): number {
  // On a grid that all grids divide, so that each of its cells is covered or not.
  const [Y, X] = [0, 1].map((axis) => patches.map(({ grid }) => grid[axis]).reduce(leastCommonMultiple, 1));
  let covered = 0;
  for (let row = 0; row < Y; row++)
    for (let column = 0; column < X; column++)
      if (
        patches.some((taken) => {
          const [rows, columns] = taken.grid;
          return taken.has(Math.floor((row * rows) / Y), Math.floor((column * columns) / X));
        })
      )
        covered++;
  return covered / (Y * X);
}

function leastCommonMultiple(a: number, b: number): number {
  const divisor = (a: number, b: number): number => (b === 0 ? a : divisor(b, a % b));
  return (a / divisor(a, b)) * b;
}
