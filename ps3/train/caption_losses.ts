// Supervision of the top-down map by every caption of an image, not by the sampled one alone, and a loss that compares
// captions and places across the batch: named deviations from the paper, for short runs.
import {
  add,
  binaryCrossEntropy,
  diceLoss,
  div,
  greater,
  logSoftmax,
  maximum,
  mul,
  noGrad,
  permute,
  sigmoid,
  sum,
  type Tensor,
  tidy,
} from '../../engine/index.ts';
import { weighted } from './phases.ts';

/** Sharpness of the distributions that `crossLoss` compares: logits are within -5 and 5. */
const SHARPNESS = 4;

/** Smallest divisor: where nothing is shown, the numerator is zero too. */
const TINY = 1e-6;

/** Shares [B, Q, N] of low-res patches that captions' boxes cover, as [Q, B * N]. */
export function byCaption(shares: Tensor): Tensor<'f32'> {
  const [B, Q, N] = shares.shape;
  return noGrad(() =>
    tidy([shares], (shares) => permute(shares as Tensor<'f32'>, [1, 0, 2]).reshape([Q, B * N])),
  );
}

/**
 * Cross-entropy, and DICE by its weight, of the maps of all captions that an image shows.
 *
 * @param logits  [Q, B * N]
 * @param shares  [Q, B * N], the targets
 * @param N       low-res patches of an image
 * @returns       [1], the mean over pairs of an image and a caption of it
 */
export function allCaptionsLoss(
  logits: Tensor<'f32'>,
  shares: Tensor<'f32'>,
  N: number,
  dice: number,
): Tensor<'f32'> {
  return tidy([logits, shares], (logits, shares) => {
    const rows = [logits.size / N, N];
    const y = shares.reshape(rows);
    const rowWeight = noGrad(() => greater(sum(y, { axis: 1 }), 0));
    const p = sigmoid(logits).reshape(rows);
    const entropy = binaryCrossEntropy(p, y, { rowWeight });
    return dice === 0 ? entropy : add(entropy, weighted(diceLoss(p, y, { rowWeight }), dice));
  });
}

/**
 * Where is what a caption names, among all places of the batch; and which caption is it, at each place of an object?
 *
 *   L = -1/|shown| sum_q sum_c s_qc / S_q  log softmax_c(4 z_qc)  -  1/S sum_qc s_qc log softmax_q(4 z_qc)
 *
 * with S_q = sum_c s_qc, S = sum_q S_q, and the first sum over captions that are shown, S_q > 0.
 *
 * @param logits  z [Q, M] of captions in cells
 * @param shares  s [Q, M], the covered share of each cell
 * @returns       [1]
 */
export function crossLoss(logits: Tensor<'f32'>, shares: Tensor<'f32'>): Tensor<'f32'> {
  return tidy([logits, shares], (logits, shares) => {
    const sharp = mul(logits, SHARPNESS);
    const [where, which, shown, all] = noGrad(() => {
      const perCaption = sum(shares, { axis: 1, keepDims: true });
      const shown = maximum(sum(greater(perCaption, 0)).reshape([1]), TINY);
      const all = maximum(sum(perCaption).reshape([1]), TINY);
      return [div(shares, maximum(perCaption, TINY)), shares, shown, all];
    });
    const places = div(sum(mul(where, logSoftmax(sharp))).reshape([1]), shown);
    const names = div(sum(mul(which, logSoftmax(sharp, { axis: 0 }))).reshape([1]), all);
    return mul(add(places, names), -1);
  });
}
