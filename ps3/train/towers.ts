// The first stage: plain image and text towers on crops of one object, contrasted at low resolution. It stands in for
// the SigLIP towers that PS3 starts from. Zhai et al. 2023, arXiv:2303.15343.
import { l2Normalize, sigmoidContrastive, type Tensor } from '../../engine/index.ts';
import type { PS3 } from '../model/ps3.ts';

export interface CropBatch {
  /** [B, s, s, 4] u8, s = the low-res scale. */
  readonly image: Tensor;
  /** [B, L]. */
  readonly ids: Tensor;
  /** u32 [B]: equal captions are positives of each other. */
  readonly classes: Tensor;
}

/** The sigmoid loss between pooled low-res features and captions, [1]. */
export function towersLoss(model: PS3, batch: CropBatch): Tensor {
  const { hidden } = model.vision.lowRes(batch.image);
  const image = l2Normalize(model.vision.pool(hidden[hidden.length - 1]));
  const { features } = model.encodeText(batch.ids);
  return sigmoidContrastive(image, features, model.logitScale, model.logitBias, { positives: batch.classes });
}
