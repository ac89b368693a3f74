// A made-up V*Bench in its authors' folders: images of coloured waves.
import sharp from 'sharp';
import { put } from './made_files.ts';

/** An image of the folder. */
export interface Target {
  readonly category: string;
  readonly name: string;
  readonly size: readonly [width: number, height: number];
  /** x, y, width, height. */
  readonly boxes: readonly (readonly number[])[];
  readonly names: readonly string[];
}
/** What the folder holds. */
export const TARGETS: readonly Target[] = [
  {
    category: 'direct_attributes',
    name: 'a',
    size: [200, 100],
    boxes: [[20, 10, 60, 30]],
    names: ['red cap'],
  },
  {
    ...{ category: 'relative_position', name: 'b', size: [90, 150] },
    boxes: [
      [0, 0, 30, 50],
      [60, 100, 30, 50],
    ],
    names: ['blue dog', 'green sign'],
  },
  { category: 'relative_position', name: 'c', size: [112, 112], boxes: [[56, 0, 56, 56]], names: ['dog'] },
];

/** A PNG of coloured waves. */
function waves(width: number, height: number, seed: number): Promise<Buffer> {
  const wave = (i: number): number => {
    const [x, y, c] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width), i % 3];
    return 127 + 120 * Math.sin((x * (3 + seed) + y * (5 - seed)) / 20 + c * (1 + seed));
  };
  const pixels = Uint8Array.from({ length: 3 * width * height }, (_, i) => wave(i));
  return sharp(pixels, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}

/** Of every question; the first is said to be right. */
export const OPTIONS: readonly string[] = ['a red cap', 'a blue dog', 'a green sign'];

/** Writes the folder as the authors of V* give it. */
export async function writeVstar(path: string, targets: readonly Target[] = TARGETS): Promise<void> {
  for (const [i, { category, name, size, boxes, names }] of targets.entries()) {
    await put(await waves(size[0], size[1], i), path, category, `${name}.png`);
    const question = { target_object: names, bbox: boxes, question: 'Which?', options: OPTIONS };
    await put(JSON.stringify(question), path, category, `${name}.json`);
  }
}
