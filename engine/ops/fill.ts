import source from '../../shaders/fill.wgsl' with { type: 'text' };
import { expect, expectDType, expectKeys, expectTensor } from '../gpu/errors.ts';
import { kernel } from '../gpu/kernel.ts';
import { type Like, output, outputLike, runEach } from '../tensor/dispatch.ts';
import { bitsOf } from '../tensor/numbers.ts';
import type { DType, Tensor } from '../tensor/tensor.ts';
import { cast } from './cast.ts';
import { vectorOf } from './rows.ts';

const forward = kernel(source, 'fill');
const countUp = kernel(source, 'arange');

/**
 * Sets every element to `value`, in place, and returns the tensor. Not differentiable.
 *
 * @param x  any shape; f32, i32 or u32 for a value other than 0, which may be infinite
 * @throws ShapeError for a value that an integer dtype does not have
 */
export function fill<D extends DType>(x: Tensor<D>, value: number): Tensor<D> {
  expectTensor('fill', 'x', x);
  if (value === 0) x.gpu.clear(x.range);
  else {
    expectDType('fill', 'x', x, 'f32', 'i32', 'u32');
    const bits = bitsOf('fill', value, x.dtype);
    const vec = vectorOf(x.size);
    const n = x.size / vec;
    runEach(forward, {
      bind: { x },
      params: { n, bits },
      define: { Vec: vec === 4 ? 'vec4u' : 'u32' },
    });
  }
  return x;
}

/** A new tensor of zeros with x's shape and dtype, where x lives. */
export function zerosLike<D extends DType>(x: Tensor<D>): Tensor<D> {
  return fullLike(x, 0);
}

/** A new tensor of ones with x's shape and dtype, where x lives. */
export function onesLike<D extends DType>(x: Tensor<D>): Tensor<D> {
  return fullLike(x, 1);
}

/**
 * A new tensor of one value with x's shape and dtype, where x lives.
 *
 * @param x  any shape; f32, i32 or u32 for a value other than 0
 * @throws ShapeError for a value that an integer dtype does not have
 */
export function fullLike<D extends DType>(x: Tensor<D>, value: number): Tensor<D> {
  expectTensor('fullLike', 'x', x);
  bitsOf('fullLike', value, x.dtype);
  return fill(output([x], x.shape, x.dtype), value);
}

/**
 * The numbers 0, 1, ... count - 1.
 *
 * @param like   a tensor, whose device and scope the result gets, or the engine
 * @param count  a whole number from 0; f32 holds whole numbers up to 2^24
 * @returns      [count], by default u32
 */
export function arange<D extends 'f32' | 'i32' | 'u32' = 'u32'>(
  like: Like,
  count: number,
  options: { readonly dtype?: D } = {},
): Tensor<D> {
  expectKeys('arange', options, { dtype: true });
  const { dtype = 'u32' as D } = options;
  expect(
    Number.isSafeInteger(count) && count >= 0,
    'arange',
    'count must be a whole number from 0',
    `${count}`,
  );
  using index = outputLike(like, [count], 'u32');
  runEach(countUp, { bind: { index }, params: { n: count } });
  return cast(index, dtype);
}
