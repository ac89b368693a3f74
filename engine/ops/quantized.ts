// Tells weights of integers from tensors, apart from the class: its kernels are in the bundles of those who make one.
import type { Tensor } from '../tensor/tensor.ts';
import type { QuantizedMatrix } from './quantize.ts';

/** Whether a weight or a table is one of integers. */
export const isQuantized = (matrix: Tensor | QuantizedMatrix): matrix is QuantizedMatrix =>
  typeof matrix === 'object' && matrix !== null && 'bits' in matrix;
