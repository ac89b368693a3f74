// The losses of PS3's pre-training. Shi et al. 2025, arXiv:2503.19903; sigmoid loss: Zhai et al. 2023, arXiv:2303.15343.
import {
  add,
  binaryCrossEntropy,
  concat,
  diceLoss,
  expectKeys,
  l2Normalize,
  mul,
  sigmoidContrastive,
  slice,
  type Tensor,
  tidy,
} from '../../engine/index.ts';
import { tiledFeatures } from '../model/baselines/tiled.ts';
import { expectConfig, total as sum } from '../model/config/config.ts';
import type { PS3 } from '../model/ps3.ts';
import { saliencyLogits, touchedCells } from '../model/vision/selection.ts';
import { allCaptionsLoss, byCaption, crossLoss } from './caption_losses.ts';
import type { BaselineConfig } from './config.ts';
import { cropFeatures } from './crop_features.ts';
import { type Objective, totalLoss, weighted } from './phases.ts';

/** Images with one caption each, and where it points. */
export interface Batch {
  /** [B, 3, S, S] f32 normalised or [B, S, S, 4] u8. */
  readonly image: Tensor;
  /** [B, L] token ids of the sampled caption. */
  readonly ids: Tensor;
  /** [B, h, w], nonzero in the sampled caption's box; all ones for a global caption. */
  readonly box: Tensor;
  /** [B, h, w], nonzero in any box of the image; default: as `box`. */
  readonly allBoxes?: Tensor;
  /** [B, 1] of 0 and 1: the caption is of the whole image. */
  readonly isGlobal: Tensor;
  /** [B], 1 - isGlobal: which samples supervise selection. */
  readonly isLocal: Tensor;
  /** u32 [B]: samples of equal class are positives of each other; default: only of themselves. */
  readonly classes?: Tensor;
  /** [B, Q, L] token ids of all captions there are, the same for every image: with them, those of an image supervise its map. */
  readonly captions?: Tensor;
  /** Which share of each low-res patch their boxes in the image cover, [B, Q, G * G]. */
  readonly shares?: Tensor;
  /** u32 [B, 2], the low-res row and column at which the images begin in larger ones, whose windows they are. */
  readonly origin?: Tensor;
  /** Crops of single objects, which are contrasted with the images; `classes` goes on with them. */
  readonly crops?: Tensor;
  /** As `places` of `ShownCrops`. */
  readonly cropPlaces?: Tensor;
  /** As `coarse` of `ShownCrops`. */
  readonly coarseCrops?: Tensor;
  /** As `coarsePlaces` of `ShownCrops`. */
  readonly coarsePlaces?: Tensor;
  /** Token ids of the captions of all crops. */
  readonly cropIds?: Tensor;
}

/** How a batch's losses are computed. */
export interface LossOptions {
  /** Weight of the supervision of the bottom-up map beside the contrastive loss; default 1. */
  readonly bottomUp?: number;
  /** Weight of the supervision of the top-down map; default 1. */
  readonly topDown?: number;
  /** Weight of DICE beside the cross-entropy in both; default 1, the paper's. The released code has 0. */
  readonly dice?: number;
  /** What the bottom-up map is to show: all boxes of the image, by default, or as in the released code the caption's. */
  readonly bottomUpBoxes?: 'all' | 'sampled';
  /** Select by ground truth, not by prediction; default true. */
  readonly teacherForcing?: boolean;
  /** Pool only the selected tokens in the box, not all; default true. */
  readonly inBoxPooling?: boolean;
  /** Weight of the comparison of all captions and places of a batch, `crossLoss`; default 0. It needs `captions` of the batch. */
  readonly cross?: number;
  /** The images are windows of larger ones, of so many low-res patches a side, of which a look takes so many. */
  readonly window?: { readonly cells: number; readonly maxSelect: number } | null;
}

const LOSS_OPTIONS = {
  bottomUp: true,
  topDown: true,
  dice: true,
  bottomUpBoxes: true,
  teacherForcing: true,
  inBoxPooling: true,
  cross: true,
  window: true,
} as const;

