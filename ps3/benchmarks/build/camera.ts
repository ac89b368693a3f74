// A camera between a drawn image and who looks at it: without it, sharp targets would be a shortcut.
import sharp from 'sharp';
import type { Random } from '../../../engine/index.ts';

/** What one exposure does, drawn once an image. */
export interface Exposure {
  /** Of the lens: Gaussian blur, pixels. */
  readonly blurPx: number;
  /** Read noise: standard deviation, levels of 255; shot noise has it too at full light, and less in the dark. */
  readonly noise: number;
  readonly gain: number;
  readonly gamma: number;
  /** Of the JPEG. */
  readonly quality: number;
}

/** Draws an exposure. */
export function drawExposure(random: Pick<Random, 'range' | 'integer'>): Exposure {
  return {
    blurPx: random.range(0.3, 0.8),
    noise: random.range(1, 4) / Math.SQRT2,
    gain: random.range(0.92, 1.04),
    gamma: random.range(0.92, 1.08),
    quality: 85 + random.integer(11),
  };
}

/**
 * Shows an image as a camera would take it.
 *
 * @param image  encoded
 * @returns      JPEG without chroma subsampling
 */
export async function photograph(
  image: Uint8Array,
  { blurPx, noise, gain, gamma, quality }: Exposure,
  random: Pick<Random, 'normal'>,
): Promise<Uint8Array> {
  const { data, info } = await sharp(image)
    .removeAlpha()
    .blur(blurPx)
    .raw()
    .toBuffer({ resolveWithObject: true });
  const curve = Float32Array.from({ length: 256 }, (_, level) => 255 * gain * (level / 255) ** gamma);
  for (let i = 0; i < data.length; i++) {
    const light = curve[data[i]];
    const deviation = noise * Math.sqrt(1 + light / 255);
    data[i] = Math.min(Math.max(Math.round(light + deviation * random.normal()), 0), 255);
  }
  const { width, height } = info;
  return sharp(data, { raw: { width, height, channels: 3 } })
    .jpeg({ quality, chromaSubsampling: '4:4:4' })
    .toBuffer();
}
