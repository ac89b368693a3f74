// How a training step keeps and multiplies numbers.
import type { ActivationDType, ProductDType } from '../../engine/index.ts';

/** How numbers are kept and multiplied; weights, moments and sums are f32 always, and so are attention's kernels and the contrastive loss. */
export interface PrecisionSection {
  /** How activations are stored between forward and backward. */
  readonly activations: ActivationDType;
  /** As what matrix products, forward and backward, read their operands; f16 needs an adapter with matrix units (tier 3). */
  readonly products: ProductDType;
  /**
   * What the loss is multiplied by at first, so that small gradients survive f16, 65536 say: halved when gradients are not finite,
   * doubled after 2000 steps in which they were. null: never.
   */
  readonly lossScale: number | null;
}
