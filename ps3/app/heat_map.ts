// Images of where the model looks: saliency in colour over a greyed image, selected patches and boxes in
// outline.
import { createCanvas, GlobalFonts, ImageData } from '@napi-rs/canvas';
import sharp from 'sharp';
import { EngineError, expectKeys } from '../../engine/index.ts';
import type { Box } from '../data/boxes.ts';
import type { FontFile } from '../data/packages.ts';
import type { DecodedImage } from '../model/image.ts';
import type { Grid } from '../model/vision/scales.ts';
import { BOX_COLOURS, type Colour, colourOf, SCALE_LINES } from './colours.ts';

/** An image, a map or a font cannot be drawn as asked. */
export class DrawingError extends EngineError {
  constructor(message: string) {
    super('drawing', message);
  }
}

/** The patches of one scale that were selected. */
export interface SelectedPatches {
  /** [Y * X], nonzero = selected. */
  readonly map: ArrayLike<number>;
  readonly grid: Grid;
}

/** What is drawn on an image besides the map. */
export interface Marks {
  /** One entry per scale, coarse to fine: each has its own colour and width of line. */
  readonly selected?: readonly SelectedPatches[];
  /** Pixels of the image, right and bottom edges exclusive. */
  readonly boxes?: readonly Box[];
  /** One for each box; default: BOX_COLOURS, repeated. */
  readonly boxColours?: readonly Colour[];
}

export interface HeatMapOptions extends Marks {
  /** Values that get the darkest and the brightest colour; default: the smallest and the largest of the map. */
  readonly range?: readonly [low: number, high: number];
  /** Share of the colour over the grey image, 0 to 1; default 0.6. */
  readonly opacity?: number;
}

const MARKS = { selected: true, boxes: true, boxColours: true } as const;
const HEAT_MAP_OPTIONS = { ...MARKS, range: true, opacity: true } as const;

/** Patches smaller than this are outlined together, as the area they cover. */
const SMALLEST_OUTLINED_PX = 7;

/**
 * Draws a map over an image, every grid cell in one colour.
 *
 *   pixel = (1 - opacity) grey + opacity colour((map - low) / (high - low))
 *
 * @param map   [Y * X]
 * @param grid  rows and columns of the map; a cell covers its share of the image
 * @returns     a new image of the same size, opaque
 * @throws DrawingError when map and grid or image and size do not fit
 */
export function heatMap(
  image: DecodedImage,
  map: Float32Array,
  grid: Grid,
  options: HeatMapOptions = {},
): DecodedImage {
  expectKeys('heatMap', options, HEAT_MAP_OPTIONS);
  expectImage('heatMap', image);
  const { rgba, width, height } = image;
  const [Y, X] = grid;
  if (map.length !== Y * X)
    throw new DrawingError(`heatMap: a map of grid ${Y}x${X} must have ${Y * X} values, got ${map.length}.`);
  const { opacity = 0.6, range = extent(map) } = options;
  const span = range[1] - range[0] || 1;
  const colours = Array.from(map, (value) => colourOf((value - range[0]) / span));
  const drawn = new Uint8Array(rgba.length);
  for (let y = 0, o = 0; y < height; y++) {
    const row = Math.floor((y * Y) / height) * X;
    for (let x = 0; x < width; x++, o += 4) {
      const grey = 0.299 * rgba[o] + 0.587 * rgba[o + 1] + 0.114 * rgba[o + 2];
      const colour = colours[row + Math.floor((x * X) / width)];
      for (let c = 0; c < 3; c++) drawn[o + c] = (1 - opacity) * grey + opacity * colour[c] + 0.5;
      drawn[o + 3] = 255;
    }
  }
  return mark('heatMap', { rgba: drawn, width, height }, options);
}

/** A copy of an image with outlines of selected patches and boxes. @throws DrawingError */
export function outlined(image: DecodedImage, marks: Marks): DecodedImage {
  expectKeys('outlined', marks, MARKS);
  expectImage('outlined', image);
  return mark('outlined', { ...image, rgba: image.rgba.slice() }, marks);
}

/** [smallest, largest] of a map. */
export function extent(map: ArrayLike<number>): [number, number] {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < map.length; i++) {
    low = Math.min(low, map[i]);
    high = Math.max(high, map[i]);
  }
  return [low, high];
}

function expectImage(called: string, { rgba, width, height }: DecodedImage): void {
  if (rgba.length !== 4 * width * height)
    throw new DrawingError(
      `${called}: an image of ${width}x${height} must have ${4 * width * height} bytes, got ${rgba.length}.`,
    );
}

function mark(
  called: string,
  image: DecodedImage,
  { selected = [], boxes = [], boxColours = BOX_COLOURS }: Marks,
): DecodedImage {
  selected.forEach((patches, scale) => {
    drawSelected(called, image, patches, SCALE_LINES[Math.min(scale, SCALE_LINES.length - 1)]);
  });
  const widthPx = Math.max(2, Math.round(Math.max(image.width, image.height) / 200));
  boxes.forEach(([x1, y1, x2, y2], i) => {
    // The line runs around the box, not over its pixels; a dark rim sets it off from bright colours.
    const around = (px: number): [number, number, number, number] => [
      Math.floor(x1) - px,
      Math.floor(y1) - px,
      Math.ceil(x2) + px,
      Math.ceil(y2) + px,
    ];
    frame(image, around(widthPx + 2), widthPx + 2, [0, 0, 0]);
    frame(image, around(widthPx + 1), widthPx, boxColours[i % boxColours.length]);
  });
  return image;
}

