// How a training step keeps and multiplies numbers.
import * as v from 'valibot';
import type { ActivationDType } from '../../engine/index.ts';
import { onlyThese, positive } from '../model/config/schema.ts';

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

/** Of the section `precision`. */
export const precisionSchema: v.GenericSchema<unknown, PrecisionSection> = onlyThese({
  activations: v.picklist(['f32', 'f16', 'bf16'], '"f32", "f16" or "bf16"'),
  lossScale: v.nullable(positive),
});
