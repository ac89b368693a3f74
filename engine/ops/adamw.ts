import source from '../../shaders/adamw.wgsl' with { type: 'text' };
import { expect, expectDType } from '../gpu/errors.ts';
import { kernel } from '../gpu/kernel.ts';
import { run, runEach } from '../tensor/dispatch.ts';
import { inParts } from '../tensor/part.ts';
import { show } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { vectorOf } from './rows.ts';

const update = kernel(source, 'adamw');
const begin = kernel(source, 'adamw_begin');
const average = kernel(source, 'adamw_average');

export interface AdamwClock {
  /**
   * [8] f32: lr, beta1, beta2, eps, ln beta1, ln beta2, maxNorm (0: no clipping), good steps until the loss scale doubles (0: it is
   * fixed).
   */
  readonly settings: Tensor;
  /** [1] f32, squared norm of the gradients as they are. */
  readonly normSquared: Tensor;
  /** [1] u32, steps taken; counted on unless the norm is NaN or infinite. */
  readonly steps: Tensor;
  /** [1] f32, what the loss was multiplied by; halved when the norm is NaN or infinite, doubled after so many good steps. */
  readonly lossScale: Tensor;
  /** [1] u32, good steps since the loss scale changed; counted on. */
  readonly goodSteps: Tensor;
  /** [1] f32, overwritten: the squared norm of the gradients of the loss itself. */
  readonly unscaledNormSquared: Tensor;
  /** [8] f32, overwritten: what `adamwUpdate` takes. */
  readonly scalars: Tensor;
}

/** Begins a step: counts it, and works out the scalars of `adamwUpdate`. */
export function adamwBegin(clock: AdamwClock): void {
  const { settings, normSquared, steps, lossScale, goodSteps, unscaledNormSquared, scalars } = clock;
  run(begin, {
    bind: {
      settings,
      norm_squared: normSquared,
      steps,
      loss_scale: lossScale,
      good_steps: goodSteps,
      unscaled_norm_squared: unscaledNormSquared,
      begun: scalars,
    },
    groups: 1,
  });
}

export interface AdamwArenas {
  /** [n] f32, updated in place. */
  readonly parameters: Tensor;
  /** [n] f32. */
  readonly gradients: Tensor;
  /** [n] f32, the running mean of the gradient; zeros before the first step. */
  readonly moment1: Tensor;
  /** [n] f32, the running mean of its square; zeros before the first step. */
  readonly moment2: Tensor;
  /**
   * [G, 4] f32: end element (exclusive, as the bits of a u32), factor of the learning rate, weight decay, unused. Ends
   * ascend, the last one is n; where n divides by 4, so must all.
   */
  readonly groups: Tensor;
  /** [8] f32: lr, beta1, beta2, eps, 1 - beta1^t, 1 - beta2^t, factor on the gradients, squared norm of the gradients. */
  readonly scalars: Tensor;
}

/**
 * One step of AdamW over flat arenas, in place: p -= lr decay p, then p -= lr mhat / (sqrt(vhat) + eps).
 *
 * When the squared norm is NaN or infinite, nothing changes.
 *
 * @throws ShapeError when the arenas differ in size, or groups or scalars do not have their form
 * Source: Loshchilov & Hutter 2019, arXiv:1711.05101; order of operations as in torch.optim.AdamW.
 */
export function adamwUpdate(arenas: AdamwArenas): void {
  const { parameters, gradients, moment1, moment2, groups, scalars } = arenas;
  for (const [name, arena] of Object.entries(arenas)) expectDType('adamw', name, arena, 'f32');
  for (const [name, arena] of Object.entries({ gradients, moment1, moment2 }))
    expect(
      arena.size === parameters.size,
      'adamw',
      `${name} must have the size of parameters`,
      `${show(arena.shape)} and ${show(parameters.shape)}`,
    );
  expect(
    groups.shape.length === 2 && groups.shape[0] > 0 && groups.shape[1] === 4,
    'adamw',
    'groups must be [G, 4] with G > 0',
    show(groups.shape),
  );
  expect(scalars.size === 8, 'adamw', 'scalars must be [8]', show(scalars.shape));
  inParts({ parameters, gradients, moment1, moment2 }, (parts, first) =>
    runEach(update, {
      bind: { ...parts, groups, scalars },
      ...elementCall(parts.parameters, { first, group_count: groups.shape[0] }),
      flops: 16 * parts.parameters.size,
    }),
  );
}

/**
 * Moves running means of parameters towards them, in place: average += (1 - decay) (p - average). Nothing changes in a step
 * that `adamwUpdate` skips.
 *
 * @param averages  [n] f32, as the parameters
 * @param scalars   of the step, as `adamwUpdate` takes them
 */
export function adamwAverage(
  averages: Tensor,
  { parameters, scalars }: Pick<AdamwArenas, 'parameters' | 'scalars'>,
  decay: number,
): void {
  expect(
    averages.size === parameters.size,
    'adamw',
    'averages must have the size of parameters',
    `${show(averages.shape)} and ${show(parameters.shape)}`,
  );
  inParts({ averages, parameters }, (parts) =>
    runEach(average, {
      bind: { ...parts, scalars },
      ...elementCall(parts.parameters, { average_rate: 1 - decay }),
      flops: 3 * parts.parameters.size,
    }),
  );
}

function elementCall(
  parameters: Tensor,
  params: { first?: number; group_count?: number; average_rate?: number },
) {
  const vec = vectorOf(parameters.size);
  return {
    define: { Vec: vec === 4 ? 'vec4f' : 'f32', VEC: `${vec}u` },
    params: { n: parameters.size / vec, first: 0, group_count: 0, average_rate: 0, ...params },
  };
}
