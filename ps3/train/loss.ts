// The losses of PS3's pre-training. Shi et al. 2025, arXiv:2503.19903; sigmoid loss: Zhai et al. 2023, arXiv:2303.15343.
import {
  add,
  binaryCrossEntropy,
  diceLoss,
  expectKeys,
  l2Normalize,
  mul,
  sigmoidContrastive,
  type Tensor,
  tidy,
} from '../../engine/index.ts';
import { expectConfig, total as sum } from '../model/config/config.ts';
import type { PS3 } from '../model/ps3.ts';
import { touchedCells } from '../model/vision/selection.ts';
import { type Objective, weighted } from './phases.ts';

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
}

const LOSS_OPTIONS = {
  bottomUp: true,
  topDown: true,
  dice: true,
  bottomUpBoxes: true,
  teacherForcing: true,
  inBoxPooling: true,
} as const;

/** How well the maps show where to look, unweighted, [1] each: means over the samples that supervise them. */
export interface MapLosses {
  /** Supervision of the bottom-up map: of the reference's prior. */
  readonly bottomUp: Tensor<'f32'>;
  /** Supervision of the top-down map: of the reference's posterior. */
  readonly topDown: Tensor<'f32'>;
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

/** Weights of the two map losses beside the contrastive one. */
export function mapWeights({ bottomUp = 1, topDown = 1 }: LossOptions): {
  bottomUp: number;
  topDown: number;
} {
  return { bottomUp, topDown };
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
  const { dice = 1, bottomUpBoxes = 'all', teacherForcing, inBoxPooling } = options;
  const { features: textFeatures, prompt } = model.encodeText(batch.ids);
  const { pooled, grids, maps, selectionMaps } = model.vision.pretrain(batch.image, {
    prompt,
    groundTruth: batch.box,
    isGlobal: batch.isGlobal,
    poolInBox: inBoxPooling,
    selectByGroundTruth: teacherForcing,
  });
  const imageFeatures = l2Normalize(pooled);
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
  const topDown = supervise(maps.topDown!, batch.box);
  return { imageFeatures, textFeatures, prompt, maps, selectionMaps, mapLosses: { bottomUp, topDown } };
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
 * The pre-training forward and its losses; `backward(losses.total)` gives the gradients.
 *
 *   total = sigmoid contrastive + w_b map loss of the bottom-up map + w_t map loss of the top-down map
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
  const weights = mapWeights(options);
  const total = tidy([contrastive, mapLosses.bottomUp, mapLosses.topDown], (a, b, c) =>
    add(add(a, weighted(b, weights.bottomUp)), weighted(c, weights.topDown)),
  );
  return { losses: { total, contrastive, ...mapLosses }, ...forward };
}
