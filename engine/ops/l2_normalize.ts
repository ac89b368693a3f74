import source from '../../shaders/l2_normalize.wgsl' with { type: 'text' };
import { expectKeys } from '../gpu/errors.ts';
import { kernel } from '../gpu/kernel.ts';
import { record } from '../tensor/autograd.ts';
import { output, run } from '../tensor/dispatch.ts';
import type { AxisOptions } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { overLastAxis } from './last_axis.ts';
import { planRows, vectorsOf } from './rows.ts';

const forward = kernel(source, 'l2_normalize');
const backwardX = kernel(source, 'l2_normalize_dx');
const forwardHeld = kernel(source, 'l2_normalize_held');
const backwardXHeld = kernel(source, 'l2_normalize_dx_held');

/** Along what `l2Normalize` measures, and how short is too short. */
export interface L2NormalizeOptions extends AxisOptions {
  /** What is shorter is divided by this, so that zeros stay zeros. Default 1e-12. */
  readonly eps?: number;
}

/**
 * Scales x to unit length along one axis, by default the last: y = x / max(|x|, eps).
 *
 * Squares are added in f32: what is longer than 1.8e19 becomes 0 as in PyTorch, and without an eps lengths below 1e-17 lose accuracy.
 *
 * @param x  f32; another axis than the last is moved there and back, by two copies
 * @returns  the shape of x
 * @throws ShapeError when x does not have the axis
 * Source: torch.nn.functional.normalize.
 */
export function l2Normalize(x: Tensor, options: L2NormalizeOptions = {}): Tensor<'f32'> {
  expectKeys('l2Normalize', options, { axis: true, eps: true });
  const { axis, eps = 1e-12 } = options;
  return overLastAxis('l2Normalize', x, { axis }, (x) => normalizeRows(x, eps));
}

function normalizeRows(x: Tensor, eps: number): Tensor<'f32'> {
  const columns = x.shape[x.shape.length - 1];
  const R = x.size / columns || 0;
  const vectors = vectorsOf(columns);
  const { held, define, groups } = planRows(x.gpu.target, R, vectors);
  const call = { params: { R, C: vectors.perRow, eps }, define: { ...vectors.define, ...define }, groups };
  const y = output([x], x.shape);
  using lengths = output([x], [R]);
  run(held ? forwardHeld : forward, { ...call, bind: { x, y, lengths }, flops: 3 * x.size });
  return record('l2Normalize', {
    inputs: [x],
    output: y,
    saved: { y, lengths },
    backward: (dy, saved) => {
      const dx = output([dy], x.shape);
      const bind = { unit: saved.y, dy, row_lengths: saved.lengths, dx };
      run(held ? backwardXHeld : backwardX, { ...call, bind, flops: 5 * x.size });
      return [dx];
    },
  });
}
