import source from '../../shaders/rms_norm.wgsl' with { type: 'text' };
import { expect, expectDType, expectKeys } from '../gpu/errors.ts';
import { kernel } from '../gpu/kernel.ts';
import { record } from '../tensor/autograd.ts';
import { output, run } from '../tensor/dispatch.ts';
import { sameShape, show } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { columnSum } from './column_sum.ts';
import { planDparams } from './layer_norm.ts';
import { planRows, vectorsOf } from './rows.ts';

const forward = kernel(source, 'rms_norm');
const forwardHeld = kernel(source, 'rms_norm_held');
const backwardX = kernel(source, 'rms_norm_dx');
const backwardXHeld = kernel(source, 'rms_norm_dx_held');
const backwardGamma = kernel(source, 'rms_norm_dgamma');

/**
 * Root mean square normalisation over the last axis: y = x / sqrt(mean(x^2) + eps) * gamma.
 *
 * The squares of a row are added in f32: from a root mean square of 1.8e19 / sqrt(C) on they overflow, and y is 0.
 *
 * @param x      [..., C] f32
 * @param gamma  [C]
 * @param options.eps  default 1e-6
 * @returns      the shape of x
 * @throws ShapeError when gamma does not have x's last extent
 * Source: Zhang & Sennrich 2019, arXiv:1910.07467.
 */
export function rmsNorm(x: Tensor, gamma: Tensor, options: { readonly eps?: number } = {}): Tensor<'f32'> {
  expectDType('rmsNorm', 'x', x, 'f32');
  expectGamma('rmsNorm', x, gamma);
  expectKeys('rmsNorm', options, { eps: true });
  const { eps = 1e-6 } = options;
  const y = output([x, gamma], x.shape);
  using rstd = normalise({ x, gamma, y }, eps);
  return record('rmsNorm', {
    inputs: [x, gamma],
    output: y,
    saved: { h: x, gamma, rstd },
    activations: ['h'],
    backward: (dy, saved, needs) => [
      needs[0] ? rmsNormDx(dy, saved, eps) : undefined,
      needs[1] ? rmsNormDgamma(dy, saved, eps) : undefined,
    ],
  });
}

/**
 * Adds a residual and normalises the sum in one kernel: sum = x + residual, y = rmsNorm(sum, gamma).
 *
 * @param x         [..., C] f32
 * @param residual  the shape of x
 * @param gamma     [C]
 * @param options.eps  default 1e-6
 * @returns         both in the shape of x
 * @throws ShapeError when residual or gamma do not fit x
 */
export function addRmsNorm(
  x: Tensor,
  residual: Tensor,
  gamma: Tensor,
  options: { readonly eps?: number } = {},
): { sum: Tensor<'f32'>; y: Tensor<'f32'> } {
  expectDType('addRmsNorm', 'x', x, 'f32');
  expectDType('addRmsNorm', 'residual', residual, 'f32');
  expect(
    sameShape(x.shape, residual.shape),
    'addRmsNorm',
    'residual must have the shape of x',
    `x ${show(x.shape)} and residual ${show(residual.shape)}`,
  );
  expectGamma('addRmsNorm', x, gamma);
  expectKeys('addRmsNorm', options, { eps: true });
  const { eps = 1e-6 } = options;
  const inputs = [x, residual, gamma];
  const sum = output(inputs, x.shape);
  const y = output(inputs, x.shape);
  using rstd = normalise({ x, residual, gamma, h: sum, y }, eps);
  record('addRmsNorm', {
    inputs,
    outputs: [sum, y],
    saved: { h: sum, gamma, rstd },
    activations: ['h'],
    backward: (_first, saved, needs, [dsum, dy]) => {
      if (!dy) return [needs[0] ? dsum : undefined, needs[1] ? dsum : undefined, undefined];
      const dh = needs[0] || needs[1] ? rmsNormDx(dy, saved, eps, dsum) : undefined;
      return [
        needs[0] ? dh : undefined,
        needs[1] ? dh : undefined,
        needs[2] ? rmsNormDgamma(dy, saved, eps) : undefined,
      ];
    },
  });
  return { sum, y };
}

function expectGamma(op: string, x: Tensor, gamma: Tensor): void {
  expectDType(op, 'gamma', gamma, 'f32');
  expect(
    gamma.shape.length === 1 && gamma.shape[0] === x.shape.at(-1),
    op,
    'gamma must have the last extent of x',
    `x ${show(x.shape)} and gamma ${show(gamma.shape)}`,
  );
}

/** Runs the forward kernel; the reciprocal roots of the rows, [R], which the caller disposes. */
function normalise(
  bind: Readonly<{ x: Tensor; residual?: Tensor; gamma: Tensor; h?: Tensor; y: Tensor }>,
  eps: number,
): Tensor<'f32'> {
  const { x, residual, gamma } = bind;
  const C = gamma.size;
  const R = x.size / C || 0;
  const rstd = output([x], [R]);
  const vectors = vectorsOf(C);
  const { held, define, groups } = planRows(x.gpu.target, R, vectors);
  run(held ? forwardHeld : forward, {
    bind: { ...bind, rstd },
    params: { R, C: vectors.perRow, eps },
    define: { ...vectors.define, ...define, HAS_RESIDUAL: residual !== undefined },
    groups,
    flops: 4 * R * C,
  });
  return rstd;
}

interface Saved {
  readonly h: Tensor;
  readonly gamma: Tensor;
  readonly rstd: Tensor;
}

/** dh, with the gradient that the sum h has from elsewhere. */
function rmsNormDx(dy: Tensor, { h, gamma, rstd }: Saved, eps: number, dsum?: Tensor): Tensor<'f32'> {
  const R = rstd.size;
  const C = gamma.size;
  const dh = output([dy], h.shape);
  const vectors = vectorsOf(C);
  const { held, define, groups } = planRows(h.gpu.target, R, vectors);
  run(held ? backwardXHeld : backwardX, {
    bind: { x: h, dy, gamma, row_rstds: rstd, dsum, dh },
    params: { R, C: vectors.perRow, eps },
    define: { ...vectors.define, ...define, ADDS: dsum !== undefined },
    groups,
    flops: 9 * R * C,
  });
  return dh;
}

function rmsNormDgamma(dy: Tensor, { h, gamma, rstd }: Saved, eps: number): Tensor<'f32'> {
  const R = rstd.size;
  const C = gamma.size;
  const { splits } = planDparams(h.gpu.target, R);
  const { perRow, define } = vectorsOf(C);
  using partial = output([dy], [splits, C]);
  run(backwardGamma, {
    bind: { x: h, dy, row_rstds: rstd, partial },
    params: { R, C: perRow, eps, splits },
    define,
    groups: [Math.ceil(perRow / backwardGamma.constant('COLUMN_WG')), splits, 1],
    flops: 3 * R * C,
  });
  return columnSum(partial);
}
