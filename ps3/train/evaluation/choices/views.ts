// What a model is shown of an image: a resolution, or a control.
import sharp from 'sharp';
import type { Box } from '../../../data/boxes.ts';
import { cropBoxes } from '../../../model/baselines/controls.ts';
import type { DecodedImage } from '../../../model/image.ts';

/** Long sides at which an image is shown, pixels. */
export const RESOLUTIONS = [378, 756, 1512, 3780] as const;

/** Controls: no image, another one, the part around the answer alone. */
export const CONTROLS = ['blind', 'shuffled', 'oracle crop'] as const;

/** How a question is shown: a control, or a long side in pixels. */
export type Showing = (typeof CONTROLS)[number] | (typeof RESOLUTIONS)[number];

/** What of the answer's size is left around it in the oracle's crop. */
const AROUND = 0.5;
const GREY = 128;

/**
 * An image at a lower resolution, of the same size: reduced to a long side and enlarged again, so that nothing else changes.
 * An image that is no larger is as it is.
 */
export async function atResolution(image: DecodedImage, longSidePx: number): Promise<DecodedImage> {
  const { rgba, width, height } = image;
  const scale = longSidePx / Math.max(width, height);
  if (scale >= 1) return image;
  const size = (factor: number): [number, number] => [
    Math.max(1, Math.round(width * factor)),
    Math.max(1, Math.round(height * factor)),
  ];
  const resized = (data: Uint8Array, from: [number, number], to: [number, number]): Promise<Buffer> =>
    sharp(data, { raw: { width: from[0], height: from[1], channels: 4 } })
      .resize(to[0], to[1], { fit: 'fill', kernel: 'cubic' })
      .raw()
      .toBuffer();
  const small = await resized(rgba, size(1), size(scale));
  return { rgba: await resized(small, size(scale), size(1)), width, height };
}

/** A grey image of the same size. */
export function withoutContent({ width, height }: DecodedImage): DecodedImage {
  const rgba = new Uint8Array(4 * width * height).fill(GREY);
  for (let i = 3; i < rgba.length; i += 4) rgba[i] = 255;
  return { rgba, width, height };
}

/** The part of an image around boxes. */
export function oracleCrop(image: DecodedImage, boxes: readonly Box[]): DecodedImage {
  const wider = boxes.map(([x1, y1, x2, y2]): Box => {
    const margin = AROUND * Math.max(x2 - x1, y2 - y1);
    return [x1 - margin, y1 - margin, x2 + margin, y2 + margin];
  });
  return wider.length > 0 ? cropBoxes(image, wider) : image;
}