/** Outlines each selected patch within its cell, or where patches are small the area of all. */
function drawSelected(
  called: string,
  image: DecodedImage,
  { map, grid: [Y, X] }: SelectedPatches,
  { colour, widthPx }: (typeof SCALE_LINES)[number],
): void {
  if (map.length !== Y * X)
    throw new DrawingError(
      `${called}: patches of grid ${Y}x${X} must have ${Y * X} values, got ${map.length}.`,
    );
  const { width, height } = image;
  const isSmall = Math.min(width / X, height / Y) < SMALLEST_OUTLINED_PX;
  const isOpen = (row: number, column: number): boolean =>
    !isSmall || row < 0 || column < 0 || row >= Y || column >= X || !map[row * X + column];
  for (let row = 0; row < Y; row++)
    for (let column = 0; column < X; column++) {
      if (!map[row * X + column]) continue;
      // Pixel p belongs to cell floor(p cells / pixels), as in heatMap.
      const [left, right] = [Math.ceil((column * width) / X), Math.ceil(((column + 1) * width) / X)];
      const [top, bottom] = [Math.ceil((row * height) / Y), Math.ceil(((row + 1) * height) / Y)];
      if (isOpen(row - 1, column)) fillRect(image, left, top, right, top + widthPx, colour);
      if (isOpen(row + 1, column)) fillRect(image, left, bottom - widthPx, right, bottom, colour);
      if (isOpen(row, column - 1)) fillRect(image, left, top, left + widthPx, bottom, colour);
      if (isOpen(row, column + 1)) fillRect(image, right - widthPx, top, right, bottom, colour);
    }
}

/** A frame whose outer edge is the rectangle. */
function frame(
  image: DecodedImage,
  [x1, y1, x2, y2]: readonly number[],
  widthPx: number,
  colour: Colour,
): void {
  fillRect(image, x1, y1, x2, y1 + widthPx, colour);
  fillRect(image, x1, y2 - widthPx, x2, y2, colour);
  fillRect(image, x1, y1, x1 + widthPx, y2, colour);
  fillRect(image, x2 - widthPx, y1, x2, y2, colour);
}

/** Fills a rectangle of whole pixels, clipped to the image. */
function fillRect(image: DecodedImage, x1: number, y1: number, x2: number, y2: number, colour: Colour): void {
  const { rgba, width, height } = image;
  for (let y = Math.max(0, y1); y < Math.min(height, y2); y++)
    for (let x = Math.max(0, x1); x < Math.min(width, x2); x++) {
      const o = 4 * (y * width + x);
      rgba[o] = colour[0];
      rgba[o + 1] = colour[1];
      rgba[o + 2] = colour[2];
      rgba[o + 3] = 255;
    }
}

/** An image at another size; the shape may change. */
export async function resized(
  { rgba, width, height }: DecodedImage,
  to: { width: number; height: number },
): Promise<DecodedImage> {
  if (width === to.width && height === to.height) return { rgba, width, height };
  const pixels = await sharp(rgba, { raw: { width, height, channels: 4 } })
    .resize(to.width, to.height, { fit: 'fill' })
    .raw()
    .toBuffer();
  return { rgba: new Uint8Array(pixels), ...to };
}

/** The image as a PNG file. */
export function encodePng({ rgba, width, height }: DecodedImage): Promise<Buffer> {
  return sharp(rgba, { raw: { width, height, channels: 4 } })
    .removeAlpha()
    .png({ compressionLevel: 9 })
    .toBuffer();
}

/** The image as a JPEG file at quality 85; 4:4:4, since subsampling smears thin coloured lines. */
export function encodeJpeg({ rgba, width, height }: DecodedImage): Promise<Buffer> {
  return sharp(rgba, { raw: { width, height, channels: 4 } })
    .removeAlpha()
    .jpeg({ quality: 85, chromaSubsampling: '4:4:4' })
    .toBuffer();
}

/**
 * Images beside each other, each with a caption below, for a README.
 *
 * @param tilePx  height at which they are shown
 * @throws DrawingError when the font does not load
 */
export async function strip(
  panels: readonly { readonly image: DecodedImage; readonly caption: string }[],
  tilePx: number,
  font: FontFile,
): Promise<DecodedImage> {
  if (!GlobalFonts.has(font.name) && GlobalFonts.registerFromPath(font.path, font.name) === null)
    throw new DrawingError(`strip: the caption font must load, got ${font.path}.`);
  const gapPx = Math.round(tilePx / 48);
  const fontPx = Math.max(12, Math.round(tilePx / 16));
  const tiles = await Promise.all(
    panels.map(({ image }) =>
      resized(image, { width: Math.round((image.width / image.height) * tilePx), height: tilePx }),
    ),
  );
  const width = tiles.reduce((sum, tile) => sum + tile.width + gapPx, gapPx);
  const canvas = createCanvas(width, tilePx + 2 * gapPx + Math.round(1.5 * fontPx));
  const context = canvas.getContext('2d');
  context.fillStyle = '#ffffff';
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.font = `${fontPx}px "${font.name}"`;
  context.fillStyle = '#1a1a1a';
  context.textAlign = 'center';
  let left = gapPx;
  tiles.forEach((tile, i) => {
    context.putImageData(
      new ImageData(new Uint8ClampedArray(tile.rgba), tile.width, tile.height),
      left,
      gapPx,
    );
    context.fillText(panels[i].caption, left + tile.width / 2, gapPx + tilePx + 1.25 * fontPx, tile.width);
    left += tile.width + gapPx;
  });
  return { rgba: new Uint8Array(canvas.data()), width: canvas.width, height: canvas.height };
}
