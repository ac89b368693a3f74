import source from '../../shaders/reduce.wgsl' with { type: 'text' };
import { expect, expectDType, expectKeys } from '../gpu/errors.ts';
import { kernel } from '../gpu/kernel.ts';
import { output, run } from '../tensor/dispatch.ts';
import { show, size } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { reductionOf, vectorTypes } from './reduce.ts';
import { vectorsOf } from './rows.ts';

const argMaxKernel = kernel(source, 'arg_max');

/** Along what `argMax` searches, and which of several it takes. */
export interface ArgMaxOptions {
  /** Negative ones count from the end. Default: all elements, in row-major order. */
  readonly axis?: number;
  /** Keeps the axis with extent 1. Default false. */
  readonly keepDims?: boolean;
  /** Of several, the last one instead of the first. Default false. */
  readonly last?: boolean;
}

/**
 * The index of the largest element along an axis; NaN is larger than any number. No gradient.
 *
 * @param x  f32, i32 or u32
 * @returns  u32, x's shape without the axis, or with extent 1 there (`keepDims`)
 * @throws ShapeError when the axis does not exist or is empty
 */
export function argMax(x: Tensor, options: ArgMaxOptions = {}): Tensor<'u32'> {
  expectDType('argMax', 'x', x, 'f32', 'i32', 'u32');
  expectKeys('argMax', options, { axis: true, keepDims: true, last: true });
  const { axis, keepDims, last = false } = options;
  const { axes, result, count: K } = reductionOf('argMax', x, { axis, keepDims });
  expect(K > 0, 'argMax', 'there must be an element to compare', `x ${show(x.shape)}`);
  const winners = output([x], result, 'u32');
  // All axes together are one axis, the last.
  const I = axis === undefined ? 1 : size(x.shape.slice(axes[0] + 1));
  const { perRow, vec } = vectorsOf(I);
  const groups = winners.size / vec;
  run(argMaxKernel, {
    bind: { x, winners },
    define: { ...vectorTypes(x, vec), LAST: last },
    params: { groups, K, I: perRow },
    groups: Math.ceil(groups / argMaxKernel.constant('COLUMN_WG')),
  });
  return winners;
}
