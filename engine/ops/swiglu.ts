import source from '../../shaders/swiglu.wgsl' with { type: 'text' };
import { expect, expectDType } from '../gpu/errors.ts';
import { kernel } from '../gpu/kernel.ts';
import { record } from '../tensor/autograd.ts';
import { output, runEach } from '../tensor/dispatch.ts';
import { show } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { vectorOf } from './rows.ts';

const forward = kernel(source, 'swiglu');
const backwardX = kernel(source, 'swiglu_dx');

/**
 * The gated unit of a transformer's MLP: y = silu(gate) up with silu(g) = g / (1 + e^-g), the two being halves of x,
 * which one `linear` made.
 *
 * @param x  [..., 2F] f32, gate first
 * @returns  [..., F]
 * @throws ShapeError when the last extent is odd
 * Source: Shazeer 2020, arXiv:2002.05202.
 */
export function swiglu(x: Tensor): Tensor<'f32'> {
  expectDType('swiglu', 'x', x, 'f32');
  const width = x.shape.at(-1) ?? 0;
  expect(
    x.shape.length > 0 && width % 2 === 0,
    'swiglu',
    'the last extent of x must be even, gate and up side by side',
    show(x.shape),
  );
  const F = width / 2;
  const y = output([x], [...x.shape.slice(0, -1), F]);
  const vec = vectorOf(F);
  const call = { define: { Vec: vec === 4 ? 'vec4f' : 'f32' }, params: { n: y.size / vec, F: F / vec } };
  runEach(forward, { bind: { x, y }, ...call, flops: 5 * y.size });
  return record('swiglu', {
    inputs: [x],
    output: y,
    saved: { x },
    activations: ['x'],
    backward: (dy, { x }) => {
      const dx = output([dy], x.shape);
      runEach(backwardX, { bind: { x, dy, dx }, ...call, flops: 10 * dy.size });
      return [dx];
    },
  });
}
