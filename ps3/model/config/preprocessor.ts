// How images become numbers: `preprocessor_config.json`, read and written.
import * as v from 'valibot';
import { expectConfig, type ImageConfig, type VisionConfig } from './config.ts';

/** OpenAI CLIP's colours: what the official files mean where they leave mean and std out. */
const CLIP = {
  mean: [0.48145467, 0.45782751, 0.40821072],
  std: [0.26862955, 0.26130259, 0.2757771],
} as const;

const rgb = v.nullish(v.pipe(v.array(v.number()), v.length(3)), null);
const schema = v.looseObject({
  image_size: v.union([v.number(), v.array(v.number())]),
  mean: rgb,
  std: rgb,
  // "random" is for training elsewhere; where images are encoded it means bicubic.
  interpolation: v.nullish(v.picklist(['bicubic', 'random']), 'bicubic'),
  resize_mode: v.nullish(v.literal('squash'), 'squash'),
  mode: v.nullish(v.literal('RGB'), 'RGB'),
});

/**
 * Reads `preprocessor_config.json`.
 *
 * @param json  undefined for a model without the file: SigLIP's colours, or CLIP's in C-RADIO models
 * @throws ConfigError naming the field that is wrong
 */
export function parsePreprocessor(json: unknown, vision: VisionConfig): ImageConfig {
  const imagePx = vision.scalesPx[vision.scalesPx.length - 1];
  const half = [0.5, 0.5, 0.5] as const;
  if (json === undefined) return { imagePx, ...(vision.adapter ? CLIP : { mean: half, std: half }) };
  const result = v.safeParse(schema, json);
  const file = 'preprocessor_config.json';
  if (!result.success) {
    const [issue] = result.issues;
    expectConfig(false, `${file}: ${v.getDotPath(issue) ?? 'it'} must be as PS3 has it`, issue.message);
  }
  const { image_size, mean, std } = result.output;
  const sides = [image_size].flat();
  expectConfig(
    sides.every((px) => px === imagePx),
    `${file}: image_size must be the largest scale, ${imagePx}`,
    image_size,
  );
  const three = ([r, g, b]: readonly number[]) => [r, g, b] as const;
  expectConfig(
    (std ?? CLIP.std).every((px) => px > 0),
    `${file}: std must be positive`,
    std,
  );
  return { imagePx, mean: three(mean ?? CLIP.mean), std: three(std ?? CLIP.std) };
}

/** The object to write as `preprocessor_config.json`. */
export function toPreprocessor({ imagePx, mean, std }: ImageConfig): Record<string, unknown> {
  return {
    image_size: [imagePx, imagePx],
    mean,
    std,
    interpolation: 'bicubic',
    resize_mode: 'squash',
  };
}
