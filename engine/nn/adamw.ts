// AdamW over the arenas of a ParameterStore. Loshchilov & Hutter 2017, arXiv:1711.05101.
import { expectKeys } from '../gpu/errors.ts';
import { adamwAverage, adamwBegin, adamwUpdate } from '../ops/adamw.ts';
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
  /**
   * What `lossScale` begins with, for gradients or products in f16; PyTorch's is 65536. Default null: no scale. It is halved when
   * gradients are not finite and doubled after `lossScaleInterval` steps in which they were.
   */
  lossScale?: number | null;
  /** Default 2000. */
  lossScaleInterval?: number;
  /** Decay of `averages`, the running means of the parameters, such as 0.9999. Default null: none are kept. */
  averageDecay?: number | null;
}

const DEFAULTS: Required<AdamWOptions> = {
  lr: 1e-3,
  maxNorm: 0,
  betas: [0.9, 0.95],
  eps: 1e-8,
  weightDecay: [0],
  lrScale: [],
  lossScale: null,
  lossScaleInterval: 2000,
  averageDecay: null,
};
const OPTIONS = {
  lr: true,
  maxNorm: true,
  betas: true,
  eps: true,
  weightDecay: true,
  lrScale: true,
  lossScale: true,
  lossScaleInterval: true,
  averageDecay: true,
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
  /** [1] u32, steps taken; skipped ones do not count. */
  readonly steps: Tensor<'u32'>;
  /** [1], the squared global norm of the gradients of the last step, before clipping and without the loss scale. */
  readonly gradNormSquared: Tensor<'f32'>;
  /**
   * [1], what the loss of the next step must be multiplied by: `backward(loss, { seed: optimizer.lossScale })`. Undefined without a
   * scale. Source: torch.cuda.amp.GradScaler.
   */
  readonly lossScale: Tensor<'f32'> | undefined;
  /** [1] u32, good steps since the loss scale changed. */
  readonly goodSteps: Tensor<'u32'>;
  /** Running means of the trained parameters, one tensor per arena of them, from their values at the start; none without a decay. */
  readonly averages: readonly Tensor<'f32'>[];
  readonly #lossScale: Tensor<'f32'>;
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
    const { lossScale, averageDecay } = this.#options;
    this.#lossScale = fill(Tensor.empty(gpu, [1], 'f32'), lossScale ?? 1);
    this.lossScale = lossScale === null ? undefined : this.#lossScale;
    this.goodSteps = fill(Tensor.empty(gpu, [1], 'u32'), 0);
    this.averages = averageDecay === null ? [] : arenas.map(({ values }) => copyOf(values));
    this.#settings = Tensor.empty(gpu, [8], 'f32');
    this.set({});
    this.#scalars = Tensor.empty(gpu, [8], 'f32');
  }

  /** Changes what later steps use, those of a capture too: call it before each replay. */
  set(settings: AdamWSettings): void {
    expectKeys('AdamW.set', settings, { lr: true, maxNorm: true });
    this.#options = { ...this.#options, ...settings };
    const { lr, maxNorm, betas, eps, lossScale, lossScaleInterval } = this.#options;
    const interval = lossScale === null ? 0 : lossScaleInterval;
    this.#settings.write(Float32Array.of(lr, ...betas, eps, ...betas.map(Math.log), maxNorm, interval));
  }

  /**
   * One update from the gradients in the store, those of the loss times `lossScale`, which are then zeroed. Skipped on the GPU,
   * and not counted, when their norm is not finite.
   */
  step(): void {
    const arenas = this.#arenas;
    using norm = squaredNorm(arenas.map(({ gradients }) => gradients!));
    const scalars = this.#scalars;
    adamwBegin({
      settings: this.#settings,
      normSquared: norm,
      steps: this.steps,
      lossScale: this.#lossScale,
      goodSteps: this.goodSteps,
      unscaledNormSquared: this.gradNormSquared,
      scalars,
    });
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

  /**
   * Moves `averages` towards the parameters, unless the last step was skipped; without a decay, does nothing. Call it once after
   * `step`, and after what else changes parameters.
   */
  updateAverages(): void {
    const { averageDecay } = this.#options;
    this.averages.forEach((average, i) => {
      const parameters = this.#arenas[i].values;
      adamwAverage(average, { parameters, scalars: this.#scalars }, averageDecay ?? 1);
    });
  }

  /** Exchanges parameters and `averages`: to evaluate or save these. A second call brings both back. */
  swapAverages(): void {
    this.averages.forEach((average, i) => {
      const { values } = this.#arenas[i];
      using kept = copyOf(values);
      values.write(average);
      average.write(kept);
    });
  }

  /** As `dispose`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Frees the moments and averages; parameters stay. */
  dispose(): void {
    for (const tensor of [
      ...this.moments.flat(),
      ...this.#groups,
      this.steps,
      this.gradNormSquared,
      this.#lossScale,
      this.goodSteps,
      ...this.averages,
      this.#settings,
      this.#scalars,
    ])
      tensor.dispose();
  }
}

/** A new tensor with the elements of another. */
function copyOf(values: Tensor): Tensor<'f32'> {
  const copy = Tensor.empty(values.gpu, values.shape, 'f32');
  copy.write(values);
  return copy;
}
