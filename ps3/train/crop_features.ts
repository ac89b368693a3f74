// What the towers alone make of crops of one object, in both stages.
import { concat, l2Normalize, type Tensor } from '../../engine/index.ts';
import type { PS3 } from '../model/ps3.ts';

/** Crops as the towers take them: squashed to the low-res scale, or at the resolution of the two finest scales. */
export interface ShownCrops {
  /** [B, s, s, 4] u8: s = the low-res scale, or that of the patches at `places`. */
  readonly image: Tensor;
  /** u32 [B, k] into the finest grid; undefined: the crops are low-res images. */
  readonly places?: Tensor;
  /** [C, t, t, 4] u8, shown at the scale before the finest. */
  readonly coarse?: Tensor;
  /** u32 [C, k] into its grid. */
  readonly coarsePlaces?: Tensor;
}

/** Pooled features of crops, normalised, [B + C, E]. */
export function cropFeatures(model: PS3, { image, places, coarse, coarsePlaces }: ShownCrops): Tensor<'f32'> {
  const { vision } = model;
  if (!places) {
    const { hidden, qkv } = vision.lowRes(image);
    for (const packed of qkv) packed.dispose();
    return l2Normalize(vision.pool(hidden[hidden.length - 1]));
  }
  const finest = vision.config.gridSides.length - 1;
  const tokens = [vision.encodeCrops(image, finest, places)];
  if (coarse && coarsePlaces) tokens.push(vision.encodeCrops(coarse, finest - 1, coarsePlaces));
  return l2Normalize(vision.pool(concat(tokens, { axis: 0 })));
}
