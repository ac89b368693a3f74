import source from '../../shaders/reduce.wgsl' with { type: 'text' };
import { expect } from '../gpu/errors.ts';
import { kernel } from '../gpu/kernel.ts';
import { output, run } from '../tensor/dispatch.ts';
import { show, size } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { type ReduceOptions, reductionOf, vectorTypes } from './reduce.ts';
import { vectorsOf } from './rows.ts';

const argMaxKernel = kernel(source, 'arg_max');

/**
 * Where along an axis the largest element stands; NaN is larger than any number. No gradient.
 *
 * @param x     f32, i32 or u32
 * @param last  of several, the last one instead of the first
 * @returns     u32, x's shape without the axis, or with extent 1 there (`keepDims`)
 * @throws ShapeError when the axis does not exist or is empty
 */
export function argMax(
  x: Tensor,
  axis: number,
  { keepDims = false, last = false }: ReduceOptions & { last?: boolean } = {},
): Tensor<'u32'> {
  const { axes, result, count: K } = reductionOf('argMax', x, [axis], keepDims);
  expect(K > 0, 'argMax', 'there must be an element to compare', `x ${show(x.shape)}`);
  const winners = output([x], result, 'u32');
  const I = size(x.shape.slice(axes[0] + 1));
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
