// Cut-outs as bitmaps: rasterised once by sharp (SVG, PNG) or canvas (words), trimmed to what is visible, and
// kept as a pyramid of premultiplied RGBA halvings. Drawing then is a loop over typed arrays.
import { existsSync } from 'node:fs';
import { createCanvas, GlobalFonts } from '@napi-rs/canvas';
import sharp from 'sharp';
import type { Look } from './concepts.ts';
import { DataError } from './errors.ts';

/** Alpha from which a pixel counts as part of an object; boxes are tight around these pixels. */
export const VISIBLE_ALPHA = 32;

/** Premultiplied RGBA, row by row. */
export interface Bitmap {
  width: number;
  height: number;
  rgba: Uint8Array;
}

/** One cut-out, largest bitmap first, each half as large as the one before. */
export interface Sprite {
  style: string;
  pyramid: Bitmap[];
}

/** Plate and letter colours of signs, each legible at 20 px. */
const SIGN_COLOURS: [string, string][] = [
  ['#f7f4ea', '#1b1b1b'],
  ['#0b4f8a', '#ffffff'],
  ['#1f6b3a', '#ffffff'],
  ['#b3261e', '#fff6d6'],
  ['#f2c200', '#141414'],
  ['#2b2b2b', '#f5d76e'],
];

/** Multiplies colour by alpha, in place. */
function premultiply(rgba: Uint8Array): void {
  for (let i = 0; i < rgba.length; i += 4) {
    const alpha = rgba[i + 3];
    if (alpha === 255) continue;
    rgba[i] = (rgba[i] * alpha + 127) / 255;
    rgba[i + 1] = (rgba[i + 1] * alpha + 127) / 255;
    rgba[i + 2] = (rgba[i + 2] * alpha + 127) / 255;
  }
}

/**
 * The smallest rectangle that holds every pixel of at least `threshold` alpha.
 *
 * @returns [x1, y1, x2, y2], right and bottom exclusive, or undefined when there is none
 */
export function visibleBox(bitmap: Bitmap, threshold: number): [number, number, number, number] | undefined {
  const { width, height, rgba } = bitmap;
  let [x1, y1, x2, y2] = [width, height, 0, 0];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (rgba[4 * (y * width + x) + 3] < threshold) continue;
      if (x < x1) x1 = x;
      if (x >= x2) x2 = x + 1;
      if (y < y1) y1 = y;
      y2 = y + 1;
    }
  }
  return x2 > x1 ? [x1, y1, x2, y2] : undefined;
}

function cropBitmap(bitmap: Bitmap, [x1, y1, x2, y2]: [number, number, number, number]): Bitmap {
  const [width, height] = [x2 - x1, y2 - y1];
  const rgba = new Uint8Array(4 * width * height);
  for (let y = 0; y < height; y++) {
    const start = 4 * ((y1 + y) * bitmap.width + x1);
    rgba.set(bitmap.rgba.subarray(start, start + 4 * width), 4 * y * width);
  }
  return { width, height, rgba };
}

/** Half the size by the mean of 2x2 pixels; an odd last row or column counts twice. */
function halve(bitmap: Bitmap): Bitmap {
  const width = (bitmap.width + 1) >> 1;
  const height = (bitmap.height + 1) >> 1;
  const rgba = new Uint8Array(4 * width * height);
  for (let y = 0; y < height; y++) {
    const row0 = 2 * y * bitmap.width;
    const row1 = Math.min(2 * y + 1, bitmap.height - 1) * bitmap.width;
    for (let x = 0; x < width; x++) {
      const x1 = Math.min(2 * x + 1, bitmap.width - 1);
      for (let c = 0; c < 4; c++) {
        const sum =
          bitmap.rgba[4 * (row0 + 2 * x) + c] +
          bitmap.rgba[4 * (row0 + x1) + c] +
          bitmap.rgba[4 * (row1 + 2 * x) + c] +
          bitmap.rgba[4 * (row1 + x1) + c];
        rgba[4 * (y * width + x) + c] = (sum + 2) >> 2;
      }
    }
  }
  return { width, height, rgba };
}

