import source from '../../shaders/fill.wgsl' with { type: 'text' };
import { expectDType } from '../gpu/errors.ts';
import { kernel } from '../gpu/kernel.ts';
import { run } from '../tensor/dispatch.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { cellsOf } from './cell.ts';

const forward = kernel(source, 'fill');

/**
 * Sets every element to `value`, in place, and returns the tensor. Not differentiable.
 *
 * @param x  any shape; f32 for a value other than 0
 */
export function fill(x: Tensor, value: number): Tensor {
  if (value === 0) x.gpu.clear(x.range);
  else {
    expectDType('fill', 'x', x, 'f32');
    const { perRow: n, define } = cellsOf(x.size);
    run(forward, { bind: { x }, params: { n, value }, define, groups: Math.ceil(n / 512) });
  }
  return x;
}
