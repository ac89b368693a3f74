import scalarSource from '../../../shaders/unary/scalar.wgsl' with { type: 'text' };
import source from '../../../shaders/unary/unary.wgsl' with { type: 'text' };
import { expect, expectDType } from '../../gpu/errors.ts';
import { kernel } from '../../gpu/kernel.ts';
import { record } from '../../tensor/autograd.ts';
import { output, runEach } from '../../tensor/dispatch.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { vectorOf } from '../rows.ts';

const forward = kernel(source, 'unary');
const forwardScalar = kernel(scalarSource, 'unary_scalar');
const backwardX = kernel(source, 'unary_dx');
const backwardSine = kernel(scalarSource, 'unary_sine_dx');

/** What the derivative is computed from: the argument, the result, or neither. */
type Keep = 'x' | 'y' | 'nothing';

/** What all four kernels are called with: vectors where four divides n. */
function unaryCall(op: string, n: number, low: number, high: number, vec = vectorOf(n)) {
  return {
    define: { OP: op.toUpperCase(), ...(vec === 4 ? { Vec: 'vec4f', UVec: 'vec4u' } : {}) },
    params: { n: n / vec, low, high },
    flops: n,
  };
}

function unary(op: string, x: Tensor, keep: Keep, low = 0, high = 0): Tensor<'f32'> {
  expectDType(op, 'x', x, 'f32');
  const y = output([x], x.shape);
  const call = unaryCall(op, x.size, low, high);
  runEach(forward, { bind: { x, y }, ...call });
  const { shape } = x;
  return record(op, {
    inputs: [x],
    output: y,
    saved: { z: keep === 'nothing' ? undefined : keep === 'x' ? x : y },
    backward: (dy, { z }) => {
      const dx = output([dy], shape);
      runEach(backwardX, { bind: { z: z ?? dy, dy, dx }, ...call });
      return [dx];
    },
  });
}

/** erf, sin and cos, a number at a time. */
function scalar(op: string, x: Tensor): Tensor<'f32'> {
  expectDType(op, 'x', x, 'f32');
  const y = output([x], x.shape);
  const call = unaryCall(op, x.size, 0, 0, 1);
  runEach(forwardScalar, { bind: { x1: x, y1: y }, ...call });
  return record(op, {
    inputs: [x],
    output: y,
    saved: { x },
    backward: (dy, { x }) => {
      const dx = output([dy], x.shape);
      if (op === 'erf') runEach(backwardX, { bind: { z: x, dy, dx }, ...unaryCall(op, x.size, 0, 0) });
      else runEach(backwardSine, { bind: { x1: x, dy1: dy, dx1: dx }, ...call });
      return [dx];
    },
  });
}

/** -x. */
export function neg(x: Tensor): Tensor<'f32'> {
  return unary('neg', x, 'nothing');
}

/** |x|; its gradient at 0 is 0. */
export function abs(x: Tensor): Tensor<'f32'> {
  return unary('abs', x, 'x');
}

/** e^x. */
export function exp(x: Tensor): Tensor<'f32'> {
  return unary('exp', x, 'y');
}

/** The natural logarithm: -infinity at 0, NaN below. */
export function log(x: Tensor): Tensor<'f32'> {
  return unary('log', x, 'x');
}

/** The square root, NaN for x < 0. */
export function sqrt(x: Tensor): Tensor<'f32'> {
  return unary('sqrt', x, 'y');
}

/** 1 / sqrt(x), for x > 0. */
export function rsqrt(x: Tensor): Tensor<'f32'> {
  return unary('rsqrt', x, 'y');
}

/** x^2. */
export function square(x: Tensor): Tensor<'f32'> {
  return unary('square', x, 'x');
}

/** 1 / x, for x != 0. */
export function reciprocal(x: Tensor): Tensor<'f32'> {
  return unary('reciprocal', x, 'y');
}

/** 1 / (1 + e^-x), without overflow for any x. */
export function sigmoid(x: Tensor): Tensor<'f32'> {
  return unary('sigmoid', x, 'y');
}

/** The hyperbolic tangent. */
export function tanh(x: Tensor): Tensor<'f32'> {
  return unary('tanh', x, 'y');
}

/** max(x, 0); its gradient at 0 is 0. */
export function relu(x: Tensor): Tensor<'f32'> {
  return unary('relu', x, 'y');
}

/** log(1 + e^x), without overflow for any x; -log(sigmoid(x)) is softplus(-x). */
export function softplus(x: Tensor): Tensor<'f32'> {
  return unary('softplus', x, 'x');
}

/** The error function, 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x. */
export function erf(x: Tensor): Tensor<'f32'> {
  return scalar('erf', x);
}

/** The sine of x in radians, for any finite x; NaN for others. */
export function sin(x: Tensor): Tensor<'f32'> {
  return scalar('sin', x);
}

/** The cosine of x in radians, for any finite x; NaN for others. */
export function cos(x: Tensor): Tensor<'f32'> {
  return scalar('cos', x);
}

/** The largest whole number that is not above x; its gradient is 0. */
export function floor(x: Tensor): Tensor<'f32'> {
  return unary('floor', x, 'nothing');
}

/** The smallest whole number that is not below x; its gradient is 0. */
export function ceil(x: Tensor): Tensor<'f32'> {
  return unary('ceil', x, 'nothing');
}

/** The nearest whole number, halves to the even one; its gradient is 0. */
export function round(x: Tensor): Tensor<'f32'> {
  return unary('round', x, 'nothing');
}

/** -1, 0 or 1, and NaN for NaN as in NumPy (PyTorch gives 0); its gradient is 0. */
export function sign(x: Tensor): Tensor<'f32'> {
  return unary('sign', x, 'nothing');
}

/** mul x + add, with two numbers. */
export function affine(x: Tensor, mul: number, add: number): Tensor<'f32'> {
  return unary('affine', x, 'nothing', mul, add);
}

/**
 * x, but at least `low` and at most `high`; the gradient is 1 in [low, high], ends included, and 0 outside.
 *
 * @throws ShapeError when low > high
 */
export function clamp(x: Tensor, low: number, high: number): Tensor<'f32'> {
  const areNumbers = typeof low === 'number' && typeof high === 'number';
  expect(
    areNumbers && low <= high,
    'clamp',
    'low and high must be numbers, low not above',
    `${low} and ${high}`,
  );
  return unary('clamp', x, 'x', low, high);
}
