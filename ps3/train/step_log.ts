// What a stage writes after every step: a line of metrics.jsonl.
import type { Engine } from '../../engine/index.ts';
import type { Exchanged } from '../ranks/meter.ts';
import { SINGLE, type Transport } from '../ranks/transport.ts';
import type { Made } from './batches.ts';
import type { Metric, Speed } from './metrics.ts';
import type { Tensors } from './phases.ts';
import { type Progress, RunError, type RunFolder } from './run.ts';
import type { Stepper } from './step.ts';

/** Where the lines go, and what they need to know. */
export interface StepLogOptions {
  /** Where metrics and checkpoints go. */
  readonly run: RunFolder;
  /** Go on from the run's checkpoint. */
  readonly resume?: Progress;
  /** Ranks that train together, of which the first one writes; default: this process alone. */
  readonly transport?: Transport;
  /** Operations per second that the adapter reaches at best, for the share of it that a step reaches. */
  readonly peakFlopsPerS?: number;
  /** After every step, with its losses; and samples per second since the start. Is waited for where it returns a promise. */
  readonly onStep?: (metric: Metric, samplesPerS: number) => unknown;
}

/** What all steps of a stage have in common. */
export interface StepKind {
  readonly stage: Metric['stage'];
  /** Samples per step. */
  readonly batch: number;
  /** Patches and text tokens of a sample that go through the towers. */
  readonly tokensPerSample: number;
}

/** What one step was. */
export interface StepDone<B extends Tensors<B>> extends Made<B> {
  /** Its number within the stage. */
  readonly step: number;
  /** Its learning rate. */
  readonly lr: number;
  /** For how long it waited for its batch; of several ranks, their mean, as `facts`. */
  readonly dataWaitMs: number;
  /** What it cost to exchange with other ranks. */
  readonly exchanged: Exchanged;
  /** Its losses, once they are read. */
  readonly values: Promise<Record<string, number>>;
}

/** The function that trains a stage. */
const CALLED: Readonly<Record<Metric['stage'], string>> = {
  towers: 'trainTowers',
  ps3: 'trainPS3',
  align: 'trainVila',
  answers: 'trainVila',
  select: 'trainVila',
};

/** Four digits: what a clock tells. */
const round = (value: number): number => Number(value.toPrecision(4));

/** The values of a step as JSON can tell them: of one that was skipped, the norm of its gradients is no number. */
function metricsOf({ gradNorm, ...others }: Record<string, number>): Record<string, number> {
  return Number.isFinite(gradNorm) ? { ...others, gradNorm } : { ...others, skipped: 1 };
}

/** Writes the values of a stage's steps to its run, once they are read. */
export class StepLog<B extends Tensors<B>> {
  readonly #steps: StepKind;
  readonly #engine: Engine;
  readonly #training: Stepper<B>;
  readonly #options: StepLogOptions;
  readonly #started = performance.now();
  #last = this.#started;

  constructor(steps: StepKind, engine: Engine, training: Stepper<B>, options: StepLogOptions) {
    this.#steps = steps;
    this.#engine = engine;
    this.#training = training;
    this.#options = options;
  }

  /** @throws RunError for a loss that is not finite, with the kernel that wrote the first such number */
  async write({ step, lr, host, facts, dataWaitMs, exchanged, values }: StepDone<B>): Promise<void> {
    const losses = await values;
    const now = performance.now();
    const { run, resume, transport = SINGLE, onStep } = this.#options;
    const speed = {
      ...this.#speed(now - this.#last, dataWaitMs),
      ...(transport.size > 1 && { exchangeMs: round(exchanged.ms), exchangeBytes: exchanged.bytes }),
    };
    this.#last = now;
    const { stage: name, batch } = this.#steps;
    if (!Number.isFinite(losses.loss)) {
      const kernel = await this.#training.firstNonFinite(host);
      const first = kernel ? `, first written by the kernel ${kernel}` : '';
      throw new RunError(
        `${CALLED[name]}: the loss must stay finite, got ${losses.loss} at step ${step} of ${name}${first}. Lower ${name}.lr.`,
      );
    }
    if (transport.rank > 0) return;
    const metric: Metric = { stage: name, step, lr, ...metricsOf(losses), ...facts, speed };
    await run.log(metric);
    const samples = (step + 1 - (resume?.step ?? 0)) * batch;
    await onStep?.(metric, (1000 * samples) / (now - this.#started));
  }

  /** Leaves what was done since the last step, such as saving, out of the next one's time. */
  leaveOut(): void {
    this.#last = performance.now();
  }

  #speed(stepMs: number, dataWaitMs: number): Speed {
    const { flops } = this.#training;
    const { batch, tokensPerSample } = this.#steps;
    const { peakFlopsPerS } = this.#options;
    const { liveBytes, pooledBytes } = this.#engine.stats();
    const perS = (count: number): number => round((1000 * count) / stepMs);
    return {
      stepMs: round(stepMs),
      dataWaitMs: round(dataWaitMs),
      imagesPerS: perS(batch),
      tokensPerS: perS(batch * tokensPerSample),
      gflopPerS: perS(flops / 1e9),
      peakShare: peakFlopsPerS && perS(flops / peakFlopsPerS),
      deviceBytes: liveBytes + pooledBytes,
    };
  }
}
