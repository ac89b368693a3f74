import source from '../../shaders/adamw.wgsl' with { type: 'text' };
import { expect, expectDType } from '../gpu/errors.ts';
import { kernel } from '../gpu/kernel.ts';
import { run, runEach } from '../tensor/dispatch.ts';
import { show } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { vectorOf } from './rows.ts';

const update = kernel(source, 'adamw');
const begin = kernel(source, 'adamw_begin');

export interface AdamwClock {
  /** [8] f32: lr, beta1, beta2, eps, ln beta1, ln beta2, maxNorm (0: no clipping), unused. */
  readonly settings: Tensor;
  /** [1] f32, squared norm of the gradients. */
  readonly normSquared: Tensor;
  /** [1] u32, steps taken; counted on. */
  readonly steps: Tensor;
  /** [8] f32, overwritten: what `adamwUpdate` takes. */
  readonly scalars: Tensor;
}

/** Begins a step: counts it, and works out the scalars of `adamwUpdate`. */
export function adamwBegin({ settings, normSquared, steps, scalars }: AdamwClock): void {
  run(begin, { bind: { settings, norm_squared: normSquared, steps, begun: scalars }, groups: 1 });
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
  /** [8] f32: lr, beta1, beta2, eps, 1 - beta1^t, 1 - beta2^t, maxNorm (0: no clipping), squared norm of the gradients. */
  readonly scalars: Tensor;
}

/**
 * One step of AdamW over flat arenas, in place: p -= lr decay p, then p -= lr mhat / (sqrt(vhat) + eps).
 *
 * Gradients are scaled by min(1, maxNorm / (norm + 1e-6)) first. When the squared norm is NaN or infinite, nothing changes.
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
  const vec = vectorOf(parameters.size);
  const n = parameters.size / vec;
  runEach(update, {
    bind: { ...arenas },
    define: { Vec: vec === 4 ? 'vec4f' : 'f32', VEC: `${vec}u` },
    params: { n, group_count: groups.shape[0] },
    flops: 16 * parameters.size,
  });
}
