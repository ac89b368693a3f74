import source from '../../../shaders/attention/key_mask.wgsl' with { type: 'text' };
import { kernel } from '../../gpu/kernel.ts';
import { output, run } from '../../tensor/dispatch.ts';
import type { Tensor } from '../../tensor/tensor.ts';

const maskKernel = kernel(source, 'attention_key_mask');

/**
 * The bias that a mask [B, M] adds to scores: 0 where it is not zero, else very low; the caller disposes it.
 */
export function keyBias(keyMask: Tensor): Tensor {
  const [batch, keys] = keyMask.shape;
  const bias = output([keyMask], keyMask.shape);
  run(maskKernel, { bind: { mask: keyMask, bias }, params: { keys, batch }, groups: batch });
  return bias;
}
