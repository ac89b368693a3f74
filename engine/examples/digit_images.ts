// Digits drawn as strokes, each a little different: data for the examples without a download.
import type { Random } from 'ps3-webgpu/engine';

/** Side of an image in pixels. */
export const SIDE_PX = 16;

/** Polylines in a box of 4 x 6, y downwards. */
// biome-ignore format: a digit per line
const STROKES: readonly (readonly (readonly [number, number])[])[] = [
  [[1, 0], [3, 0], [4, 1], [4, 5], [3, 6], [1, 6], [0, 5], [0, 1], [1, 0]],
  [[1, 1], [2, 0], [2, 6]],
  [[0, 1], [1, 0], [3, 0], [4, 1], [4, 2], [0, 6], [4, 6]],
  [[0, 0], [4, 0], [2, 2.5], [4, 4], [4, 5], [3, 6], [1, 6], [0, 5]],
  [[3, 6], [3, 0], [0, 4], [4, 4]],
  [[4, 0], [0, 0], [0, 3], [3, 3], [4, 4], [4, 5], [3, 6], [0, 6]],
  [[3, 0], [1, 1], [0, 4], [1, 6], [3, 6], [4, 5], [4, 4], [3, 3], [0.5, 3]],
  [[0, 0], [4, 0], [1.5, 6]],
  [[1, 3], [0, 2], [0, 1], [1, 0], [3, 0], [4, 1], [4, 2], [3, 3], [1, 3], [0, 4], [0, 5], [1, 6], [3, 6], [4, 5], [4, 4], [3, 3]],
  [[4, 2], [3, 3], [1, 3], [0, 2], [0, 1], [1, 0], [3, 0], [4, 1], [4, 3], [3, 6]],
];

/** A batch of drawings. */
export interface DigitImages {
  /** [count, SIDE_PX, SIDE_PX] in [0, 1], 1 where there is ink. */
  readonly pixels: Float32Array;
  /** Which digit each image shows. */
  readonly digits: Uint32Array;
}

/** Distance of a point from a segment. */
function distance(x: number, y: number, [ax, ay]: readonly number[], [bx, by]: readonly number[]): number {
  const [dx, dy] = [bx - ax, by - ay];
  const along = ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy);
  const t = Math.min(1, Math.max(0, along));
  return Math.hypot(x - ax - t * dx, y - ay - t * dy);
}

/** Draws random digits: shifted, rotated, sheared, thick or thin, on a noisy ground. */
export function drawDigits(count: number, random: Random): DigitImages {
  const digits = Uint32Array.from({ length: count }, () => random.integer(10));
  const pixels = new Float32Array(count * SIDE_PX * SIDE_PX);
  digits.forEach((digit, image) => {
    const [px, angle, shear] = [random.range(1.5, 2), random.range(-0.2, 0.2), random.range(-0.2, 0.2)];
    const [left, top, radius] = [random.range(-1, 1), random.range(-1, 1), random.range(0.6, 1.2)];
    const place = ([x, y]: readonly [number, number]): [number, number] => {
      const [u, v] = [(x - 2 + shear * (3 - y)) * px, (y - 3) * px];
      const [c, s] = [Math.cos(angle), Math.sin(angle)];
      return [SIDE_PX / 2 + left + c * u - s * v, SIDE_PX / 2 + top + s * u + c * v];
    };
    const line = STROKES[digit].map(place);
    for (let y = 0; y < SIDE_PX; y++)
      for (let x = 0; x < SIDE_PX; x++) {
        let nearest = Number.POSITIVE_INFINITY;
        for (let i = 1; i < line.length; i++)
          nearest = Math.min(nearest, distance(x + 0.5, y + 0.5, line[i - 1], line[i]));
        const ink = Math.min(1, Math.max(0, radius + 0.5 - nearest));
        pixels[(image * SIDE_PX + y) * SIDE_PX + x] = Math.min(1, Math.max(0, ink + 0.1 * random.normal()));
      }
  });
  return { pixels, digits };
}

/** Classes as rows of a unit matrix: [count, 10]. */
export function oneHot(digits: Uint32Array): Float32Array {
  const rows = new Float32Array(10 * digits.length);
  digits.forEach((digit, i) => {
    rows[10 * i + digit] = 1;
  });
  return rows;
}

/** Share of rows of the logits [count, 10] whose largest number is at the right digit. */
export function accuracy(logits: ArrayLike<number>, digits: Uint32Array): number {
  let right = 0;
  digits.forEach((digit, i) => {
    const row = Array.from({ length: 10 }, (_, k) => logits[10 * i + k]);
    if (row.indexOf(Math.max(...row)) === digit) right++;
  });
  return right / digits.length;
}
