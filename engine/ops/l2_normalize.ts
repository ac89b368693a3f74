import source from '../../shaders/l2_normalize.wgsl' with { type: 'text' };
import { expect, expectDType } from '../gpu/errors.ts';
import { kernel } from '../gpu/kernel.ts';
import { record } from '../tensor/autograd.ts';
import { output, run } from '../tensor/dispatch.ts';
import { show } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { planRows, vectorsOf } from './rows.ts';

const forward = kernel(source, 'l2_normalize');
const backwardX = kernel(source, 'l2_normalize_dx');
const forwardHeld = kernel(source, 'l2_normalize_held');
const backwardXHeld = kernel(source, 'l2_normalize_dx_held');

/**
 * Scales the rows of the last axis to unit length: y = x / max(|x|, eps).
 *
 * @param x    [..., C] f32
 * @param eps  rows shorter than this are divided by it, so that a row of zeros stays zero
 * @returns    the shape of x
 * @throws ShapeError when x has no axis
 * Source: torch.nn.functional.normalize.
 */
export function l2Normalize(x: Tensor, eps = 1e-12): Tensor<'f32'> {
  expectDType('l2Normalize', 'x', x, 'f32');
  expect(x.shape.length > 0, 'l2Normalize', 'x must have at least one axis', show(x.shape), 'Reshape it.');
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
