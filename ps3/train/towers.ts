// The first stage: plain image and text towers on crops of one object, contrasted at low resolution. It stands in for
// the SigLIP towers that PS3 starts from. Zhai et al. 2023, arXiv:2303.15343.
import {
  type Engine,
  expectKeys,
  l2Normalize,
  matmul,
  noGrad,
  sigmoidContrastive,
  type Tensor,
} from '../../engine/index.ts';
import type { PS3 } from '../model/ps3.ts';
import type { Tokenizer } from '../model/text/tokenizer.ts';
import { captionIds, classesOf, tokenIds } from './batch_loader.ts';
import type { Made } from './batches.ts';
import { expectTrainable } from './loss.ts';

/** Crops of one object for the first stage: `count` images of the low-res side with captions, for one step. */
export type CropSource = (step: number, count: number) => { rgba: Uint8Array; captions: string[] };

/** Crops of single objects with their captions. */
export interface CropBatch {
  /** [B, s, s, 4] u8, s = the low-res scale. */
  readonly image: Tensor;
  /** [B, L]. */
  readonly ids: Tensor;
  /** u32 [B]: equal captions are positives of each other. */
  readonly classes: Tensor;
}

/** Crops as a batch of the first stage. @param rgba  [B, side, side, 4] */
export function cropBatch(
  tokenizer: Tokenizer,
  side: number,
  { rgba, captions }: { rgba: Uint8Array; captions: readonly string[] },
  classes: typeof classesOf = classesOf,
): Made<CropBatch> {
  const B = captions.length;
  const host = {
    image: { data: rgba, shape: [B, side, side, 4] },
    ids: tokenIds(tokenizer, captions),
    classes: { data: classes(captions), shape: [B] },
  };
  return { host };
}

/** Pooled low-res features, normalised, [B, E]. */
function cropFeatures(model: PS3, image: Tensor): Tensor<'f32'> {
  const { hidden, qkv } = model.vision.lowRes(image);
  for (const packed of qkv) packed.dispose();
  return l2Normalize(model.vision.pool(hidden[hidden.length - 1]));
}

/** Pooled low-res features of crops and the features of their captions, normalised, [B, E] each. */
export function towersForward(
  model: PS3,
  batch: CropBatch,
): { imageFeatures: Tensor<'f32'>; textFeatures: Tensor<'f32'> } {
  expectTrainable(model);
  const imageFeatures = cropFeatures(model, batch.image);
  const { features: textFeatures } = model.encodeText(batch.ids);
  return { imageFeatures, textFeatures };
}

/** The sigmoid loss between pooled low-res features and captions, [1]. */
export function towersLoss(model: PS3, batch: CropBatch): Tensor<'f32'> {
  const { imageFeatures, textFeatures } = towersForward(model, batch);
  const { logitScale, logitBias } = model;
  return sigmoidContrastive(imageFeatures, textFeatures, logitScale, logitBias, { positives: batch.classes });
}

/** How much `cropAccuracy` looks at. */
export interface CropAccuracyOptions {
  /** Crops to take, those of step 0; default 512. */
  readonly count?: number;
}

/**
 * Share of crops whose own caption, of all different captions among them, is the closest, in [0, 1].
 *
 * @throws ShapeError for unknown options
 */
export async function cropAccuracy(
  engine: Engine,
  model: PS3,
  crops: CropSource,
  options: CropAccuracyOptions = {},
): Promise<number> {
  expectKeys('cropAccuracy', options, { count: true });
  const { count = 512 } = options;
  const side = model.config.vision.scalesPx[0];
  using scope = engine.scope();
  const { rgba, captions } = crops(0, count);
  const names = [...new Set(captions)].sort();
  const cosines = noGrad(() => {
    const image = engine.tensor(rgba, [count, side, side, 4], { scope });
    const text = model.encodeText(captionIds(engine, model.tokenizer, names, scope)).features;
    return matmul(cropFeatures(model, image), text, { transposeB: true });
  });
  const scores = await cosines.data();
  const right = captions.filter((caption, i) => {
    const row = scores.subarray(i * names.length, (i + 1) * names.length);
    return names[row.indexOf(Math.max(...row))] === caption;
  });
  return right.length / count;
}
