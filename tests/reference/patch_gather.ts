// Patches of a resized image as rows: resize the whole image in float64, then cut.
import { resize } from './resize.ts';

/** image [B, 3, H, W]; cells[b] lists raster indices. Returns [B, k, 3 * P * P]. */
export function patchGather(
  image: ArrayLike<number>,
  [H, W]: readonly [number, number],
  imagePx: readonly [number, number],
  P: number,
  cells: readonly (readonly number[])[],
): Float64Array {
  const B = cells.length;
  const scaled = resize(image, B * 3, [H, W], imagePx, 1, 'bicubic');
  const X = Math.floor(imagePx[1] / P);
  const rows: number[] = [];
  for (let b = 0; b < B; b++)
    for (const cell of cells[b])
      for (let c = 0; c < 3; c++)
        for (let r = 0; r < P; r++)
          for (let q = 0; q < P; q++) {
            const y = Math.floor(cell / X) * P + r;
            const x = (cell % X) * P + q;
            rows.push(scaled[((b * 3 + c) * imagePx[0] + y) * imagePx[1] + x]);
          }
  return Float64Array.from(rows);
}

/** u8 RGBA [B, H, W, 4] to normalised planes [B, 3, H, W]. */
export function planes(
  rgba: Uint8Array,
  B: number,
  pixels: number,
  mean: readonly number[],
  std: readonly number[],
): Float64Array {
  const image = new Float64Array(B * 3 * pixels);
  for (let b = 0; b < B; b++)
    for (let c = 0; c < 3; c++)
      for (let i = 0; i < pixels; i++)
        image[(b * 3 + c) * pixels + i] = (rgba[(b * pixels + i) * 4 + c] / 255 - mean[c]) / std[c];
  return image;
}
