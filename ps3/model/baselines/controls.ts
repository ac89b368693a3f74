// What any encoder is held against: patches drawn at random, and the box itself.
import type { Random } from '../../../engine/index.ts';
import type { DecodedImage } from '../decoder.ts';

/**
 * Selection maps of a look that draws its patches evenly.
 *
 * @param counts     patches per high-res scale
 * @param gridSides  of the high-res scales
 * @returns          per scale [B, Y * X], 0 and 1
 */
export function randomSelection(
  counts: readonly number[],
  gridSides: readonly number[],
  B: number,
  random: Random,
): Float32Array[] {
  return counts.map((count, scale) => {
    const cells = gridSides[scale] ** 2;
    const map = new Float32Array(B * cells);
    for (let b = 0; b < B; b++) {
      const order = random.shuffle(Uint32Array.from({ length: cells }, (_, i) => i));
      for (let i = 0; i < count; i++) map[b * cells + order[i]] = 1;
    }
    return map;
  });
}

/** Edges in pixels, right and bottom exclusive. */
export type Edges = readonly [left: number, top: number, right: number, bottom: number];

/** The whole pixels of an image that boxes touch, from the first to the last of them: an oracle's crop. */
export function cropBoxes({ rgba, width, height }: DecodedImage, boxes: readonly Edges[]): DecodedImage {
  const clipped = (value: number, most: number): number => Math.min(Math.max(value, 0), most);
  const left = clipped(Math.floor(Math.min(...boxes.map(([x]) => x))), width - 1);
  const top = clipped(Math.floor(Math.min(...boxes.map(([, y]) => y))), height - 1);
  const right = clipped(Math.ceil(Math.max(...boxes.map(([, , x]) => x))), width);
  const bottom = clipped(Math.ceil(Math.max(...boxes.map(([, , , y]) => y))), height);
  const [w, h] = [Math.max(right - left, 1), Math.max(bottom - top, 1)];
  const crop = new Uint8Array(w * h * 4);
  for (let y = 0; y < h; y++) {
    const from = 4 * ((top + y) * width + left);
    crop.set(rgba.subarray(from, from + 4 * w), 4 * y * w);
  }
  return { rgba: crop, width: w, height: h };
}
