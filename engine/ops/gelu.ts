import source from '../../shaders/gelu.wgsl' with { type: 'text' };
import { expect, expectDType, expectKeys } from '../gpu/errors.ts';
import { kernel } from '../gpu/kernel.ts';
import { record } from '../tensor/autograd.ts';
import { output, runEach } from '../tensor/dispatch.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { vectorOf } from './rows.ts';

const forward = kernel(source, 'gelu');
const backwardX = kernel(source, 'gelu_dx');

/** 'erf' is exact; 'tanh' is PyTorch's approximate='tanh', "gelu_pytorch_tanh". */
export type Gelu = 'erf' | 'tanh';

/** What both kernels are called with: vectors where four divides the number of elements. */
function geluCall({ size }: Tensor, form: Gelu) {
  const vec = vectorOf(size);
  return {
    define: { Vec: vec === 4 ? 'vec4f' : 'f32', TANH: form === 'tanh' },
    params: { n: size / vec },
  };
}

/**
 * Gaussian error linear unit: y = x/2 (1 + erf(x / sqrt 2)), or its approximation by tanh.
 *
 * @param x             f32, any shape
 * @param options.form  'erf', PyTorch's default, or 'tanh'
 * @throws ShapeError for another form
 * Source: Hendrycks & Gimpel 2016, arXiv:1606.08415.
 */
export function gelu(x: Tensor, options: { readonly form?: Gelu } = {}): Tensor<'f32'> {
  expectDType('gelu', 'x', x, 'f32');
  expectKeys('gelu', options, { form: true });
  const { form = 'erf' } = options;
  expect(form === 'erf' || form === 'tanh', 'gelu', "the form must be 'erf' or 'tanh'", `'${form}'`);
  const y = output([x], x.shape);
  runEach(forward, { bind: { x, y }, ...geluCall(x, form), flops: 20 * x.size });
  return record('gelu', {
    inputs: [x],
    output: y,
    saved: { x },
    activations: ['x'],
    backward: (dy, { x }) => [geluGradient(dy, x, form)],
  });
}

/** dy gelu'(x). Not recorded. */
export function geluGradient(dy: Tensor, x: Tensor, form: Gelu): Tensor<'f32'> {
  const dx = output([dy], dy.shape);
  runEach(backwardX, { bind: { x, dy, dx }, ...geluCall(x, form), flops: 30 * x.size });
  return dx;
}
