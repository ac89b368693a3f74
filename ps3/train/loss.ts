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
import { expectConfig } from '../model/config/config.ts';
import type { PS3 } from '../model/ps3.ts';
import { touchedCells } from '../model/vision/selection.ts';

/**
 * `paper`: cross-entropy + DICE, bottom-up supervised by all boxes of the image.
 * `released`: the published code, cross-entropy only, both maps supervised by the sampled box.
 */
export type Recipe = 'paper' | 'released';

/** Images with one caption each, and where it points. */
export interface Batch {
  /** [B, 3, S, S] f32 normalised or [B, S, S, 4] u8. */
  readonly image: Tensor;
  /** [B, L] token ids of the sampled caption. */
  readonly ids: Tensor;
  /** [B, h, w], nonzero in the sampled caption's box; all ones for a global caption. */
  readonly box: Tensor;
  /** [B, h, w], nonzero in any box of the image; `paper` only. */
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
  /** Default 'paper'. */
  readonly recipe?: Recipe;
  /** Select by ground truth, not by prediction; default true. */
  readonly teacherForcing?: boolean;
  /** Pool only the selected tokens in the box, not all; default true. */
  readonly inBoxPooling?: boolean;
}

const LOSS_OPTIONS = { recipe: true, teacherForcing: true, inBoxPooling: true } as const;

/** [1] each. */
export interface Losses {
  /** contrastive + bottomUp + topDown. */
  readonly total: Tensor;
  /** Sigmoid loss between image and text features, [1]. */
  readonly contrastive: Tensor;
  /** Supervision of the bottom-up map: of the reference's prior. */
  readonly bottomUp: Tensor;
  /** Supervision of the top-down map: of the reference's posterior. */
  readonly topDown: Tensor;
}

/** What one pre-training forward computes; maps and features are kept for metrics. */
export interface TrainOutput {
  /** The parts of the loss, [1] each. */
  readonly losses: Losses;
  /** Normalised, [B, E]. */
  readonly imageFeatures: Tensor;
  /** Normalised, [B, E]. */
  readonly textFeatures: Tensor;
  /** [B, D], what selected the patches. */
  readonly prompt: Tensor;
  /** Saliency per high-res scale. */
  readonly maps: ReturnType<PS3['vision']['maps']>;
  /** Selected patches per high-res scale, [B, Y * X] of 0 and 1. */
  readonly selectionMaps: Tensor[];
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

/**
 * The pre-training forward and its losses; `backward(losses.total)` gives the gradients.
 *
 *   total = sigmoid contrastive + mean over scales of the bottom-up map's supervision + the same of the top-down map's
 *
 * @throws ShapeError when the batch's tensors do not fit the model or one another; ConfigError for a drop_path
 * Source: Shi et al. 2025, arXiv:2503.19903, pre-training.
 */
export function pretrainLoss(model: PS3, batch: Batch, options: LossOptions = {}): TrainOutput {
  expectKeys('pretrainLoss', options, LOSS_OPTIONS);
  expectTrainable(model);
  const { recipe = 'paper', teacherForcing, inBoxPooling } = options;
  const { features: textFeatures, prompt } = model.encodeText(batch.ids);
  const { pooled, grids, maps, selectionMaps } = model.vision.pretrain(batch.image, {
    prompt,
    groundTruth: batch.box,
    isGlobal: batch.isGlobal,
    poolInBox: inBoxPooling,
    selectByGroundTruth: teacherForcing,
  });
  const imageFeatures = l2Normalize(pooled);
  const { logitScale, logitBias } = model;
  const contrastive = sigmoidContrastive(imageFeatures, textFeatures, logitScale, logitBias, {
    positives: batch.classes,
  });
  const supervise = (probs: readonly Tensor[], groundTruth: Tensor): Tensor =>
    tidy([...probs, groundTruth, batch.isLocal], (...inputs) => {
      const rowWeight = inputs.pop()!;
      const map = inputs.pop()!;
      const terms = inputs.map((prob, i) => {
        const y = touchedCells(map, grids[i + 1]);
        const entropy = binaryCrossEntropy(prob, y, { rowWeight });
        return recipe === 'paper' ? add(entropy, diceLoss(prob, y, { rowWeight })) : entropy;
      });
      return mul(
        terms.reduce((a, b) => add(a, b)),
        1 / terms.length,
      );
    });
  const bottomUp = supervise(maps.bottomUp, recipe === 'paper' ? (batch.allBoxes ?? batch.box) : batch.box);
  const topDown = supervise(maps.topDown!, batch.box);
  const total = tidy([contrastive, bottomUp, topDown], (a, b, c) => add(add(a, b), c));
  const losses = { total, contrastive, bottomUp, topDown };
  return { losses, imageFeatures, textFeatures, prompt, maps, selectionMaps };
}
