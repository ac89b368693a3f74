// The first stage: plain image and text towers on crops of one object, contrasted at low resolution. It stands in for
// the SigLIP towers that PS3 starts from. Zhai et al. 2023, arXiv:2303.15343.
import {
  type Engine,
  expectKeys,
  matmul,
  noGrad,
  sigmoidContrastive,
  type Tensor,
} from '../../engine/index.ts';
import type { VisionConfig } from '../model/config/config.ts';
import type { PS3 } from '../model/ps3.ts';
import type { Tokenizer } from '../model/text/tokenizer.ts';
import { captionIds, classesOf, tokenIds } from './batch_loader.ts';
import { type HostTensor, type Made, upload } from './batches.ts';
import { cropFeatures, type ShownCrops } from './crop_features.ts';
import { expectTrainable } from './loss.ts';

/** Crops of one object for the first stage: `count` images with captions, for one step. */
export type CropSource = (step: number, count: number) => Crops;

/** Crops of single objects in host memory. */
export interface Crops {
  /** Squares of the low-res side, or at the resolution of the finest scale where there are `places`, one after another. */
  readonly rgba: Uint8Array;
  /** Of `rgba`, then of `coarse`. */
  readonly captions: readonly string[];
  /** Where the k patches of each are in the finest grid, [B, k]. */
  readonly places?: HostTensor;
  /** Crops that are shown at the scale before the finest, [C, s, s, 4]. */
  readonly coarse?: HostTensor;
  /** Where their patches are in its grid, [C, k]. */
  readonly coarsePlaces?: HostTensor;
}

/** Crops of single objects with their captions. */
export interface CropBatch extends ShownCrops {
  /** [B + C, L]. */
  readonly ids: Tensor;
  /** u32 [B + C]: equal captions are positives of each other. */
  readonly classes: Tensor;
}

/** Side of crops: of a square of their patches, or of the low-res scale. */
export function cropSidePx({ patchPx, scalesPx }: VisionConfig, { places }: Pick<Crops, 'places'>): number {
  return places ? Math.sqrt(places.shape[1]) * patchPx : scalesPx[0];
}

/** Crops as a batch of the first stage. @param side  of `rgba` */
export function cropBatch(
  tokenizer: Tokenizer,
  side: number,
  { rgba, captions, places, coarse, coarsePlaces }: Crops,
  classes: typeof classesOf = classesOf,
): Made<CropBatch> {
  const host = {
    image: { data: rgba, shape: [captions.length - (coarse?.shape[0] ?? 0), side, side, 4] },
    ...(places && { places }),
    ...(coarse && { coarse }),
    ...(coarsePlaces && { coarsePlaces }),
    ids: tokenIds(tokenizer, captions),
    classes: { data: classes(captions), shape: [captions.length] },
  };
  return { host };
}

/** Pooled features of crops and the features of their captions, normalised, [B, E] each. */
export function towersForward(
  model: PS3,
  batch: CropBatch,
): { imageFeatures: Tensor<'f32'>; textFeatures: Tensor<'f32'> } {
  expectTrainable(model);
  const imageFeatures = cropFeatures(model, batch);
  const { features: textFeatures } = model.encodeText(batch.ids);
  return { imageFeatures, textFeatures };
}

/** The sigmoid loss between pooled features of crops and captions, [1]. */
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
  using scope = engine.scope();
  const shown = crops(0, count);
  const { captions } = shown;
  const { host } = cropBatch(model.tokenizer, cropSidePx(model.config.vision, shown), shown);
  const names = [...new Set(captions)].sort();
  const cosines = noGrad(() => {
    const text = model.encodeText(captionIds(engine, model.tokenizer, names, scope)).features;
    return matmul(cropFeatures(model, upload(engine, host, scope)), text, { transposeB: true });
  });
  const scores = await cosines.data();
  const right = captions.filter((caption, i) => {
    const row = scores.subarray(i * names.length, (i + 1) * names.length);
    return names[row.indexOf(Math.max(...row))] === caption;
  });
  return right.length / count;
}
