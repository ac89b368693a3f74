// A product with a matrix whose numbers have to be widened first: strip by strip, never as a whole.
import { output } from '../../tensor/dispatch.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { accumulate } from '../broadcasting.ts';
import { stridedPlace } from '../copy.ts';
import { multiply, type ProductOptions } from './product.ts';
import { ALIGNED_ROWS } from './rows.ts';

/** Numbers of a strip in f32, 16 MiB. */
const STRIP_NUMBERS = 2 ** 22;

/** Rows of a strip of a matrix with rows of K. */
export function planStrips(K: number, bindingBytes: number): number {
  const numbers = Math.min(STRIP_NUMBERS, bindingBytes / 4);
  return Math.max(ALIGNED_ROWS, Math.floor(numbers / K / ALIGNED_ROWS) * ALIGNED_ROWS);
}

/**
 * y = gelu(x weight^T + bias) + residual, strip by strip of the rows of weight [N, K], which are columns of y.
 *
 * @param strip  rows [first, first + count) of weight, [count, K]; disposed here
 */
export function multiplyStrips(
  x: Tensor,
  [N, K]: readonly [number, number],
  { bias, residual, ...options }: ProductOptions,
  strip: (first: number, count: number) => Tensor,
): Tensor<'f32'> {
  const step = planStrips(K, x.gpu.limits.maxStorageBufferBindingSize);
  if (N <= step) {
    using weight = strip(0, N);
    return multiply(x, weight, { ...options, bias, residual, transposeB: true });
  }
  const y = output([x, bias, residual], [...x.shape.slice(0, -1), N]);
  const M = y.size / N;
  for (let first = 0; first < N; first += step) {
    const count = Math.min(step, N - first);
    using weight = strip(first, count);
    using part = bias?.view(first, [count]);
    using columns = multiply(x, weight, { ...options, bias: part, transposeB: true });
    stridedPlace('linear', columns, y, [M, count], [N, 1], { start: first });
  }
  if (residual) accumulate(y, residual);
  return y;
}