/** A pyramid down to a long side below 16 px, from straight-alpha RGBA. */
export function spriteFromRgba(style: string, width: number, height: number, rgba: Uint8Array): Sprite {
  premultiply(rgba);
  const whole = { width, height, rgba };
  const box = visibleBox(whole, VISIBLE_ALPHA);
  if (box === undefined) {
    throw new DataError(
      `spriteFromRgba: a cut-out must have visible pixels, got an empty ${width}x${height} image (${style}).`,
    );
  }
  const pyramid = [cropBitmap(whole, box)];
  for (let last = pyramid[0]; Math.max(last.width, last.height) >= 32; last = pyramid[pyramid.length - 1]) {
    pyramid.push(halve(last));
  }
  return { style, pyramid };
}

const registeredFonts = new Set<string>();

/** A word on a coloured plate. */
function renderSign(word: string, fontName: string, fontPath: string, widthPx: number): Sprite {
  if (!registeredFonts.has(fontName)) {
    if (!existsSync(fontPath) || GlobalFonts.registerFromPath(fontPath, fontName) === null) {
      throw new DataError(
        `rasterise: a font must load, got ${fontPath}. Remove its folder from the cache and run again.`,
      );
    }
    registeredFonts.add(fontName);
  }
  // Colours depend on the pair of word and font, so that neither gives the other away.
  let pick = fontName.length;
  for (const letter of word + fontName) pick = (pick * 31 + letter.charCodeAt(0)) % 9973;
  const [plate, ink] = SIGN_COLOURS[pick % SIGN_COLOURS.length];
  const font = `100px "${fontName}"`;
  const measure = createCanvas(8, 8).getContext('2d');
  measure.font = font;
  const text = measure.measureText(word);
  const textHeight = text.actualBoundingBoxAscent + text.actualBoundingBoxDescent;
  const [naturalWidth, naturalHeight] = [text.width + 60, textHeight + 50];
  const scale = widthPx / naturalWidth;
  const [width, height] = [Math.round(widthPx), Math.max(4, Math.round(naturalHeight * scale))];
  const canvas = createCanvas(width, height);
  const context = canvas.getContext('2d');
  context.scale(scale, scale);
  context.fillStyle = plate;
  context.beginPath();
  context.roundRect(1, 1, naturalWidth - 2, naturalHeight - 2, pick % 2 === 0 ? 16 : 0);
  context.fill();
  context.fillStyle = ink;
  context.font = font;
  context.fillText(word, 30, 25 + text.actualBoundingBoxAscent);
  const pixels = context.getImageData(0, 0, width, height).data;
  return spriteFromRgba(fontName, width, height, new Uint8Array(pixels));
}

/**
 * Draws one look of a concept at a long side of about `longSidePx`.
 *
 * @throws DataError naming the file when it does not decode
 */
export async function rasterise(look: Look, longSidePx: number): Promise<Sprite> {
  if (look.kind === 'sign') return renderSign(look.word, look.style, look.fontPath, longSidePx);
  const input = look.kind === 'svg' ? Buffer.from(look.svg) : look.path;
  // Density makes the vector drawing at least as large as wanted before it is scaled down; 72 dpi is its own
  // size.
  const isVector = look.kind === 'svg' || look.path.endsWith('.svg');
  const naturalPx = look.kind === 'svg' ? Number(/ width="(\d+)/.exec(look.svg)?.[1] ?? 128) : 256;
  const density = isVector
    ? Math.min(2400, Math.max(72, Math.ceil((72 * longSidePx) / naturalPx)))
    : undefined;
  try {
    const { data, info } = await sharp(input, density === undefined ? {} : { density })
      .resize(longSidePx, longSidePx, { fit: 'inside' })
      .toColourspace('srgb')
      .ensureAlpha()
      .raw()
      .toBuffer({ resolveWithObject: true });
    return spriteFromRgba(look.style, info.width, info.height, new Uint8Array(data));
  } catch (error) {
    if (error instanceof DataError || look.kind === 'svg') throw error;
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new DataError(
      `rasterise: ${look.path} must decode as an image, got: ${reason}. Remove its package from the cache and run again.`,
    );
  }
}
