// What encoding an image costs, before it is encoded.
import { type Engine, noGrad } from '../../engine/index.ts';
import type { VisionConfig } from './config/config.ts';
import type { ModelCore } from './core.ts';
import type { LookAmount } from './vision/look_plan.ts';

/** Of one square image. */
export interface EncodingCost {
  /** Patches that the blocks see, those of the low-res pass included. */
  readonly tokens: number;
  /** Floating-point operations, a product and its sum being two. */
  readonly flops: number;
}

/** Sizes of a vision tower. */
export type TowerSizes = Pick<VisionConfig, 'width' | 'depth' | 'mlpHidden' | 'patchPx'>;

/** Encodes one image of the largest side, of no content: for going through the work without running it. @returns  its tokens */
export function encodeBlank(engine: Engine, model: ModelCore, amount: LookAmount = {}): number {
  using scope = engine.scope();
  const { imagePx } = model.config.image;
  const image = engine.empty([1, imagePx, imagePx, 4], { dtype: 'u8', scope });
  return noGrad(() => model.vision.forward(image, amount)).lastHiddenState.shape[1];
}

/**
 * What PS3 needs for an image of its largest side: low-res pass, selection and looks, counted kernel by kernel without running
 * them.
 */
export function encodingCost(engine: Engine, model: ModelCore, amount: LookAmount = {}): EncodingCost {
  let tokens = 0;
  const { flops } = engine.plan(() => {
    tokens = encodeBlank(engine, model, amount);
    return undefined;
  });
  return { tokens, flops };
}

/**
 * What a tower needs for N patches that attend to M tokens, by the formula
 *
 *   2 N 3 P^2 C  +  L (8 N C^2 + 4 N C H + 4 N M C)
 *
 * for L blocks of width C, an MLP of width H, and patches of P pixels.
 */
export function towerFlops(sizes: TowerSizes, N: number, M: number = N): number {
  const { width: C, depth: L, mlpHidden: H, patchPx: P } = sizes;
  return 6 * N * P ** 2 * C + L * (8 * N * C ** 2 + 4 * N * C * H + 4 * N * M * C);
}

/** What a plain ViT of the same sizes needs for every patch of an image at once, by `towerFlops`. */
export function plainVitCost(sizes: TowerSizes, sidePx: number): EncodingCost {
  const tokens = Math.floor(sidePx / sizes.patchPx) ** 2;
  return { tokens, flops: towerFlops(sizes, tokens) };
}
