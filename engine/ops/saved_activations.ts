// Saved activations in half precision: what PyTorch's saved_tensors_hooks do, with casts as their pack and unpack.
import { DTypeError } from '../gpu/errors.ts';
import { withPrecision } from '../tensor/autograd.ts';
import type { Packing } from '../tensor/saved_tensor.ts';
import { cast } from './cast.ts';

/** How activations may be kept for backward. */
export type ActivationDType = 'f32' | 'f16' | 'bf16';

const packingIn = (dtype: 'f16' | 'bf16'): Packing => ({
  pack: (tensor) => cast(tensor, dtype),
  unpack: (packed) => cast(packed, 'f32'),
});

const PACKINGS: Readonly<Record<ActivationDType, Packing | undefined>> = {
  f32: undefined,
  f16: packingIn('f16'),
  bf16: packingIn('bf16'),
};

/**
 * Runs `fn`; large activations that its ops keep for backward are stored in `dtype` as soon as nothing else refers to them.
 *
 * Results stay f32 and the same; gradients change by the rounding of the factors that they are made of: 2^-12 of them in f16,
 * which saturates at 65504, 2^-9 in bf16. Parameters, integers and statistics are kept as they are. Needs no feature of the adapter.
 *
 * @param dtype  'f32' keeps everything as it is: the same bits as without the call
 * @throws UseError when `fn` returns a promise; DTypeError for another dtype
 */
export function withSavedActivations<T>(dtype: ActivationDType, fn: () => T): T {
  if (!Object.hasOwn(PACKINGS, dtype))
    throw new DTypeError(`withSavedActivations: the dtype must be f32, f16 or bf16, got ${dtype}.`);
  return withPrecision('withSavedActivations', { packing: PACKINGS[dtype] }, fn);
}
