// Images at their own resolution on backgrounds of a larger one: what a question is about is then small, and somewhere.
// Shi et al. 2025, arXiv:2503.19903, high-resolution question answering of VILA-HD.
import type { Random } from '../../../engine/index.ts';
import type { DecodedImage } from '../../model/image.ts';
import { type Background, cropBackground } from '../backgrounds.ts';
import type { Box } from '../boxes.ts';

/** Lays an image on a square crop of a background, at a place by chance. @returns  what it gives, and where the image is */
export function paste(
  { rgba, width, height }: DecodedImage,
  background: Background,
  side: number,
  random: Random,
): { image: DecodedImage; box: Box } {
  const whole = new Uint8Array(4 * side * side);
  cropBackground(background, side, whole, random);
  const [left, top] = [random.integer(side - width + 1), random.integer(side - height + 1)];
  for (let y = 0; y < height; y++)
    whole.set(rgba.subarray(4 * y * width, 4 * (y + 1) * width), 4 * ((top + y) * side + left));
  return { image: { rgba: whole, width: side, height: side }, box: [left, top, left + width, top + height] };
}
