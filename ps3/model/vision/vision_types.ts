// What goes into the image side of PS3 and what comes out of it.
import type { Tensor } from '../../../engine/index.ts';
import type { LookAmount } from './look_plan.ts';
import type { SelectionFeatures, SelectionMap } from './selection.ts';

/** Result of the low-res pass. */
export interface LowRes {
  /** Outputs of the last blocks, as many as were asked for, [B, N, C]; the last is not normalised. */
  readonly hidden: Tensor<'f32'>[];
  /** Outputs of `config.selectionLayers`. */
  readonly tapped: Tensor<'f32'>[];
  /** Packed queries, keys and values of every block, [B, N, 3C]: the cache that high-res tokens attend to. */
  readonly qkv: Tensor<'f32'>[];
  /** Where the image begins in the one that it is a window of, as `lowRes` was told. */
  readonly origin?: Tensor;
}

/** What is the same wherever one looks. */
export interface Glance {
  /** The low-res pass. */
  readonly lowRes: LowRes;
  /** What queries are compared with. */
  readonly features: SelectionFeatures;
}

/** Saliency per high-res scale, [B, Y * X] each. */
export interface Maps {
  /** What selection uses: after ground truth and smoothing. */
  readonly probs: Tensor<'f32'>[];
  /** By what stands out. */
  readonly bottomUp: Tensor<'f32'>[];
  /** Present when there is a prompt. */
  readonly topDown: Tensor<'f32'>[] | undefined;
}

/** What decides where to look. */
export interface MapOptions {
  /** [B, C], the text model's prompt. Without one, selection is bottom-up. */
  readonly prompt?: Tensor;
  /** Maps [B, Y * X] per high-res scale, in [0, 1], to use in place of the model's own. */
  readonly probs?: readonly Tensor<'f32'>[];
  /** [B, h, w] of any dtype, nonzero = select these cells first. */
  readonly groundTruth?: Tensor;
  /** Blurs the maps before selection; default false. */
  readonly smooth?: boolean;
}

/** Where to look and how much. */
export interface LookOptions extends MapOptions, LookAmount {
  /** Maps of 0 and 1 per high-res scale [B, Y * X] with their number of ones: selected as they are, in one look. */
  readonly selection?: readonly SelectionMap[];
  /** Outputs of which blocks to return: true = all, n = the last n; default none. */
  readonly hiddenStates?: boolean | number;
}

/** What `VisionModel.forward` returns. */
export interface VisionOutput {
  /** [B, N + K, C], low-res tokens, then the selected tokens of each scale in raster order; not normalised. */
  readonly lastHiddenState: Tensor<'f32'>;
  /** Outputs of the last blocks, as many as were asked for, in the same order; the last is `lastHiddenState`. */
  readonly hiddenStates: Tensor<'f32'>[];
  /** The patches taken so far per high-res scale, [B, Y * X] of 0 and 1; zeros after zero looks. */
  readonly selectionMaps: Tensor<'f32'>[];
  /** Number of patches taken per high-res scale. */
  readonly selectionCounts: number[];
  /** Saliency by which patches were selected. */
  readonly maps: Maps;
  /** The low-res pass, for further looks. */
  readonly lowRes: LowRes;
}
