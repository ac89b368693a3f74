// Photographs as raw RGB at the one or two scales that scenes are cropped from, pixel for pixel.
//
// A photograph that is smaller than a scene needs is enlarged at most 1.5 times and then mirrored at its
// edges. Where there is no photograph, a background is fractal noise: eight octaves of smooth value noise
// along three colours.
import sharp, { type ResizeOptions } from 'sharp';
import { Random } from '../../engine/index.ts';
import { boxesInside } from './annotations.ts';
import { type Box, boxWithin } from './boxes.ts';
import { DataError } from './errors.ts';
import type { FolderImage } from './folder.ts';
import { seedFor } from './seeds.ts';
import type { PhotoSource } from './sources.ts';

/** RGB, row by row. */
export interface Level {
  width: number;
  height: number;
  rgb: Uint8Array;
  /** What is known to be on it. */
  things?: readonly Thing[];
}

/** What a box of an image shows. */
export interface Thing {
  readonly caption: string;
  /** Pixels of the image. */
  readonly box: Box;
}

/** One photograph, ready to be cropped. */
export interface Background {
  name: string;
  levels: Level[];
}

const LARGEST_ENLARGEMENT = 1.5;
/** Of a thing that a crop cuts, at least so much of it is one that the crop shows. */
const SLIVER_PX = 14;
const OCTAVES = 8;
const PERSISTENCE = 0.65; // amplitude from one octave to the next: rough, so that objects do not stand out by their edges

/** Short sides of the levels as multiples of the scene's side: close and far views; one at 4K to bound memory. */
function levelSides(side: number): number[] {
  return side > 1024 ? [1.1 * side] : [1.15 * side, 1.9 * side];
}

function noiseLevel(name: string, side: number): Level {
  const random = new Random(seedFor(0, name));
  // Three colours, each a lightness and a moderate tint, as in photographs.
  const colours = Array.from({ length: 3 }, () => {
    const lightness = random.range(50, 205);
    return [0, 1, 2].map(() => lightness + random.range(-50, 50));
  }).flat();
  const rgb = new Uint8Array(3 * side * side);
  const field = new Float32Array(side * side);
  for (let octave = 0; octave < OCTAVES; octave++) {
    const cells = 3 << octave;
    const amplitude = PERSISTENCE ** octave;
    const grid = Float32Array.from({ length: (cells + 1) ** 2 }, () => random.uniform());
    // Cell and smoothed place within it, the same along both axes.
    const cell = Int32Array.from({ length: side }, (_, x) => (x / side) * cells);
    const within = Float32Array.from({ length: side }, (_, x) => {
      const t = (x / side) * cells - cell[x];
      return t * t * (3 - 2 * t);
    });
    for (let y = 0; y < side; y++) {
      const fy = within[y];
      for (let x = 0; x < side; x++) {
        const i = cell[y] * (cells + 1) + cell[x];
        const upper = grid[i] + within[x] * (grid[i + 1] - grid[i]);
        const lower = grid[i + cells + 1] + within[x] * (grid[i + cells + 2] - grid[i + cells + 1]);
        field[y * side + x] += (upper + fy * (lower - upper)) * amplitude;
      }
    }
  }
  let [low, high] = [field[0], field[0]];
  for (const value of field) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  for (let i = 0; i < field.length; i++) {
    const along = Math.min(1.9999, (2 * (field[i] - low)) / (high - low)); // 0 to 2: first to second to third colour
    const first = along < 1 ? 0 : 3;
    for (let c = 0; c < 3; c++) {
      rgb[3 * i + c] = colours[first + c] + (along % 1) * (colours[first + 3 + c] - colours[first + c]);
    }
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
    return { name: photo.name, levels: [noiseLevel(photo.name, Math.min(1024, Math.round(1.25 * side)))] };
  try {
    const { width, height } = await sharp(photo.path).metadata();
    const shortSide = Math.min(width, height);
    const levels: Level[] = [];
    for (const wanted of levelSides(side)) {
      const target = Math.round(Math.min(wanted, shortSide * LARGEST_ENLARGEMENT));
      levels.push(await decodeLevel(photo.path, { width: target, height: target, fit: 'outside' }));
    }
    return { name: photo.name, levels };
  } catch (error) {
    throw undecodable(photo.path, error);
  }
}

/**
 * Decodes an annotated image for scenes of a given side, as a model sees it, squashed to a square of that side, and as it is.
 *
 * @throws DataError naming the file when it is corrupt
 */
export async function loadAnnotated(
  { path, key, captions, boxes, width, height }: FolderImage,
  side: number,
): Promise<Background> {
  const inside = boxesInside(boxes, width, height, path);
  const sizes = [
    [side, side],
    [width, height],
  ];
  const levels = sizes.map(async ([w, h]): Promise<Level> => {
    const scaled = ([x1, y1, x2, y2]: Box): Box => [
      (x1 * w) / width,
      (y1 * h) / height,
      (x2 * w) / width,
      (y2 * h) / height,
    ];
    const things = inside.map((box, i) => ({ caption: captions[i], box: scaled(box) }));
    return { ...(await decodeLevel(path, { width: w, height: h, fit: 'fill' })), things };
  });
  try {
    return { name: key, levels: await Promise.all(levels) };
  } catch (error) {
    throw undecodable(path, error);
  }
}

async function decodeLevel(path: string, size: ResizeOptions): Promise<Level> {
  const { data, info } = await sharp(path)
    .resize(size)
    .toColourspace('srgb')
    .flatten()
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, rgb: new Uint8Array(data) };
}

