// One optimizer step of a VILA-HD. What is looked at decides how long the texts are, so it is recorded anew each time.
import {
  type AdamW,
  add,
  backward,
  concat,
  type Engine,
  mul,
  noGrad,
  Random,
  slice,
  type Tensor,
} from '../../engine/index.ts';
import { seedFor } from '../data/seeds.ts';
import { IGNORED } from '../language/labels.ts';
import type { Transport } from '../ranks/transport.ts';
import { groundingLoss, vilaLoss } from '../vila/loss.ts';
import type { VilaModel } from '../vila/vila.ts';
import type { Seen } from '../vila/vila_types.ts';
import type { HostBatch, HostTensor } from './batches.ts';
import { type ReduceDType, sumGradients } from './exchange.ts';
import { partsOf } from './phases.ts';
import type { Stepped, Stepper } from './step.ts';
import { unpadded, type VilaBatch } from './vila_batches.ts';

/** How a step is taken. */
export interface VilaStepOptions {
  /** Weight of the supervision of looking. */
  readonly selection: number;
  /** Whether the box is looked at, whatever the question asks for. */
  readonly teacherForcing: boolean;
  /** Whether the supervision of looking trains the language model. */
  readonly reachesLanguage: boolean;
  /** Looks at the images of a step, drawn between these by `seed` and the step's number. */
  readonly looks: readonly [least: number, most: number];
  readonly seed: number;
  /** Parts of a batch that go through the model one after another. */
  readonly accumulate: number;
  readonly transport: Transport;
  readonly reduce: ReduceDType;
}

/** Forward, backward and update of a VILA-HD. */
export class VilaStep implements Stepper<VilaBatch> {
  flops = 0;
  readonly #engine: Engine;
  readonly #model: VilaModel;
  readonly #optimizers: readonly AdamW[];
  readonly #options: VilaStepOptions;

  /** @param optimizers  of what joins and sees, and of the language model */
  constructor(engine: Engine, model: VilaModel, optimizers: readonly AdamW[], options: VilaStepOptions) {
    this.#engine = engine;
    this.#model = model;
    this.#optimizers = optimizers;
    this.#options = options;
  }

  /** Frees nothing: every step cleans up behind itself. */
  [Symbol.dispose](): void {}

  async run(host: HostBatch<VilaBatch>, step: number): Promise<Stepped> {
    const { accumulate, transport, reduce } = this.#options;
    const looks = this.#looksAt(step);
    const before = this.#counted();
    using scope = this.#engine.scope();
    const parts: Record<string, Tensor<'f32'>>[] = [];
    for (const part of partsOf(host, accumulate))
      parts.push(await this.#descend(part, looks, 1 / (accumulate * transport.size)));
    const { language, parameters } = this.#model;
    for (const store of [parameters, language.parameters])
      await sumGradients(this.#engine, transport, store, reduce);
    for (const optimizer of this.#optimizers) {
      optimizer.step();
      optimizer.updateAverages();
    }
    const losses = Object.fromEntries(
      Object.keys(parts[0]).map((name) => {
        const all = parts.map(({ [name]: loss }) => loss.moveTo(scope) as Tensor<'f32'>);
        return [name, noGrad(() => meanOf(all))];
      }),
    );
    const norms = this.#optimizers.map(({ gradNormSquared }) => gradNormSquared.in(scope) as Tensor<'f32'>);
    const names = Object.keys(losses);
    const joined = noGrad(() => concat([...Object.values(losses), ...norms]));
    const numbers = await joined.data();
    this.flops = this.#counted() - before;
    const squared = norms.reduce((sum, _, i) => sum + numbers[names.length + i], 0);
    const values = Object.fromEntries(names.map((name, i) => [name, numbers[i]]));
    return { values: Promise.resolve({ ...values, gradNorm: Math.sqrt(squared) }) };
  }

  #looksAt(step: number): number {
    const {
      looks: [least, most],
      seed,
    } = this.#options;
    return least + new Random(seedFor(seed, 'looks'), step).integer(most - least + 1);
  }

  /** Operations of everything that was called so far. */
  #counted(): number {
    this.#engine.submit();
    return this.#engine.stats().flops;
  }

