// A photograph with captions by a model: of its most salient boxes, and of the whole.
import sharp, { type Sharp } from 'sharp';
import { type DecodedImage, decodeImage } from '../../model/image.ts';
import { isWordless } from '../annotations.ts';
import type { Captioner } from './captioner.ts';
import { salientBoxes } from './salient_boxes.ts';
import { segment } from './segments.ts';
import type { Caption } from './words.ts';

/** Long side of the image that is segmented, pixels, and the blur before. */
const SEGMENTED = 1024;
const BLUR = 0.8;
/** Pixels that a model is shown, at most. Source: Shi et al. 2025, arXiv:2503.19903, appendix A. */
const SHOWN_PX = 256 * 28 * 28;

/**
 * Describes an image and its salient boxes; what the model says nothing of is left out.
 *
 * @param count  boxes, at most
 * @throws ImageError for what is no image, DataError when the model does not answer
 */
export async function describe(
  encoded: Uint8Array,
  name: string,
  captioner: Captioner,
  count: number,
): Promise<{ captions: Caption[]; title: string }> {
  const image = await decodeImage(encoded, { name });
  const { width, height } = image;
  const whole = await jpeg(opened(image), width, height);
  const captions: Caption[] = [];
  for (const box of salientBoxes(segment(await reduced(image)), width, height, count)) {
    const [left, top, right, bottom] = box.map(Math.round);
    const [w, h] = [right - left, bottom - top];
    if (w < 1 || h < 1) continue;
    const text = await captioner(
      whole,
      await jpeg(opened(image).extract({ left, top, width: w, height: h }), w, h),
    );
    if (!isWordless(text)) captions.push({ text, box });
  }
  const title = await captioner(whole, undefined);
  return { captions, title: isWordless(title) ? '' : title };
}

const opened = ({ rgba, width, height }: DecodedImage): Sharp =>
  sharp(rgba, { raw: { width, height, channels: 4 } }).removeAlpha();

async function jpeg(image: Sharp, width: number, height: number): Promise<Uint8Array> {
  const scale = Math.sqrt(SHOWN_PX / (width * height));
  const shown = scale < 1 ? image.resize(Math.max(1, Math.floor(width * scale))) : image;
  return shown.jpeg({ quality: 92 }).toBuffer();
}

/** Small and blurred, for segmentation. */
async function reduced(image: DecodedImage): Promise<DecodedImage> {
  const { data, info } = await opened(image)
    .resize(SEGMENTED, SEGMENTED, { fit: 'inside', withoutEnlargement: true })
    .blur(BLUR)
    .ensureAlpha(1)
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { rgba: data, width: info.width, height: info.height };
}
