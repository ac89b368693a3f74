// Photographs as raw RGB at the one or two scales that scenes are cropped from, pixel for pixel.
//
// A photograph that is smaller than a scene needs is enlarged at most 1.5 times and then mirrored at its edges.
// Where there is no photograph, a background is fractal noise: five octaves of smooth value noise in two colours.
import sharp from 'sharp';
import { DataError } from './errors.ts';
import { Random, seedFor } from './random.ts';
import type { PhotoSource } from './sources.ts';

/** RGB, row by row. */
export interface Level {
  width: number;
  height: number;
  rgb: Uint8Array;
}

/** One photograph, ready to be cropped. */
export interface Background {
  name: string;
  levels: Level[];
}

const LARGEST_ENLARGEMENT = 1.5;

/** Short sides of the levels as multiples of the scene's side: close and far views; one at 4K to bound memory. */
function levelSides(side: number): number[] {
  return side > 1024 ? [1.1 * side] : [1.15 * side, 1.9 * side];
}

function noiseLevel(name: string, side: number): Level {
  const random = new Random(seedFor(0, name));
  const colours = Array.from({ length: 6 }, () => random.range(20, 235));
  const rgb = new Uint8Array(3 * side * side);
  const field = new Float32Array(side * side);
  for (let octave = 0; octave < 5; octave++) {
    const cells = 3 << octave;
    const grid = Float32Array.from({ length: (cells + 1) ** 2 }, () => random.uniform());
    for (let y = 0; y < side; y++) {
      const gy = (y / side) * cells;
      const y0 = Math.floor(gy);
      const fy = (gy - y0) ** 2 * (3 - 2 * (gy - y0));
      for (let x = 0; x < side; x++) {
        const gx = (x / side) * cells;
        const x0 = Math.floor(gx);
        const fx = (gx - x0) ** 2 * (3 - 2 * (gx - x0));
        const i = y0 * (cells + 1) + x0;
        const upper = grid[i] + fx * (grid[i + 1] - grid[i]);
        const lower = grid[i + cells + 1] + fx * (grid[i + cells + 2] - grid[i + cells + 1]);
        field[y * side + x] += (upper + fy * (lower - upper)) / 2 ** (octave + 1);
      }
    }
  }
  for (let i = 0; i < field.length; i++) {
    for (let c = 0; c < 3; c++) rgb[3 * i + c] = colours[c] + field[i] * (colours[3 + c] - colours[c]);
  }
  return { width: side, height: side, rgb };
}

/**
 * Decodes a photograph once for scenes of a given side.
 *
 * @throws DataError naming the file when it is missing or corrupt
 */
export async function loadBackground(photo: PhotoSource, side: number): Promise<Background> {
  if (photo.path === '')
    return { name: photo.name, levels: [noiseLevel(photo.name, Math.min(1024, 2 * side))] };
  try {
    const { width, height } = await sharp(photo.path).metadata();
    const shortSide = Math.min(width, height);
    const levels: Level[] = [];
    for (const wanted of levelSides(side)) {
      const target = Math.round(Math.min(wanted, shortSide * LARGEST_ENLARGEMENT));
      const { data, info } = await sharp(photo.path)
        .resize(target, target, { fit: 'outside' })
        .toColourspace('srgb')
        .flatten()
        .removeAlpha()
        .raw()
        .toBuffer({ resolveWithObject: true });
      levels.push({ width: info.width, height: info.height, rgb: new Uint8Array(data) });
    }
    return { name: photo.name, levels };
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new DataError(
      `backgrounds: ${photo.path} must decode as a picture, got: ${reason}. Replace or remove the file.`,
    );
  }
}

/** Index into a line of `count` pixels that is mirrored at both ends. */
function mirrored(i: number, count: number): number {
  const period = 2 * count;
  const wrapped = ((i % period) + period) % period;
  return wrapped < count ? wrapped : period - 1 - wrapped;
}

/**
 * Fills a picture [side, side, 4] with a random crop: a level, a place, a mirror, a brightness and a contrast.
 */
export function cropBackground(background: Background, side: number, rgba: Uint8Array, random: Random): void {
  const level = background.levels[random.integer(background.levels.length)];
  const x0 = random.integer(Math.max(1, level.width - side + 1));
  const y0 = random.integer(Math.max(1, level.height - side + 1));
  const flip = random.uniform() < 0.5;
  const gain = random.range(0.8, 1.2);
  const offset = random.range(-12, 12);
  const curve = Uint8Array.from({ length: 256 }, (_, v) =>
    Math.min(255, Math.max(0, (v - 128) * gain + 128 + offset)),
  );
  const columns = new Int32Array(side);
  for (let x = 0; x < side; x++) columns[x] = 3 * mirrored(x0 + (flip ? side - 1 - x : x), level.width);
  for (let y = 0; y < side; y++) {
    const row = 3 * level.width * mirrored(y0 + y, level.height);
    for (let x = 0; x < side; x++) {
      const i = row + columns[x];
      const o = 4 * (y * side + x);
      rgba[o] = curve[level.rgb[i]];
      rgba[o + 1] = curve[level.rgb[i + 1]];
      rgba[o + 2] = curve[level.rgb[i + 2]];
      rgba[o + 3] = 255;
    }
  }
}
