// Multiplies and keeps numbers as a configuration's `precision` says.
import { type Engine, withProducts, withSavedActivations } from '../../engine/index.ts';
import { ConfigError } from '../model/config/config.ts';
import type { PrecisionSection } from './precision_config.ts';

/** Runs a forward pass, whose backward pass then computes alike. */
export function withPrecision<T>({ activations, products }: PrecisionSection, fn: () => T): T {
  return withProducts(products, () => withSavedActivations(activations, fn));
}

/** @throws ConfigError for products in f16 on an engine without matrix units */
export function expectProducts({ target, tier, adapterName }: Engine, { products }: PrecisionSection): void {
  if (products === 'f16' && !target.matrixUnit)
    throw new ConfigError(
      `train: precision.products=f16 needs an adapter with matrix units for f16 that sum in f32 (tier 3, an experiment of Dawn), got tier ${tier} on ${adapterName}. Set precision.products=f32.`,
    );
}
