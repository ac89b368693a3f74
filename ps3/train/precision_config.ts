// How a training step keeps and multiplies numbers.
import type { ActivationDType } from '../../engine/index.ts';

/** How numbers are kept and multiplied; weights, moments and sums are f32 always. */
export interface PrecisionSection {
  /** How activations are stored between forward and backward. */
  readonly activations: ActivationDType;
  /**
   * What the loss is multiplied by at first, so that small gradients survive f16, 65536 say: halved when gradients are not finite,
   * doubled after 2000 steps in which they were. null: never.
   */
  readonly lossScale: number | null;
}
