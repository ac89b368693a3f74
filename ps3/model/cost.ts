// What encoding an image costs, before it is encoded.
import { type Engine, noGrad } from '../../engine/index.ts';
import type { ModelConfig, VisionConfig } from './config/config.ts';
import { PS3 } from './ps3.ts';
import type { LookAmount } from './vision/look_plan.ts';

/** Of one square image. */
export interface EncodingCost {
  /** Patches that the blocks see, those of the low-res pass included. */
  readonly tokens: number;
  /** Floating-point operations, a product and its sum being two. */
  readonly flops: number;
}

/**
 * What PS3 needs for an image of its largest side: low-res pass, selection and looks, counted kernel by kernel without running
 * them.
 */
export function encodingCost(engine: Engine, config: ModelConfig, amount: LookAmount = {}): EncodingCost {
  let tokens = 0;
  const { flops } = engine.plan(() => {
    using model = PS3.allocate(engine, config);
    using scope = engine.scope();
    const { imagePx } = config.image;
    const image = engine.empty([1, imagePx, imagePx, 4], { dtype: 'u8', scope });
    tokens = noGrad(() => model.vision.forward(image, amount)).lastHiddenState.shape[1];
  });
  return { tokens, flops };
}

/**
 * What a plain ViT of the same width and depth needs for every patch of an image at once: 2 N (4 C^2 + 2 C H) + 4 N^2 C for each
 * block, and 2 N 3 P^2 C for the patches, where H is the width of the MLP.
 */
export function plainVitCost(vision: VisionConfig, sidePx: number): EncodingCost {
  const { width, depth, mlpHidden, patchPx } = vision;
  const tokens = Math.floor(sidePx / patchPx) ** 2;
  const block = 2 * tokens * (4 * width ** 2 + 2 * width * mlpHidden) + 4 * tokens ** 2 * width;
  return { tokens, flops: depth * block + 6 * tokens * patchPx ** 2 * width };
}