function undecodable(path: string, error: unknown): DataError {
  const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
  return new DataError(
    `loadBackground: ${path} must decode as an image, got: ${reason}. Replace or remove the file.`,
  );
}

/** Index into a line of `count` pixels that is mirrored at both ends. */
function mirrored(i: number, count: number): number {
  const period = 2 * count;
  const wrapped = ((i % period) + period) % period;
  return wrapped < count ? wrapped : period - 1 - wrapped;
}

/** What is known to be in a window of `side` of a level, in its pixels; slivers of less than a patch are left out. */
export function thingsIn({ things = [] }: Level, left: number, top: number, side: number): Thing[] {
  return things.flatMap(({ caption, box: whole }) => {
    const box = boxWithin(whole, left, top, side);
    const [x1, y1, x2, y2] = whole;
    const isSeen = (length: number, whole: number): boolean => length >= Math.min(SLIVER_PX, whole);
    const isShown = isSeen(box[2] - box[0], x2 - x1) && isSeen(box[3] - box[1], y2 - y1);
    return isShown ? [{ caption, box }] : [];
  });
}

/**
 * Fills an image [side, side, 4] with a random crop: a level, a place, a mirror, a brightness and a contrast.
 *
 * @param shown  instead a crop of this level whose middle is near the box; what is known of is not mirrored
 * @returns      what was cropped, and where
 */
export function cropBackground(
  background: Background,
  side: number,
  rgba: Uint8Array,
  random: Random,
  shown?: { readonly level: Level; readonly box: Box },
): { level: Level; left: number; top: number } {
  const large = background.levels.filter(
    ({ things, width, height }) => !things || (width >= side && height >= side),
  );
  const level = shown?.level ?? large[random.integer(large.length)];
  const place = (length: number, from: number, to: number): number => {
    const free = Math.max(1, length - side + 1);
    if (!shown) return random.integer(free);
    const middle = from + (to - from) * random.uniform();
    return Math.min(free - 1, Math.max(0, Math.round(middle - side * random.range(0.3, 0.7))));
  };
  const [x1, y1, x2, y2] = shown?.box ?? [0, 0, 0, 0];
  const x0 = place(level.width, x1, x2);
  const y0 = place(level.height, y1, y2);
  const flip = random.uniform() < 0.5 && !level.things;
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
  return { level, left: x0, top: y0 };
}
