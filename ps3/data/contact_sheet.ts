// A contact sheet: images in a grid with their boxes and captions drawn.
import { createCanvas, GlobalFonts, ImageData } from '@napi-rs/canvas';
import sharp from 'sharp';
import { expectKeys } from '../../engine/index.ts';
import type { Box } from './boxes.ts';
import { DataError } from './errors.ts';
import type { FontFile } from './packages.ts';

/** A square image with its annotations. */
export interface AnnotatedImage {
  side: number;
  rgba: Uint8Array;
  boxes: readonly Box[];
  captions: readonly string[];
}

/** How a contact sheet is laid out. */
export interface SheetOptions {
  columns: number;
  /** Side at which each image is shown. */
  tilePx: number;
  /** The font of the captions; part of the program, since a bare system has no fonts. */
  font: FontFile;
  /** Quality of a JPEG; 85 when left out. */
  quality?: number;
}

const SHEET_OPTIONS = { columns: true, tilePx: true, font: true, quality: true } as const;

const BOX_COLOURS = ['#ffd60a', '#00e5ff', '#ff5ecb', '#7dff5e', '#ff9f43', '#b28dff'];

/**
 * Draws a contact sheet.
 *
 * @returns an encoded image: PNG when `path` ends in .png, else JPEG 4:4:4
 */
export async function drawContactSheet(
  images: readonly AnnotatedImage[],
  path: string,
  options: SheetOptions,
): Promise<Buffer> {
  expectKeys('drawContactSheet', options, SHEET_OPTIONS);
  const { columns, tilePx, font } = options;
  if (images.length === 0) throw new DataError('drawContactSheet: at least one image is needed, got 0.');
  if (!GlobalFonts.has(font.name) && GlobalFonts.registerFromPath(font.path, font.name) === null) {
    throw new DataError(
      `drawContactSheet: the caption font must load, got ${font.path}. Remove its folder from the cache.`,
    );
  }
  const gapPx = 4;
  const rows = Math.ceil(images.length / columns);
  const pitchPx = tilePx + gapPx;
  const canvas = createCanvas(columns * pitchPx + gapPx, rows * pitchPx + gapPx);
  const context = canvas.getContext('2d');
  context.fillStyle = '#ffffff';
  context.fillRect(0, 0, canvas.width, canvas.height);
  const fontPx = Math.min(20, Math.max(9, Math.round(tilePx / 26)));
  context.font = `${fontPx}px "${font.name}"`;
  for (const [place, { side, rgba, boxes, captions }] of images.entries()) {
    const [left, top] = [gapPx + (place % columns) * pitchPx, gapPx + Math.floor(place / columns) * pitchPx];
    const pixels = await sharp(rgba, { raw: { width: side, height: side, channels: 4 } })
      .resize(tilePx, tilePx)
      .raw()
      .toBuffer();
    context.putImageData(new ImageData(new Uint8ClampedArray(pixels), tilePx, tilePx), left, top);
    const scale = tilePx / side;
    for (const [i, [x1, y1, x2, y2]] of boxes.entries()) {
      const colour = BOX_COLOURS[i % BOX_COLOURS.length];
      context.strokeStyle = colour;
      context.lineWidth = 1;
      // The line runs around the box, not over its pixels.
      context.strokeRect(
        left + x1 * scale - 0.5,
        top + y1 * scale - 0.5,
        (x2 - x1) * scale + 1,
        (y2 - y1) * scale + 1,
      );
      const width = context.measureText(captions[i]).width + 4;
      const textX = Math.min(left + tilePx - width, Math.max(left, left + x1 * scale));
      const above = y1 * scale >= fontPx + 4;
      const textY = top + (above ? y1 * scale - fontPx - 3 : y2 * scale + 2);
      context.fillStyle = 'rgba(0, 0, 0, 0.65)';
      context.fillRect(textX, textY, width, fontPx + 2);
      context.fillStyle = colour;
      context.fillText(captions[i], textX + 2, textY + fontPx - 1);
    }
  }
  const sheet = sharp(canvas.data(), {
    raw: { width: canvas.width, height: canvas.height, channels: 4 },
  }).removeAlpha();
  return path.endsWith('.png')
    ? sheet.png({ compressionLevel: 9 }).toBuffer()
    : sheet.jpeg({ quality: options.quality ?? 85, chromaSubsampling: '4:4:4' }).toBuffer();
}
