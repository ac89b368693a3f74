// One optimizer step of a stage, recorded once and replayed: the same bits as calling it, without its JavaScript.
import {
  type AdamW,
  backward,
  type Capture,
  concat,
  type Engine,
  noGrad,
  type Scope,
  type Tensor,
} from '../../engine/index.ts';
import type { PS3 } from '../model/ps3.ts';
import { type Batches, type Cursor, type HostBatch, upload } from './batches.ts';

/** The tensors of a batch by name; undefined where there is none. */
export type Tensors<B> = { readonly [K in keyof B]?: Tensor };

/** What a stage descends: its batches, and their losses. */
export interface Objective<B extends Tensors<B>> {
  /** The batches that follow a place. Opening them and taking some changes nothing for others that are open. */
  batches(from: Cursor): Batches<B>;
  /** The loss to descend as `loss`, and others to log; [1] each. */
  losses(batch: B): { loss: Tensor } & Record<string, Tensor>;
  /** Patches and text tokens of a sample that go through the towers: what tokens per second count. */
  readonly tokensPerSample: number;
}

/** Forward, backward and update of a model on batches of one objective. */
export class TrainingStep<B extends Tensors<B>> {
  readonly #engine: Engine;
  readonly #model: PS3;
  readonly #losses: Objective<B>['losses'];
  /** Lives as long as the step: what it reads, by name. */
  readonly #scope: Scope;
  readonly #inputs: readonly (readonly [keyof B, Tensor])[];
  /** What the numbers that a step leaves are called. */
  #names: readonly string[] = [];
  readonly #capture: Capture<Tensor>;

  /**
   * Records the step; nothing of the model changes yet.
   *
   * @param losses         of the objective
   * @param host           a batch of the shapes that all have
   * @param optimizer      of the model's parameters
   * @param maxLogitScale  the scale of the logits is kept within 1 and this
   */
  constructor(
    engine: Engine,
    model: PS3,
    { losses }: Pick<Objective<B>, 'losses'>,
    host: HostBatch<B>,
    optimizer: AdamW,
    maxLogitScale?: number,
  ) {
    this.#engine = engine;
    this.#model = model;
    this.#losses = losses;
    this.#scope = engine.scope();
    const first = upload(engine, host, this.#scope);
    const names = Object.keys(first) as (keyof B)[];
    const inputs = names.flatMap((name) => (first[name] ? [[name, first[name]] as const] : []));
    this.#inputs = inputs;
    this.#capture = engine.capture(
      (...tensors) => {
        const batch = { ...first, ...Object.fromEntries(inputs.map(([name], i) => [name, tensors[i]])) };
        const scalars = losses(batch);
        backward(scalars.loss);
        optimizer.step();
        model.clampLogitScale(maxLogitScale);
        const { gradNormSquared } = optimizer;
        const { logitScale, logitBias } = model;
        const left = { ...scalars, gradNormSquared, logitScale, logitBias };
        this.#names = Object.keys(left);
        // Joined, for one copy to the host.
        return noGrad(() => concat(Object.values(left)));
      },
      ...inputs.map(([, tensor]) => tensor),
    );
  }

  /** Floating-point operations of a step. */
  get flops(): number {
    return this.#capture.flops;
  }

  /**
   * Takes one step on a batch.
   *
   * @returns  once they are read: the losses by name, the global norm of the gradients before clipping, and the factor on
   *   the cosines and what is added to them as the step leaves them
   */
  run(host: HostBatch<B>): Promise<Record<string, number>> {
    for (const [name, input] of this.#inputs) input.write(host[name].data);
    this.#capture.replay();
    return this.#read();
  }

  /** Begins at once to read what the step leaves. */
  async #read(): Promise<Record<string, number>> {
    const numbers = await this.#capture.outputs.data();
    const values = Object.fromEntries(this.#names.map((name, i) => [name, numbers[i]]));
    const { gradNormSquared, logitScale, ...others } = values;
    return { ...others, gradNorm: Math.sqrt(gradNormSquared), logitScale: Math.exp(logitScale) };
  }

  /**
   * Goes through a batch once more, kernel by kernel, without an update: the first kernel that writes a NaN or an infinity.
   *
   * @returns  its entry point, such as `softmax`; undefined where every number is finite
   */
  async firstNonFinite(host: HostBatch<B>): Promise<string | undefined> {
    using scope = this.#engine.scope();
    this.#engine.watchNonFinite();
    backward(this.#losses(upload(this.#engine, host, scope)).loss);
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
