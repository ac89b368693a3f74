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

/** Quantiles of the standard normal at the middles of so many equal parts: noise is drawn from them, by 16 bits a level. */
const PARTS = 2 ** 16;
const QUANTILES = quantiles();

function quantiles(): Float32Array {
  const table = new Float32Array(PARTS).fill(5);
  const step = 1e-4;
  // By the midpoint rule over the density, from where nearly nothing is below.
  for (let x = -5, below = 2.9e-7, i = 0; x < 5; x += step) {
    below += (step * Math.exp(-((x + step / 2) ** 2) / 2)) / Math.sqrt(2 * Math.PI);
    for (; i < PARTS && (i + 0.5) / PARTS <= below; i++) table[i] = x + step;
  }
  return table;
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
  random: Pick<Random, 'integer'>,
): Promise<Uint8Array> {
  const { data, info } = await sharp(image)
    .removeAlpha()
    .blur(blurPx)
    .raw()
    .toBuffer({ resolveWithObject: true });
  const light = Float32Array.from({ length: 256 }, (_, level) => 255 * gain * (level / 255) ** gamma);
  const deviation = light.map((level) => noise * Math.sqrt(1 + level / 255));
  // Xorshift, Marsaglia 2003: two levels a word. Of 25 million levels, a generator of numbers for science would take seconds.
  let word = 1 + random.integer(2 ** 32 - 1);
  for (let i = 0; i < data.length; i++) {
    if (i % 2 === 0) {
      word ^= word << 13;
      word ^= word >>> 17;
      word ^= word << 5;
    }
    const part = i % 2 === 0 ? word & 0xffff : word >>> 16;
    const level = data[i];
    data[i] = Math.min(Math.max(Math.round(light[level] + deviation[level] * QUANTILES[part]), 0), 255);
  }
  const { width, height } = info;
  return sharp(data, { raw: { width, height, channels: 3 } })
    .jpeg({ quality, chromaSubsampling: '4:4:4' })
    .toBuffer();
}
