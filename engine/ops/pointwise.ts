import source from '../../shaders/pointwise.wgsl' with { type: 'text' };
import { kernel } from '../gpu/kernel.ts';
import { record } from '../tensor/autograd.ts';
import { output, run } from '../tensor/dispatch.ts';
import type { Tensor } from '../tensor/tensor.ts';

const addKernel = kernel(source, 'add');
const accumulateKernel = kernel(source, 'accumulate');

/** a + b, same shapes. */
export function add(a: Tensor, b: Tensor): Tensor {
  const y = output([a, b], a.shape);
  run(addKernel, { bind: { a, b, y }, params: { n: a.size }, groups: Math.ceil(a.size / 64) });
  return record('add', { inputs: [a, b], output: y, saved: {}, backward: (dy) => [dy, dy] });
}

/** total += x, in place. */
export function accumulate(total: Tensor, x: Tensor): void {
  run(accumulateKernel, { bind: { a: x, y: total }, params: { n: x.size }, groups: Math.ceil(x.size / 64) });
}