  /** Adds the gradients of a part. @returns its losses by name, which the caller disposes */
  async #descend(
    part: HostBatch<VilaBatch>,
    looks: number,
    share: number,
  ): Promise<Record<string, Tensor<'f32'>>> {
    const engine = this.#engine;
    using scope = engine.scope();
    const image = engine.tensor(part.image.data, part.image.shape, { scope });
    const box = engine.tensor(part.box.data, part.box.shape, { scope });
    const seen = this.#model.glance(image);
    try {
      const { total, ...others } = await this.#lossOf(part, seen, box, looks);
      backward(total, { seed: engine.full([1], share, { scope }) });
      const losses = { loss: total, ...others };
      return Object.fromEntries(
        Object.entries(losses).map(([name, loss]) => [
          name,
          loss.detach().moveTo(undefined) as Tensor<'f32'>,
        ]),
      );
    } finally {
      seen[Symbol.dispose]();
    }
  }

  async #lossOf(
    part: HostBatch<VilaBatch>,
    seen: Seen,
    box: Tensor,
    looks: number,
  ): Promise<Record<string, Tensor<'f32'>> & { readonly total: Tensor<'f32'> }> {
    const { image, ids, labels } = part;
    const { selection, teacherForcing, reachesLanguage } = this.#options;
    const samples = unpadded(ids, labels);
    const each = samples.length / image.shape[0];
    // Without an answer, only where it is.
    if (selection > 0 && labels.data.every((label) => label === IGNORED)) {
      const questions = samples.map(({ ids }, i) => ({ image: Math.floor(i / each), ids }));
      const { total, ...others } = await groundingLoss(this.#model, seen, questions, box, {
        reachesLanguage,
      });
      return { total: mul(total, selection), ...others };
    }
    const [rows, h, w] = box.shape;
    const boxes = box.reshape([rows / each, each, h, w]);
    const rounds: Record<'total' | 'answers' | 'entropy' | 'dice', Tensor<'f32'> | undefined>[] = [];
    for (let q = 0; q < each; q++) {
      const asked = samples.filter((_, i) => i % each === q);
      const options = this.#model.encoder.looks
        ? {
            ...{ looks, selection, teacherForcing, reachesLanguage, located: locatedIn(part.box, each, q) },
            box: slice(boxes, { axis: 1, start: q, length: 1 }).reshape([rows / each, h, w]),
          }
        : {};
      rounds.push(await vilaLoss(this.#model, seen, asked, options));
    }
    const mean = (name: keyof (typeof rounds)[number]): Tensor<'f32'> | undefined => {
      const losses = rounds.flatMap((round) => round[name] ?? []);
      return losses.length > 0 ? meanOf(losses) : undefined;
    };
    const [entropy, dice] = [mean('entropy'), mean('dice')];
    return { total: mean('total')!, answers: mean('answers')!, ...(entropy && dice && { entropy, dice }) };
  }

  async firstNonFinite(host: HostBatch<VilaBatch>): Promise<string | undefined> {
    this.#engine.watchNonFinite();
    using scope = this.#engine.scope();
    for (const loss of Object.values(await this.#descend(host, this.#options.looks[0], 1)))
      loss.moveTo(scope);
    const found = await this.#engine.firstNonFinite();
    this.#model.parameters.zeroGradients();
    this.#model.language.parameters.zeroGradients();
    return found?.kernel;
  }
}

const meanOf = (losses: readonly Tensor<'f32'>[]): Tensor<'f32'> =>
  mul(
    losses.reduce((a, b) => add(a, b)),
    1 / losses.length,
  );

/** The images of whose question `q` it is known where its answer is. @param box  [B each, G, G] */
function locatedIn({ data, shape: [rows, G] }: HostTensor, each: number, q: number): number[] {
  const isLocated = (b: number): boolean => {
    const row = b * each + q;
    return data.subarray(row * G * G, (row + 1) * G * G).some((cell) => cell > 0);
  };
  return Array.from({ length: rows / each }, (_, b) => b).filter(isLocated);
}