/** How well the maps show where to look, unweighted, [1] each: means over the samples that supervise them. */
export interface MapLosses {
  /** Supervision of the bottom-up map: of the reference's prior. */
  readonly bottomUp: Tensor<'f32'>;
  /** Supervision of the top-down map: of the reference's posterior. */
  readonly topDown: Tensor<'f32'>;
  /** `crossLoss`, where it has a weight. */
  readonly cross?: Tensor<'f32'>;
}

/** [1] each. */
export interface Losses extends MapLosses {
  /** contrastive + bottomUp + topDown, the two by their weights. */
  readonly total: Tensor<'f32'>;
  /** Sigmoid loss between image and text features, [1]. */
  readonly contrastive: Tensor<'f32'>;
}

/** What one pre-training forward computes; maps and features are kept for metrics. */
export interface TrainForward {
  /** Normalised, [B, E]. */
  readonly imageFeatures: Tensor<'f32'>;
  /** Normalised, [B, E]. */
  readonly textFeatures: Tensor<'f32'>;
  /** [B, D], what selected the patches. */
  readonly prompt: Tensor<'f32'>;
  /** Saliency per high-res scale. */
  readonly maps: ReturnType<PS3['vision']['maps']>;
  /** Selected patches per high-res scale, [B, Y * X] of 0 and 1. */
  readonly selectionMaps: Tensor<'f32'>[];
  /** Losses of the batch that compare nothing between its samples. */
  readonly mapLosses: MapLosses;
}

/** The same, compared within the batch. */
export interface TrainOutput extends Omit<TrainForward, 'mapLosses'> {
  /** The parts of the loss, [1] each. */
  readonly losses: Losses;
}

/** @throws ConfigError for a model whose configuration asks for what training here does not do */
export function expectTrainable({ config }: Pick<PS3, 'config'>): void {
  const { dropPath } = config.vision;
  expectConfig(
    dropPath === 0,
    'vision_config.drop_path must be 0 or null in training',
    dropPath,
    'No block is skipped here: set it to null to train without.',
  );
}

/** Weights of the map losses beside the contrastive one. */
export function mapWeights({ bottomUp = 1, topDown = 1, cross = 0 }: LossOptions): Record<string, number> {
  return { bottomUp, topDown, ...(cross > 0 && { cross }) };
}

/**
 * The pre-training forward, up to what the contrastive loss compares.
 *
 *   map loss = mean over scales of cross-entropy + w_d DICE
 *
 * @throws ShapeError when the batch's tensors do not fit the model or one another; ConfigError for a drop_path
 * Source: Shi et al. 2025, arXiv:2503.19903, pre-training.
 */
export function pretrainForward(model: PS3, batch: Batch, options: LossOptions = {}): TrainForward {
  expectKeys('pretrainForward', options, LOSS_OPTIONS);
  expectTrainable(model);
  const { dice = 1, bottomUpBoxes = 'all', teacherForcing, inBoxPooling, cross = 0 } = options;
  const vision = options.window
    ? model.vision.window(options.window.cells, options.window.maxSelect)
    : model.vision;
  const texts = encodeTexts(model, batch);
  const { prompt } = texts;
  const { pooled, grids, features, maps, selectionMaps } = vision.pretrain(batch.image, {
    prompt,
    groundTruth: batch.box,
    isGlobal: batch.isGlobal,
    poolInBox: inBoxPooling,
    selectByGroundTruth: teacherForcing,
    origin: batch.origin,
  });
  const images = l2Normalize(pooled);
  const { crops, cropPlaces: places, coarseCrops: coarse, coarsePlaces } = batch;
  const imageFeatures = crops
    ? concat([images, cropFeatures(model, { image: crops, places, coarse, coarsePlaces })], { axis: 0 })
    : images;
  const supervise = (probs: readonly Tensor<'f32'>[], groundTruth: Tensor): Tensor<'f32'> =>
    tidy([...probs, groundTruth, batch.isLocal], (...inputs) => {
      const rowWeight = inputs.pop()!;
      const map = inputs.pop()!;
      const terms = inputs.map((prob, i) => {
        const y = touchedCells(map, grids[i + 1]);
        const entropy = binaryCrossEntropy(prob, y, { rowWeight });
        return dice === 0 ? entropy : add(entropy, weighted(diceLoss(prob, y, { rowWeight }), dice));
      });
      return mul(
        terms.reduce((a, b) => add(a, b)),
        1 / terms.length,
      );
    });
  const bottomUp = supervise(
    maps.bottomUp,
    bottomUpBoxes === 'all' ? (batch.allBoxes ?? batch.box) : batch.box,
  );
  const shown = { imageFeatures, textFeatures: texts.features, prompt, maps, selectionMaps };
  if (!texts.all || !batch.shares) {
    expectConfig(cross === 0, 'loss.cross must be 0 where batches do not have all captions', cross);
    return { ...shown, mapLosses: { bottomUp, topDown: supervise(maps.topDown!, batch.box) } };
  }
  const logits = saliencyLogits(features, texts.all, vision.weights, vision.config);
  const shares = byCaption(batch.shares);
  const topDown = allCaptionsLoss(logits, shares, grids[0][0] * grids[0][1], dice);
  return {
    ...shown,
    mapLosses: { bottomUp, topDown, ...(cross > 0 && { cross: crossLoss(logits, shares) }) },
  };
}

