import source from '../../shaders/layer_norm.wgsl' with { type: 'text' };
import { expect, expectDType, expectKeys } from '../gpu/errors.ts';
import { type Kernel, kernel } from '../gpu/kernel.ts';
import type { Target } from '../gpu/target.ts';
import { record } from '../tensor/autograd.ts';
import { output, planned } from '../tensor/dispatch.ts';
import { show } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { planRows, vectorsOf } from './rows.ts';

const forward = kernel(source, 'layer_norm');
const backwardX = kernel(source, 'layer_norm_dx');
const forwardHeld = kernel(source, 'layer_norm_held');
const backwardXHeld = kernel(source, 'layer_norm_dx_held');
const backwardParams = kernel(source, 'layer_norm_dparams');
const sumPartials = kernel(source, 'layer_norm_dparams_sum');
const sumSplit = kernel(source, 'layer_norm_dparams_sum_split');

/** Splits of the rows for the parameter gradients: enough to fill a GPU, few enough that adding them costs nothing; the fewest rows of one. */
const SPLITS = { gpu: { most: 256, rows: 8 }, cpu: { most: 64, rows: 32 } } as const;

/** Blocks of rows of the parameter gradients, and whether several invocations add those of a column. Measured on lavapipe and an H200. */
export function planDparams({ kind }: Target, R: number): { splits: number; inWorkgroup: boolean } {
  const { most, rows } = SPLITS[kind];
  return { splits: Math.max(1, Math.min(most, Math.ceil(R / rows))), inWorkgroup: kind === 'gpu' };
}

/**
 * Layer normalisation over the last axis: y = (x - mean) / sqrt(variance + eps) * gamma + beta.
 *
 * The squares of a row's deviations are added in f32: from a deviation of 1.8e19 / sqrt(C) on they overflow, and y is beta as in
 * PyTorch. Without an eps, deviations below 1e-17 lose accuracy and from 1e-19 on are divided by 0.
 *
 * @param x      [..., C] f32
 * @param gamma  [C]
 * @param beta   [C]
 * @param options.eps  default 1e-6
 * @returns      the shape of x
 * @throws ShapeError when gamma or beta do not have x's last extent
 * Source: Ba, Kiros & Hinton 2016, arXiv:1607.06450.
 */
export function layerNorm(
  x: Tensor,
  gamma: Tensor,
  beta: Tensor,
  options: { readonly eps?: number } = {},
): Tensor<'f32'> {
  expectDType('layerNorm', 'x', x, 'f32');
  expectKeys('layerNorm', options, { eps: true });
  const { eps = 1e-6 } = options;
  const C = x.shape[x.shape.length - 1];
  for (const [name, parameter] of Object.entries({ gamma, beta })) {
    expectDType('layerNorm', name, parameter, 'f32');
    expect(
      parameter.shape.length === 1 && parameter.shape[0] === C,
      'layerNorm',
      `${name} must have the last extent of x`,
      `x ${show(x.shape)} and ${name} ${show(parameter.shape)}`,
    );
  }
  const R = x.size / C || 0;
  const y = output([x, gamma, beta], x.shape);
  using mean = output([x], [R]);
  using rstd = output([x], [R]);
  runRows({ x, gamma, beta, y, mean, rstd }, forward, forwardHeld, R, C, eps, false);
  return record('layerNorm', {
    inputs: [x, gamma, beta],
    output: y,
    saved: { x, gamma, mean, rstd },
    activations: ['x'],
    addsTo: [0, 1, 2],
    backward: (dy, saved, needs, _all, [dx, dgamma, dbeta]) => [
      needs[0] ? layerNormDx(dy, saved, eps, dx) : undefined,
      ...(needs[1] || needs[2] ? layerNormDparams(dy, saved, [dgamma, dbeta]) : [undefined, undefined]),
    ],
  });
}

/** Forward, or backward to x, a row at a time. */
const runRows = planned(
  ({ target }, plain: Kernel, byHeld: Kernel, R: number, C: number, eps: number, ADDS: boolean) => {
    const vectors = vectorsOf(C);
    const { held, define, groups } = planRows(target, R, vectors);
    return {
      kernel: held ? byHeld : plain,
      params: { R, C: vectors.perRow, eps },
      define: { ...vectors.define, ...define, ADDS },
      groups,
      flops: (plain === forward ? 8 : 14) * R * C,
    };
  },
);

interface Saved {
  readonly x: Tensor;
  readonly gamma: Tensor;
  readonly mean: Tensor;
  readonly rstd: Tensor;
}

/** @param total  gets dx added */
function layerNormDx(
  dy: Tensor,
  { x, gamma, mean, rstd }: Saved,
  eps: number,
  total?: Tensor<'f32'>,
): Tensor<'f32'> {
  const dx = total ?? output([dy], x.shape);
  const bind = { x, gamma, dy, row_means: mean, row_rstds: rstd, dx };
  runRows(bind, backwardX, backwardXHeld, mean.size, gamma.size, eps, !!total);
  return dx;
}

const splitParams = planned(({ target }, R: number, C: number) => {
  const { splits } = planDparams(target, R);
  const { perRow, define } = vectorsOf(C);
  return {
    kernel: backwardParams,
    params: { R, C: perRow, splits },
    define,
    groups: [Math.ceil(perRow / backwardParams.constant('COLUMN_WG')), splits, 1],
    flops: 5 * R * C,
  };
});

const addSplits = planned(({ target }, R: number, C: number, ADDS: boolean) => {
  const { splits, inWorkgroup } = planDparams(target, R);
  const { perRow, define } = vectorsOf(C);
  const kernel = inWorkgroup ? sumSplit : sumPartials;
  return {
    kernel,
    params: { R, C: perRow, splits },
    define: { ...define, ADDS },
    groups: Math.ceil(perRow / kernel.constant(inWorkgroup ? 'WG_VECS' : 'COLUMN_WG')),
  };
});

/** @param totals  those of gamma and beta: where there are both, they get the sums added */
function layerNormDparams(
  dy: Tensor,
  { x, gamma, mean, rstd }: Saved,
  totals: readonly (Tensor<'f32'> | undefined)[],
): Tensor[] {
  const [R, C] = [mean.size, gamma.size];
  using partial = output([dy], [planDparams(x.gpu.target, R).splits, 2, C]);
  splitParams({ x, dy, row_means: mean, row_rstds: rstd, partial }, R, C);
  const adds = totals.every((total) => total);
  const [dgamma, dbeta] = totals.map((total) => (adds && total) || output([dy], [C]));
  addSplits({ partials: partial, dgamma, dbeta }, R, C, adds);
  return [dgamma, dbeta];
}
