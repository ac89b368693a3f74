// What PS3 saw in images, as users get it.
import { permute, type Scope, type Tensor, tidy } from '../../engine/index.ts';
import type { Grid } from './vision/scales.ts';
import { featureMaps } from './vision/token_maps.ts';
import type { VisionOutput } from './vision/vision_types.ts';

/** Tokens and maps of a batch of images. Lives where the images live; `dispose()` or `using` frees it earlier. */
export class Encoding {
  /** [B, N + K, C], N low-res tokens, then the K selected, scale after scale in raster order; not normalised. */
  readonly lastHiddenState: Tensor<'f32'>;
  /** Outputs of the last blocks, as many as were asked for, in the same order; the last is `lastHiddenState`. */
  readonly hiddenStates: readonly Tensor<'f32'>[];
  /** Per high-res scale [B, Y, X]: 1 where a patch was selected, else 0. */
  readonly selectionMaps: readonly Tensor<'f32'>[];
  /** Per high-res scale [B, Y, X]: by what patches were selected, after ground truth and smoothing. */
  readonly selectionProbs: readonly Tensor<'f32'>[];
  /** Per high-res scale [B, Y, X]: saliency by what stands out. */
  readonly bottomUp: readonly Tensor<'f32'>[];
  /** Per high-res scale [B, Y, X]: saliency by the prompt, if there was one. */
  readonly topDown: readonly Tensor<'f32'>[] | undefined;
  /** Patches selected per high-res scale; their sum is K. */
  readonly counts: readonly number[];
  /** Patches of each scale, low-res first. */
  readonly grids: readonly Grid[];

  /** @param scope  where its tensors move to */
  constructor(output: VisionOutput, grids: readonly Grid[], scope: Scope | undefined) {
    const { lastHiddenState, hiddenStates, maps } = output;
    const onGrids = (tensors: readonly Tensor<'f32'>[]): Tensor<'f32'>[] =>
      mapsOnGrids(tensors, grids, scope);
    this.lastHiddenState = lastHiddenState.moveTo(scope);
    this.hiddenStates = hiddenStates.map((state) => state.moveTo(scope));
    this.selectionMaps = onGrids(output.selectionMaps);
    this.selectionProbs = onGrids(maps.probs);
    this.bottomUp = onGrids(maps.bottomUp);
    this.topDown = maps.topDown && onGrids(maps.topDown);
    this.counts = output.selectionCounts;
    this.grids = grids;
  }

  /** Tokens back on their grids, [B, C, Y, X] per scale, low-res first; zeros where nothing was selected. */
  featureMaps(): Tensor<'f32'>[] {
    const { counts, grids } = this;
    return [
      ...tidy([this.lastHiddenState, ...this.selectionMaps], (tokens, ...maps) => {
        const [B, , C] = tokens.shape;
        const flat = maps.map((map) => map.reshape([B, -1]));
        return featureMaps(tokens, flat, counts, grids[0]).map((map, i) =>
          permute(map.reshape([B, ...grids[i], C]), [0, 3, 1, 2]),
        );
      }),
    ];
  }

  /** Frees the tensors. */
  dispose(): void {
    const { hiddenStates, selectionMaps, selectionProbs, bottomUp, topDown = [] } = this;
    for (const tensor of [this.lastHiddenState, ...hiddenStates]) tensor.dispose();
    for (const tensor of [selectionMaps, selectionProbs, bottomUp, topDown].flat()) tensor.dispose();
  }

  /** As `dispose`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Maps [B, Y * X] per high-res scale as [B, Y, X], in a scope. */
export function mapsOnGrids(
  maps: readonly Tensor<'f32'>[],
  grids: readonly Grid[],
  scope: Scope | undefined,
): Tensor<'f32'>[] {
  return maps.map((map, i) => map.reshape([map.shape[0], ...grids[i + 1]]).moveTo(scope));
}
