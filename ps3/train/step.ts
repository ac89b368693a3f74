// One optimizer step of a stage, recorded once and replayed: the same bits as calling it, without its JavaScript.
import {
  type AdamW,
  backward,
  type Capture,
  type Engine,
  type Scope,
  type Tensor,
} from '../../engine/index.ts';
import type { PS3 } from '../model/ps3.ts';

/** The tensors of a batch by name; undefined where there is none. */
export type Tensors<B> = { readonly [K in keyof B]?: Tensor };

/** What a stage descends: its batches, and their losses. */
export interface Objective<B extends Tensors<B>> {
  /** The batch of a step, in `scope`: tensors of the same shapes at every step. Depends on the number of the step alone. */
  batch(step: number, scope: Scope): B;
  /** The loss to descend as `loss`, and others to log; [1] each. */
  losses(batch: B): { loss: Tensor } & Record<string, Tensor>;
}

/** Forward, backward and update of a model on batches of one objective. */
export class TrainingStep<B extends Tensors<B>> {
  readonly #engine: Engine;
  readonly #model: PS3;
  readonly #objective: Objective<B>;
  /** Lives as long as the step: what it reads, by name. */
  readonly #scope: Scope;
  readonly #inputs: readonly (readonly [keyof B, Tensor])[];
  readonly #capture: Capture<Readonly<Record<string, Tensor>>>;

  /**
   * Records the step; nothing of the model changes yet.
   *
   * @param optimizer      of the model's parameters
   * @param maxLogitScale  the scale of the logits is kept within 1 and this
   */
  constructor(engine: Engine, model: PS3, objective: Objective<B>, optimizer: AdamW, maxLogitScale?: number) {
    this.#engine = engine;
    this.#model = model;
    this.#objective = objective;
    this.#scope = engine.scope();
    const first = objective.batch(0, this.#scope);
    const names = Object.keys(first) as (keyof B)[];
    const inputs = names.flatMap((name) => (first[name] ? [[name, first[name]] as const] : []));
    this.#inputs = inputs;
    this.#capture = engine.capture(
      (...tensors) => {
        const batch = { ...first, ...Object.fromEntries(inputs.map(([name], i) => [name, tensors[i]])) };
        const losses = objective.losses(batch);
        backward(losses.loss);
        optimizer.step();
        model.clampLogitScale(maxLogitScale);
        return { ...losses, gradNormSquared: optimizer.gradNormSquared };
      },
      ...inputs.map(([, tensor]) => tensor),
    );
  }

  /** Takes one step on the batch of that number. @returns the losses by name, and `gradNormSquared`, once they are read */
  run(step: number): Promise<Record<string, number>> {
    using scope = this.#engine.scope();
    const batch = this.#objective.batch(step, scope);
    for (const [name, input] of this.#inputs) {
      const tensor = batch[name];
      if (tensor) input.write(tensor);
    }
    this.#capture.replay();
    return read(this.#capture.outputs);
  }

  /**
   * Goes through a step once more, kernel by kernel, without an update: the first kernel that writes a NaN or an infinity.
   *
   * @returns  its entry point, such as `softmax`; undefined where every number is finite
   */
  async firstNonFinite(step: number): Promise<string | undefined> {
    using scope = this.#engine.scope();
    this.#engine.watchNonFinite();
    backward(this.#objective.losses(this.#objective.batch(step, scope)).loss);
    const found = await this.#engine.firstNonFinite();
    this.#model.parameters.zeroGradients();
    return found?.kernel;
  }

  /** Frees what the step holds between its runs. */
  [Symbol.dispose](): void {
    this.#capture.dispose();
    this.#scope.dispose();
  }
}

/** Begins to read scalars at once. */
async function read(scalars: Readonly<Record<string, Tensor>>): Promise<Record<string, number>> {
  const reads = Object.entries(scalars).map(
    async ([key, scalar]) => [key, (await scalar.data())[0]] as const,
  );
  return Object.fromEntries(await Promise.all(reads));
}
