// An image as training sees it: a part of the original, squashed to a square, and the random choice of that part.
import sharp from 'sharp';
import type { Random } from '../../engine/index.ts';
import { type DecodedImage, decodeImage } from '../model/image.ts';
import type { Rect } from './boxes.ts';

/** What a random resized crop is drawn by. */
export interface CropOptions {
  /** Share of the image's area, lowest and highest; default 0.9 to 1, that of pre-training. */
  readonly scale?: readonly [number, number];
  /** Width / height, lowest and highest; default 3/4 to 4/3. */
  readonly ratio?: readonly [number, number];
}

/** What pre-training draws crops by. Source: the reference implementation. */
const PRETRAINING = { scale: [0.9, 1], ratio: [3 / 4, 4 / 3] } as const;

/** Python's round: halves go to the even neighbour. */
function roundHalfEven(x: number): number {
  const low = Math.floor(x);
  const isHalf = x - low === 0.5;
  return isHalf ? low + (low % 2) : Math.round(x);
}

/**
 * The part of an image that a random resized crop shows: a share of the area, uniform, and an aspect ratio, uniform on a
 * log scale; ten attempts, else the largest central part whose aspect ratio is allowed.
 *
 * @param width   of the stored image, pixels
 * @param height  of the stored image, pixels
 * @param random  two numbers for each attempt, then `integer` of top and of left
 * Source: torchvision, RandomResizedCrop.get_params; the same numbers give the same rectangle. It computes in float32.
 */
export function randomResizedCrop(
  width: number,
  height: number,
  random: Pick<Random, 'uniform' | 'integer'>,
  { scale, ratio }: CropOptions = {},
): Rect {
  const [smallest, largest] = scale ?? PRETRAINING.scale;
  const [narrowest, widest] = ratio ?? PRETRAINING.ratio;
  const { fround } = Math;
  const uniform = (low: number, high: number): number =>
    fround(fround(fround(random.uniform()) * fround(fround(high) - fround(low))) + fround(low));
  const logOf = (x: number): number => fround(Math.log(fround(x)));
  for (let attempt = 0; attempt < 10; attempt++) {
    const area = height * width * uniform(smallest, largest);
    const aspect = fround(Math.exp(uniform(logOf(narrowest), logOf(widest))));
    const w = roundHalfEven(Math.sqrt(area * aspect));
    const h = roundHalfEven(Math.sqrt(area / aspect));
    if (w < 1 || h < 1 || w > width || h > height) continue;
    const y = random.integer(height - h + 1);
    return { x: random.integer(width - w + 1), y, width: w, height: h };
  }
  const [w, h] =
    width / height < narrowest
      ? [width, roundHalfEven(width / narrowest)]
      : width / height > widest
        ? [roundHalfEven(height * widest), height]
        : [width, height];
  return { x: Math.floor((width - w) / 2), y: Math.floor((height - h) / 2), width: w, height: h };
}

/** Pixels that an image is continued by before it is enlarged: more than the kernel reaches. */
const MARGIN = 4;

/**
 * The part of an image that a crop shows, squashed to a square by sharp in its own threads.
 *
 * Where both sides shrink this is libvips's cubic, whose kernel is Pillow's. An axis that grows goes through its affine
 * transform instead, since its enlargement is shifted by half a pixel of the result. Against torchvision, of Pillow images
 * and of tensors with antialias, on smooth images with edges: at most 2 of 255 away, 0.35 in the mean, unless an axis
 * shrinks to a quarter or less, where libvips averages pixels first: 7 and 1.1. On noise and on edges of every 4 pixels,
 * 18 and 3.6; torchvision's two differ by 20 there. tests/data/decode.test.ts holds this.
 *
 * @param image  of any size
 * @param crop   within the image; undefined: all of it
 * @param side   of the result, pixels
 * @returns      [side, side, 4], opaque
 */
export async function cropToSquare(
  { rgba, width, height }: DecodedImage,
  crop: Rect | undefined,
  side: number,
): Promise<Uint8Array> {
  const { x: left, y: top, ...size } = crop ?? { x: 0, y: 0, width, height };
  const w = Math.min(side, size.width);
  const h = Math.min(side, size.height);
  const shrunk = sharp(rgba, { raw: { width, height, channels: 4 } })
    .removeAlpha()
    .extract({ left, top, ...size })
    .resize(w, h, { fit: 'fill', kernel: 'cubic' });
  if (w === side && h === side) return bytes(await shrunk.ensureAlpha(1).raw().toBuffer());
  const x = enlargement(w, side);
  const y = enlargement(h, side);
  const continued = await shrunk
    .extend({ left: x.margin, right: x.margin, top: y.margin, bottom: y.margin, extendWith: 'copy' })
    .raw()
    .toBuffer();
  const { data, info } = await sharp(continued, {
    raw: { width: w + 2 * x.margin, height: h + 2 * y.margin, channels: 3 },
  })
    .affine([x.factor, 0, 0, y.factor], {
      interpolator: 'bicubic',
      ...{ idx: x.inputShift, odx: x.outputShift, idy: y.inputShift, ody: y.outputShift },
    })
    .raw()
    .toBuffer({ resolveWithObject: true });
  const enlarged = sharp(data, { raw: { width: info.width, height: info.height, channels: 3 } })
    .extract({ left: x.start, top: y.start, width: side, height: side })
    .ensureAlpha(1);
  return bytes(await enlarged.raw().toBuffer());
}

/**
 * How libvips's affine transform enlarges an axis with pixel centres kept: pixel i of its result shows the input at
 * (i - outputShift) / factor - inputShift, and pixel k of ours is pixel k + start of its.
 */
function enlargement(length: number, side: number) {
  const factor = side / length;
  if (factor === 1) return { factor, margin: 0, start: 0, inputShift: 0, outputShift: 0 };
  const start = Math.round(MARGIN * factor);
  return { factor, margin: MARGIN, start, inputShift: 0.5, outputShift: start - 0.5 - MARGIN * factor };
}

const bytes = ({ buffer, byteOffset, byteLength }: Buffer): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

/**
 * Decodes an image and squashes a part of it to a square, as `decodeImage` and `cropToSquare` do: the EXIF orientation is
 * ignored, as by the reference, alpha dropped.
 *
 * @param image  encoded bytes, or a path
 * @param crop   in pixels of the stored image; undefined: all of it
 * @param side   of the result, pixels
 * @param where  what messages call the image
 * @returns      [side, side, 4], opaque
 * @throws ImageError when the image is missing, truncated or no image
 */
export async function decodeCrop(
  image: Uint8Array | string,
  crop: Rect | undefined,
  side: number,
  where?: string,
): Promise<Uint8Array> {
  return cropToSquare(await decodeImage(image, where === undefined ? {} : { name: where }), crop, side);
}
