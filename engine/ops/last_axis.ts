// Ops that work on rows, over another axis than the last.
import { expect, expectDType } from '../gpu/errors.ts';
import { tidy } from '../tensor/dispatch.ts';
import { type AxisOptions, optionalAxis, show } from '../tensor/shape.ts';
import type { DType, Tensor } from '../tensor/tensor.ts';
import { permute } from './copy.ts';

/**
 * `rows` of x over the axis that the options name, by default the last. Another one is moved there and back.
 *
 * @param x       of one of `dtypes`, f32 alone by default
 * @param rows    keeps the shape of its operand
 * @throws ShapeError when x does not have the axis
 */
export function overLastAxis<D extends DType = 'f32'>(
  op: string,
  x: Tensor,
  options: AxisOptions,
  rows: (x: Tensor) => Tensor<D>,
  dtypes: readonly DType[] = ['f32'],
): Tensor<D> {
  expectDType(op, 'x', x, ...dtypes);
  const rank = x.shape.length;
  expect(rank > 0, op, 'x must have an axis', `x ${show(x.shape)}`);
  const axis = optionalAxis(op, options, -1, rank);
  if (axis === rank - 1) return rows(x);
  // The axis and the last one change places, which is its own inverse.
  const order = x.shape.map((_extent, d) => (d === axis ? rank - 1 : d === rank - 1 ? axis : d));
  return tidy([x], (x) => permute(rows(permute(x, order)), order));
}
