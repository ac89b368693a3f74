import source from '../../shaders/softmax.wgsl' with { type: 'text' };
import { kernel } from '../gpu/kernel.ts';
import { record } from '../tensor/autograd.ts';
import { output, run } from '../tensor/dispatch.ts';
import type { AxisOptions } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { overLastAxis } from './last_axis.ts';
import { planRows, vectorsOf } from './rows.ts';

const forward = kernel(source, 'softmax');
const backwardX = kernel(source, 'softmax_dx');
const forwardHeld = kernel(source, 'softmax_held');
const backwardXHeld = kernel(source, 'softmax_dx_held');

/**
 * Softmax over one axis, by default the last: y[c] = e^x[c] / sum_c e^x[c], without overflow for any finite x.
 *
 * @param x  f32; another axis than the last is moved there and back, by two copies
 * @returns  the shape of x; sums over the axis are 1
 * @throws ShapeError when x does not have the axis
 */
export function softmax(x: Tensor, options: AxisOptions = {}): Tensor<'f32'> {
  return overLastAxis('softmax', x, options, (x) => rows('softmax', x, false));
}

/**
 * The logarithm of softmax over one axis, by default the last: y[c] = x[c] - log sum_c e^x[c], accurate where softmax
 * underflows.
 *
 * @param x  f32; another axis than the last is moved there and back, by two copies
 * @returns  the shape of x
 * @throws ShapeError when x does not have the axis
 */
export function logSoftmax(x: Tensor, options: AxisOptions = {}): Tensor<'f32'> {
  return overLastAxis('logSoftmax', x, options, (x) => rows('logSoftmax', x, true));
}

function rows(op: string, x: Tensor, LOG: boolean): Tensor<'f32'> {
  const C = x.shape[x.shape.length - 1];
  const R = x.size / C || 0;
  const y = output([x], x.shape);
  const vectors = vectorsOf(C);
  const { held, define, groups } = planRows(x.gpu.target, R, vectors);
  const call = held
    ? { params: { R, C: vectors.perRow }, define: { ...vectors.define, ...define, LOG }, groups }
    : { params: { R, C }, define: { ...define, LOG }, groups };
  const bind = held ? { x_vecs: x, y_vecs: y } : { x, y };
  run(held ? forwardHeld : forward, { ...call, bind, flops: 5 * R * C });
  return record(op, {
    inputs: [x],
    output: y,
    saved: { y },
    backward: (dy, { y }) => {
      const dx = output([dy], y.shape);
      const bind = held ? { result_vecs: y, dy_vecs: dy, dx_vecs: dx } : { result: y, dy, dx };
      run(held ? backwardXHeld : backwardX, { ...call, bind, flops: 4 * R * C });
      return [dx];
    },
  });
}
