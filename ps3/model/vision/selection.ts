// Which patches to look at: saliency maps from a query vector, and the best patches of a map.
// Shi et al. 2025, arXiv:2503.19903, patch selection.

import {
  adaptiveMaxPool,
  add,
  cast,
  cosineMap,
  greater,
  l2Normalize,
  matmul,
  mul,
  noGrad,
  resize,
  selectTopK,
  sigmoid,
  sub,
  type Tensor,
  tidy,
  type Weights,
  where,
  zerosLike,
} from '../../../engine/index.ts';
import type { VisionConfig } from '../config/config.ts';
import type { Grid } from './scales.ts';
import { firstRows } from './vit.ts';

/** What a query vector is compared with. */
export interface SelectionFeatures {
  /** [B, G * G, C], low-res features after the selection head. */
  readonly low: Tensor<'f32'>;
  /** [B, Y * X, A], the auxiliary encoder's map; undefined where the model has none. */
  readonly aux: Tensor<'f32'> | undefined;
}

/** Softmax temperature of the scores: sigmoid(5 * mean of the two cosines). */
const TEMPERATURE = 5;

/**
 * How promising each low-res cell is for a query.
 *
 *   prob = sigmoid(5 (cos(low, p) + maxpool(cos(aux, W p + b))) / 2)
 *
 * @param query  [B or 1, C], the text prompt (top-down) or the learned prior (bottom-up), not normalised
 * @returns      [B, G * G] in (0, 1)
 */
export function saliency(
  features: SelectionFeatures,
  query: Tensor,
  weights: Weights,
  config: VisionConfig,
): Tensor<'f32'> {
  const { low, aux } = features;
  const side = Math.round(Math.sqrt(low.shape[1]));
  return tidy([low, query, aux], (low, query, aux) => {
    const cosines = cosineMap(low, query);
    if (!aux) return sigmoid(mul(cosines, TEMPERATURE));
    const fine = Math.round(Math.sqrt(aux.shape[1]));
    // Only the head of the first scale is used: all scales share one map.
    const projected = firstRows(query, weights.in('prompt_proj_for_highres'), config.auxEncoder?.outChannels);
    const pooled = adaptiveMaxPool(cosineMap(aux, projected), [fine, fine], [side, side]);
    return sigmoid(mul(add(cosines, pooled), TEMPERATURE / 2));
  });
}

/**
 * The same for many queries at once in every image, before the sigmoid.
 *
 *   logit = 5 (cos(low, p) + maxpool(cos(aux, W p + b))) / 2
 *
 * @param queries  [Q, C]
 * @returns        [Q, B * G * G], image after image
 */
export function saliencyLogits(
  features: SelectionFeatures,
  queries: Tensor,
  weights: Weights,
  config: VisionConfig,
): Tensor<'f32'> {
  const { low, aux } = features;
  return tidy([low, queries, aux], (low, queries, aux) => {
    const [B, cells, C] = low.shape;
    const Q = queries.shape[0];
    const cosines = (a: Tensor, rows: Tensor): Tensor<'f32'> =>
      matmul(l2Normalize(a), l2Normalize(rows), { transposeB: true });
    const coarse = cosines(queries, low.reshape([B * cells, C]));
    if (!aux) return mul(coarse, TEMPERATURE);
    const [side, fine] = [cells, aux.shape[1]].map((count) => Math.round(Math.sqrt(count)));
    const projected = firstRows(
      queries,
      weights.in('prompt_proj_for_highres'),
      config.auxEncoder?.outChannels,
    );
    const maps = cosines(projected, aux.reshape([B * fine * fine, aux.shape[2]])).reshape([
      Q * B,
      fine * fine,
    ]);
    const pooled = adaptiveMaxPool(maps, [fine, fine], [side, side]).reshape([Q, B * cells]);
    return mul(add(coarse, pooled), TEMPERATURE / 2);
  });
}

/** Nearest-upsamples a map [B, Y * X] to another grid. */
export function upsample(map: Tensor<'f32'>, from: Grid, to: Grid): Tensor<'f32'> {
  const B = map.shape[0];
  return resize(map.reshape([B, 1, ...from]), to, 'nearest').reshape([B, to[0] * to[1]]);
}

/**
 * 1 in every cell of `grid` that the ground truth touches, else 0: [B, Y * X].
 *
 * @param groundTruth  [B, h, w], nonzero = wanted; whatever its dtype, a partly covered cell counts
 */
export function touchedCells(groundTruth: Tensor, grid: Grid): Tensor<'f32'> {
  return noGrad(() =>
    tidy([groundTruth], (map) => {
      const [B, h, w] = map.shape;
      const area = resize(cast(map, 'f32').reshape([B, 1, h, w]), grid, 'area').reshape([
        B,
        grid[0] * grid[1],
      ]);
      return greater(area, 0);
    }),
  );
}

/**
 * Puts ground truth before prediction: probability 1 in every cell of the first high-res grid that it touches.
 *
 * @param probs        one map [B, Y * X] per high-res scale
 * @param groundTruth  [B, h, w], nonzero = wanted
 */
export function overrideByGroundTruth(
  probs: readonly Tensor<'f32'>[],
  groundTruth: Tensor,
  grids: readonly Grid[],
): Tensor<'f32'>[] {
  return probs.map((prob, i) =>
    tidy([prob, groundTruth], (prob, groundTruth) => {
      const touched = upsample(touchedCells(groundTruth, grids[0]), grids[0], grids[i]);
      return where(touched, 1, prob);
    }),
  );
}

/** Averages each map over 6 x 6 blocks of the image. */
export function smooth(probs: readonly Tensor<'f32'>[], grids: readonly Grid[]): Tensor<'f32'>[] {
  return probs.map((prob, i) =>
    tidy([prob], (prob) => {
      const B = prob.shape[0];
      const blocks = resize(prob.reshape([B, 1, ...grids[i]]), [6, 6], 'area');
      return resize(blocks, grids[i], 'nearest').reshape(prob.shape);
    }),
  );
}

/** Patches chosen by the caller. */
export interface SelectionMap {
  /** [B, Y * X] f32, nonzero = selected. */
  readonly map: Tensor<'f32'>;
  /** Number of nonzero entries, the same for every image. */
  readonly count: number;
}

/** The patches of one look, per scale. */
export interface PatchSelection {
  /** u32 [B, k], raster order; undefined where nothing is taken. */
  readonly indices: Tensor<'u32'> | undefined;
  /** [B, Y * X] of 0 and 1. */
  readonly map: Tensor<'f32'>;
}

/**
 * Takes the `count` most promising patches that were not taken before; ties go to the lower index.
 *
 * @param prob   [B, Y * X]
 * @param taken  [B, Y * X] of 0 and 1
 */
export function choose(prob: Tensor<'f32'>, taken: Tensor<'f32'> | undefined, count: number): PatchSelection {
  return noGrad(() => {
    if (count === 0) return { indices: undefined, map: zerosLike(prob) };
    const [indices, map] = tidy([prob, taken], (prob, taken) => {
      // Taken patches become exactly -1, below every probability.
      const open = taken ? sub(mul(prob, sub(1, taken)), taken) : prob;
      const { indices, map } = selectTopK(open, count);
      return [indices, map];
    });
    return { indices, map };
  });
}
