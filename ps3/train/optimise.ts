// The loop of every stage: batches, steps, the log, evaluations and checkpoints, on one rank or several.
import { type AdamW, type Engine, type ParameterStore, warmupCosine } from '../../engine/index.ts';
import { Meter } from '../ranks/meter.ts';
import { SINGLE, type Transport } from '../ranks/transport.ts';
import type { Batches, Cursor, HostBatch } from './batches.ts';
import type { StageConfig, TrainConfig } from './config.ts';
import { expectSameWeights, meansOf } from './exchange.ts';
import type { Tensors } from './phases.ts';
import { expectProducts } from './precision.ts';
import { keepBest } from './run/best.ts';
import type { Saved } from './run/checkpoint.ts';
import { InterruptedError, type Progress, type StageName, type TrainingState } from './run.ts';
import type { Stepper } from './step.ts';
import { StepLog, type StepLogOptions } from './step_log.ts';

/** Where a stage writes, and from where it goes on. */
export interface StageOptions extends StepLogOptions {
  /** Once it is aborted, training ends after the step at hand, which is saved. */
  readonly signal?: { readonly aborted: boolean };
  /** On every rank, before a checkpoint is written: for what it must not outlive. */
  readonly onSave?: () => Promise<void>;
  /** Evaluates the model as it is, every `evaluation.everySteps`; a number of it decides which weights are the best. */
  readonly evaluate?: (progress: Progress) => Promise<object>;
}

export const STAGE_OPTIONS = {
  run: true,
  resume: true,
  transport: true,
  signal: true,
  onSave: true,
  evaluate: true,
  peakFlopsPerS: true,
  onStep: true,
} as const;

/** What a stage trains, and on what. */
export interface Trained<B extends Tensors<B>> {
  readonly name: StageName;
  readonly stage: StageConfig;
  readonly model: Saved;
  /** Stores of its parameters, each with its optimizer; a prefix tells their states apart. */
  readonly parts: readonly {
    readonly prefix?: string;
    readonly parameters: ParameterStore;
    readonly optimizer: AdamW;
  }[];
  /** The batches that follow a place. */
  batches(from: Cursor): Batches<B>;
  /** Patches and tokens of text of a sample: what tokens per second count. */
  readonly tokensPerSample: number;
  /** Makes what takes the steps. @param host  a batch of the shapes that all have */
  step(host: HostBatch<B>, transport: Transport): Stepper<B>;
}

/**
 * Takes the steps of a stage.
 *
 * @throws RunError for a loss that is not finite, InterruptedError after the signal
 */
export async function optimise<B extends Tensors<B>>(
  engine: Engine,
  trained: Trained<B>,
  config: Pick<TrainConfig, 'precision' | 'saveEvery' | 'saveEveryMinutes' | 'checkpoints' | 'evaluation'>,
  options: StageOptions,
): Promise<void> {
  const { run, resume, signal, transport = SINGLE, onSave, evaluate } = options;
  const { name, stage, model, parts, tokensPerSample } = trained;
  const { saveEvery, saveEveryMinutes, checkpoints, evaluation } = config;
  expectProducts(engine, config.precision);
  const meter = new Meter(transport);
  const isLead = transport.rank === 0;
  // Averages, where there are some, stand in for the weights in a checkpoint, and its state has the weights.
  const state: TrainingState = parts.map(({ prefix, parameters, optimizer }) => {
    const { moments, steps, lossScale, goodSteps, averages } = optimizer;
    const [moment1, moment2] = moments;
    return {
      prefix,
      parameters,
      arenas: { moment1, moment2, ...(averages.length > 0 && { weights: averages }) },
      tensors: { steps, ...(lossScale && { lossScale, goodSteps }) },
    };
  });
  const swapAverages = (): void => {
    for (const { optimizer } of parts) optimizer.swapAverages();
  };
  const expectSame = async (where: string): Promise<void> => {
    for (const { parameters } of parts) await expectSameWeights(transport, parameters, where);
  };
  if (resume) await run.restore(state);
  const first = resume?.step ?? 0;
  if (first >= stage.steps) return;
  if (resume) swapAverages();
  await using batches = trained.batches(resume?.data ?? { step: first });
  let coming = ahead(batches.next());
  const { host } = await coming;
  using training = trained.step(host, meter.transport);
  await expectSame('to begin with');
  const log = new StepLog({ stage: name, batch: stage.batch, tokensPerSample }, engine, training, options);
  // One step is read while the next is recorded, so that the GPU does not wait for the host.
  let logged: Promise<void> = Promise.resolve();
  let saved = performance.now();
  for (let step = first; step < stage.steps; step++) {
    const lr = warmupCosine(step, { steps: stage.steps, warmup: stage.warmup, peak: stage.lr });
    for (const { optimizer } of parts) optimizer.set({ lr });
    const asked = performance.now();
    const { host, facts, next } = await coming;
    const waitedMs = performance.now() - asked;
    const stepped = await training.run(host, step);
    const values = ahead(stepped.values);
    // The next batch is made while the GPU works on this one.
    if (step + 1 < stage.steps) coming = ahead(batches.next());
    await logged;
    const { dataWaitMs, ...means } = await meansOf(meter.transport, { ...facts, dataWaitMs: waitedMs });
    const exchanged = meter.take();
    logged = ahead(log.write({ step, lr, host, facts: means, dataWaitMs, exchanged, values }));
    const progress: Progress = { stage: name, step: step + 1, data: next };
    const isLast = progress.step === stage.steps;
    const isDue = (every: number | null): boolean => every !== null && progress.step % every === 0;
    const { everySteps } = evaluation;
    const isEvaluated = everySteps !== null && (isLast || isDue(everySteps));
    if (evaluate && isEvaluated) {
      await logged;
      swapAverages();
      const numbers = await evaluate(progress);
      if (checkpoints.best !== null) await keepBest(run.bestPath, model, progress, checkpoints.best, numbers);
      swapAverages();
      log.leaveOut();
    }
    const isLate = performance.now() - saved > 60_000 * (saveEveryMinutes ?? Infinity);
    // A signal to any rank stops all; by the clock of the first one they save.
    const votes = Float32Array.of(Number(signal?.aborted === true), isLead ? Number(isLate) : 0);
    await transport.allReduce(votes);
    const [stops, saves] = Array.from(votes, (vote) => vote > 0);
    if (stops || saves || isLast || isDue(saveEvery)) {
      await logged;
      await onSave?.();
      await expectSame(`after step ${step + 1} of ${name}`);
      if (isLead) {
        swapAverages();
        await run.save(model, state, progress, checkpoints.keep);
        swapAverages();
      }
      await transport.barrier();
      saved = performance.now();
      log.leaveOut();
    }
    if (stops)
      throw new InterruptedError(
        `train: stopped after step ${step + 1} of ${stage.steps} of ${name}, saved.`,
      );
  }
  await logged;
  swapAverages();
}

/** Work that is awaited later, if at all: until then its error waits too. */
function ahead<T>(work: Promise<T>): Promise<T> {
  work.catch(() => undefined);
  return work;
}