/** Captions of images and crops, then all captions there are, in one pass. */
function encodeTexts(
  model: PS3,
  { ids, cropIds, captions }: Batch,
): { features: Tensor<'f32'>; prompt: Tensor<'f32'>; all: Tensor<'f32'> | undefined } {
  const B = ids.shape[0];
  const whole = [ids, ...(cropIds ? [cropIds] : [])];
  if (captions) {
    const [, Q, L] = captions.shape;
    whole.push(slice(captions, { axis: 0, length: 1 }).reshape([Q, L]));
  }
  if (whole.length === 1) {
    const { features, prompt } = model.encodeText(ids);
    return { features, prompt, all: undefined };
  }
  const { features, prompt } = model.encodeText(concat(whole, { axis: 0 }));
  const compared = B + (cropIds?.shape[0] ?? 0);
  return {
    features: slice(features, { axis: 0, length: compared }),
    prompt: slice(prompt, { axis: 0, length: B }),
    all: captions && slice(prompt, { axis: 0, start: compared, length: captions.shape[1] }),
  };
}

/** What a step descends: the forward above, and its map losses by their weights. */
export function pretrainObjective(
  model: PS3,
  options: LossOptions = {},
): Pick<Objective<Batch>, 'embed' | 'weights' | 'counted'> {
  return {
    embed(batch) {
      const { mapLosses, ...features } = pretrainForward(model, batch, options);
      return { ...features, own: { ...mapLosses } };
    },
    weights: mapWeights(options),
    counted: ({ isLocal }) => sum([...isLocal.data]),
  };
}

/**
 * What a step of a baseline descends: the contrastive loss alone, between pooled tokens in the box and its caption. A global
 * caption's box is the whole image.
 */
export function baselineObjective(
  model: PS3,
  baseline: BaselineConfig,
): Pick<Objective<Batch>, 'embed' | 'weights' | 'counted'> {
  return {
    embed({ image, box, ids }) {
      expectTrainable(model);
      const imageFeatures = tiledFeatures(model.vision, image as Tensor<'u8'>, box, baseline);
      return { imageFeatures, textFeatures: model.encodeText(ids).features, own: {} };
    },
    weights: {},
    counted: () => 0,
  };
}

/**
 * The pre-training forward and its losses; `backward(losses.total)` gives the gradients.
 *
 *   total = sigmoid contrastive + w_b map loss of the bottom-up map + w_t map loss of the top-down map + w_c cross
 *
 * @throws as `pretrainForward`
 * Source: Shi et al. 2025, arXiv:2503.19903, pre-training.
 */
export function pretrainLoss(model: PS3, batch: Batch, options: LossOptions = {}): TrainOutput {
  const { mapLosses, ...forward } = pretrainForward(model, batch, options);
  const { logitScale, logitBias } = model;
  const contrastive = sigmoidContrastive(forward.imageFeatures, forward.textFeatures, logitScale, logitBias, {
    positives: batch.classes,
  });
  const total = totalLoss(contrastive, { ...mapLosses }, mapWeights(options)) as Tensor<'f32'>;
  return { losses: { total, contrastive, ...mapLosses }, ...forward };
}
