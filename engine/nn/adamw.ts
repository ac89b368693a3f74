// AdamW over the arenas of a ParameterStore. Loshchilov & Hutter 2017, arXiv:1711.05101.
import { expectKeys } from '../gpu/errors.ts';
import { adamwBegin, adamwUpdate } from '../ops/adamw.ts';
import { fill } from '../ops/fill.ts';
import { squaredNorm } from '../ops/reduce.ts';
import { Tensor } from '../tensor/tensor.ts';
import type { Arena, ParameterStore } from './parameters.ts';

/** What every step uses, until `set` changes it. */
export interface AdamWSettings {
  /** Learning rate. Default 1e-3. */
  lr?: number;
  /** Clips the global norm of the gradients to this; 0, the default, does not. */
  maxNorm?: number;
}

/** Constants of the optimizer. */
export interface AdamWOptions extends AdamWSettings {
  /** Default (0.9, 0.95), as PS3 was trained. */
  betas?: readonly [number, number];
  /** Default 1e-8. */
  eps?: number;
  /** Decoupled weight decay of each parameter group; default [0]. */
  weightDecay?: readonly number[];
  /** Learning rate of each group relative to `lr`; default 1. */
  lrScale?: readonly number[];
}

const DEFAULTS: Required<AdamWOptions> = {
  lr: 1e-3,
  maxNorm: 0,
  betas: [0.9, 0.95],
  eps: 1e-8,
  weightDecay: [0],
  lrScale: [],
};
const OPTIONS = {
  lr: true,
  maxNorm: true,
  betas: true,
  eps: true,
  weightDecay: true,
  lrScale: true,
} as const;

/**
 * Updates every parameter of a store that is not locked in one dispatch per arena. What changes per step is on the GPU, the
 * number of steps too: nothing is read back, and a captured step goes on counting.
 *
 * Squares are f32. Gradients whose norm exceeds 1.8e19 count as infinite: the step is skipped. Of a gradient below 1e-19
 * the second moment is 0, as in PyTorch, and eps is what it is divided by.
 */
export class AdamW {
  readonly #arenas: readonly Arena[];
  #options: Required<AdamWOptions>;
  /** First and second moment, one tensor per arena. */
  readonly moments: readonly [Tensor[], Tensor[]];
  /** [1] u32, steps taken; those that were skipped do not count. */
  readonly steps: Tensor<'u32'>;
  /** [1], the squared global norm of the gradients of the last step, before clipping. */
  readonly gradNormSquared: Tensor<'f32'>;
  readonly #groups: Tensor[];
  readonly #settings: Tensor;
  readonly #scalars: Tensor;

  constructor(store: ParameterStore, options: AdamWOptions = {}) {
    expectKeys('AdamW', options, OPTIONS);
    this.#options = { ...DEFAULTS, ...options };
    store.enableGradients();
    const { gpu } = store;
    const arenas = store.arenas.filter(({ isLocked }) => !isLocked);
    this.#arenas = arenas;
    const zeros = ({ values }: Arena): Tensor => fill(Tensor.empty(gpu, values.shape, 'f32'), 0);
    this.moments = [arenas.map(zeros), arenas.map(zeros)];
    this.#groups = arenas.map(({ groupEnds }) => {
      const table = new Float32Array(4 * groupEnds.length);
      const bits = new Uint32Array(table.buffer);
      groupEnds.forEach((end, group) => {
        bits[4 * group] = end;
        table[4 * group + 1] = this.#options.lrScale[group] ?? 1;
        table[4 * group + 2] = this.#options.weightDecay[group] ?? 0;
      });
      const groups = Tensor.empty(gpu, [groupEnds.length, 4], 'f32');
      groups.write(table);
      return groups;
    });
    this.steps = fill(Tensor.empty(gpu, [1], 'u32'), 0);
    this.gradNormSquared = fill(Tensor.empty(gpu, [1], 'f32'), 0);
    this.#settings = Tensor.empty(gpu, [8], 'f32');
    this.set({});
    this.#scalars = Tensor.empty(gpu, [8], 'f32');
  }

  /** Changes what later steps use, those of a capture too: call it before each replay. */
  set(settings: AdamWSettings): void {
    expectKeys('AdamW.set', settings, { lr: true, maxNorm: true });
    this.#options = { ...this.#options, ...settings };
    const { lr, maxNorm, betas, eps } = this.#options;
    this.#settings.write(Float32Array.of(lr, ...betas, eps, ...betas.map(Math.log), maxNorm, 0));
  }

  /**
   * One update from the gradients in the store, which are then zeroed. Skipped on the GPU, and not counted, when
   * their norm is not finite.
   */
  step(): void {
    const arenas = this.#arenas;
    using norm = squaredNorm(arenas.map(({ gradients }) => gradients!));
    this.gradNormSquared.write(norm);
    const scalars = this.#scalars;
    adamwBegin({ settings: this.#settings, normSquared: norm, steps: this.steps, scalars });
    arenas.forEach(({ values, gradients }, i) => {
      adamwUpdate({
        parameters: values,
        gradients: gradients!,
        moment1: this.moments[0][i],
        moment2: this.moments[1][i],
        groups: this.#groups[i],
        scalars,
      });
      fill(gradients!, 0);
    });
  }

  /** As `dispose`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Frees the moments; parameters stay. */
  dispose(): void {
    for (const tensor of [
      ...this.moments.flat(),
      ...this.#groups,
      this.steps,
      this.gradNormSquared,
      this.#settings,
      this.#scalars,
    ])
      tensor.dispose();
  }
}
