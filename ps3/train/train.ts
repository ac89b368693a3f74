// Training in two stages, as the paper does: image and text towers first, PS3 from them.
import { AdamW, type Engine, expectKeys, warmupCosine } from '../../engine/index.ts';
import type { Sample } from '../data/annotations.ts';
import { tiledTokens } from '../model/baselines/tiled.ts';
import { total as sum } from '../model/config/config.ts';
import { GROUPS } from '../model/core.ts';
import type { PS3 } from '../model/ps3.ts';
import type { Grid } from '../model/vision/scales.ts';
import { Meter } from '../ranks/meter.ts';
import { RanksError, SINGLE, type Transport } from '../ranks/transport.ts';
import { BatchLoader } from './batch_loader.ts';
import { type Batches, batchesByStep, type Made } from './batches.ts';
import type { TrainConfig } from './config.ts';
import { expectSameWeights, meansOf } from './exchange.ts';
import type { ImageSource } from './image_source.ts';
import { type Batch, baselineObjective, pretrainObjective } from './loss.ts';
import type { Metric } from './metrics.ts';
import { type Objective, partsOf, type Tensors } from './phases.ts';
import { expectProducts, withPrecision } from './precision.ts';
import { keepBest } from './run/best.ts';
import { InterruptedError, type Progress, type TrainingState } from './run.ts';
import { TrainingStep } from './step.ts';
import { StepLog, type StepLogOptions } from './step_log.ts';
import { type CropBatch, type CropSource, cropBatch, cropSidePx, towersForward } from './towers.ts';

/** Where a stage writes, and from where it goes on. */
export interface StageOptions extends StepLogOptions {
  /** Once it is aborted, training ends after the step at hand, which is saved. */
  readonly signal?: { readonly aborted: boolean };
  /** On every rank, before a checkpoint is written: for what it must not outlive. */
  readonly onSave?: () => Promise<void>;
  /** Evaluates the model as it is, every `evaluation.everySteps`; a number of it decides which weights are the best. */
  readonly evaluate?: (progress: Progress) => Promise<object>;
}

const STAGE_OPTIONS = {
  run: true,
  resume: true,
  transport: true,
  signal: true,
  onSave: true,
  evaluate: true,
  peakFlopsPerS: true,
  onStep: true,
} as const;

/** Which of several ranks takes a part of every batch. */
export type Share = Pick<Transport, 'rank' | 'size'>;

/** A rank's parts of batches, in which equal classes are equal captions of the whole. */
function ownBatches<B>(whole: Batches<B>, { rank, size }: Share): Batches<B> {
  if (size === 1) return whole;
  return {
    next: async () => {
      const { host, ...others } = await whole.next();
      return { host: partsOf(host, size)[rank], ...others };
    },
    [Symbol.asyncDispose]: () => whole[Symbol.asyncDispose](),
  };
}

/**
 * @param size  of the ranks that train together
 * @throws RanksError when a batch does not divide into equal parts
 */
export function expectParts(config: Pick<TrainConfig, 'towers' | 'ps3'>, size: number): void {
  for (const name of ['towers', 'ps3'] as const) {
    const { batch, accumulate } = config[name];
    if (batch % (size * accumulate) !== 0)
      throw new RanksError(
        `train: ${name}.batch, of all ranks together, must be a multiple of ${size} ranks times ${name}.accumulate, got ${batch} and ${accumulate}. Change one of them.`,
      );
  }
}

/** Stage 1: contrast crops of single objects with their names at low resolution. */
export function towersObjective(
  model: PS3,
  crops: CropSource | ImageSource,
  config: Pick<TrainConfig, 'seed' | 'towers' | 'precision'>,
  share: Share = SINGLE,
): Objective<CropBatch> {
  const { vision } = model.config;
  const { batch: count } = config.towers;
  const options = { batchSize: count, seed: config.seed };
  return {
    batches: (from) => {
      if (typeof crops !== 'function') return crops.crops(model, options, from);
      const batch = (step: number): Made<CropBatch> => {
        const shown = crops(step, count);
        return cropBatch(model.tokenizer, cropSidePx(vision, shown), shown);
      };
      return ownBatches(batchesByStep(batch, from), share);
    },
    embed: (batch) => ({
      ...withPrecision(config.precision, () => towersForward(model, batch)),
      own: {},
    }),
    weights: {},
    counted: () => 0,
    tokensPerSample: model.config.vision.gridSides[0] ** 2 + model.tokenizer.contextLength,
  };
}

/** Stage 2: local and global captions, ground-truth selection, box supervision; or a baseline on the same batches. */
export function ps3Objective(
  model: PS3,
  samples: readonly Sample[] | Pick<ImageSource, 'batches'>,
  config: Pick<
    TrainConfig,
    'seed' | 'data' | 'sampling' | 'loss' | 'ps3' | 'method' | 'precision' | 'baseline'
  >,
  share: Share = SINGLE,
): Objective<Batch> {
  const { seed, data, sampling, loss, ps3, method, precision, baseline } = config;
  const drawing = {
    batchSize: ps3.batch,
    seed,
    globalProbability: method.globalMix ? sampling.globalShare : 0,
    samplesPerImage: method.oneSamplePerImage ? 1 : 2,
    crop: sampling.crop,
    captions: sampling.captions,
    sameCaptionPositives: sampling.sameCaptionPositives,
  };
  const { maxLogitScale: _, ...weights } = loss;
  const { teacherForcing, inBoxPooling } = method;
  const { window } = data;
  const objective = baseline
    ? baselineObjective(model, baseline)
    : pretrainObjective(model, { ...weights, teacherForcing, inBoxPooling, window });
  const vision = window ? model.vision.window(window.cells, window.maxSelect) : model.vision;
  const grids = vision.config.gridSides.map((side): Grid => [side, side]);
  const [counts] = vision.plan(grids, { looks: 1 });
  const inMemory = (samples: readonly Sample[]): Objective<Batch>['batches'] => {
    const loader = new BatchLoader(samples, model.tokenizer, model.config, drawing);
    return (from) =>
      ownBatches(
        batchesByStep((step) => loader.batch(step), from),
        share,
      );
  };
  return {
    batches: 'batches' in samples ? (from) => samples.batches(model, drawing, from) : inMemory(samples),
    ...objective,
    embed: (batch) => withPrecision(precision, () => objective.embed(batch)),
    tokensPerSample:
      (baseline ? tiledTokens(vision, baseline) : grids[0][0] ** 2 + sum(counts)) +
      model.tokenizer.contextLength,
  };
}

/**
 * Stage 1: trains the image and text towers on crops of one object, in place; nothing else of the model changes.
 *
 * @param model  with its tokenizer
 * @throws ShapeError for unknown options, RunError for a loss that is not finite, InterruptedError after the signal; ConfigError for a drop_path
 */
export async function trainTowers(
  engine: Engine,
  model: PS3,
  crops: CropSource | ImageSource,
  config: TrainConfig,
  options: StageOptions,
): Promise<void> {
  expectKeys('trainTowers', options, STAGE_OPTIONS);
  const objective = towersObjective(model, crops, config, options.transport);
  await optimise('towers', engine, model, objective, config, options);
}

/**
 * Stage 2: trains the whole model on images with boxes and captions, in place.
 *
 * @param model    with its tokenizer, its towers trained
 * @param samples  in memory, at least as many as a batch has, sides the model's largest scale; or from elsewhere
 * @throws ShapeError for unknown options, RunError for a loss that is not finite, InterruptedError after the signal; ConfigError for a drop_path
 * Source: Shi et al. 2025, arXiv:2503.19903, pre-training.
 */
export async function trainPS3(
  engine: Engine,
  model: PS3,
  samples: readonly Sample[] | Pick<ImageSource, 'batches'>,
  config: TrainConfig,
  options: StageOptions,
): Promise<void> {
  expectKeys('trainPS3', options, STAGE_OPTIONS);
  const objective = ps3Objective(model, samples, config, options.transport);
  await optimise('ps3', engine, model, objective, config, options);
}

/** The loop of both stages. */
async function optimise<B extends Tensors<B>>(
  name: Metric['stage'],
  engine: Engine,
  model: PS3,
  objective: Objective<B>,
  config: TrainConfig,
  options: StageOptions,
): Promise<void> {
  const { run, resume, signal, transport = SINGLE, onSave, evaluate } = options;
  const { tokensPerSample } = objective;
  const { [name]: stage, loss, ranks, saveEvery, saveEveryMinutes, checkpoints, evaluation } = config;
  expectParts(config, transport.size);
  expectProducts(engine, config.precision);
  const meter = new Meter(transport);
  const isLead = transport.rank === 0;
  const { weightDecay, ...constants } = config.optimizer;
  using optimizer = new AdamW(model.parameters, {
    ...constants,
    lossScale: config.precision.lossScale,
    weightDecay: GROUPS.map(({ decay }) => (decay ? weightDecay : 0)),
    lrScale: GROUPS.map(({ tower }) => (tower || name === 'ps3' ? 1 : 0)),
  });
  const [moment1, moment2] = optimizer.moments;
  const { steps, lossScale, goodSteps, averages } = optimizer;
  // Averages, where there are some, stand in for the weights in a checkpoint, and its state has the weights.
  const state: TrainingState = {
    arenas: { moment1, moment2, ...(averages.length > 0 && { weights: averages }) },
    tensors: { steps, ...(lossScale && { lossScale, goodSteps }) },
  };
  if (resume) await run.restore(model, state);
  const first = resume?.step ?? 0;
  if (first >= stage.steps) return;
  if (resume) optimizer.swapAverages();
  await using batches = objective.batches(resume?.data ?? { step: first });
  let coming = ahead(batches.next());
  const { host } = await coming;
  using training = new TrainingStep(engine, model, objective, host, optimizer, {
    maxLogitScale: loss.maxLogitScale,
    accumulate: stage.accumulate,
    transport: meter.transport,
    reduce: ranks.reduce,
  });
  await expectSameWeights(transport, model.parameters, 'to begin with');
  const log = new StepLog({ stage: name, batch: stage.batch, tokensPerSample }, engine, training, options);
  // One step is read while the next is recorded, so that the GPU does not wait for the host.
  let logged: Promise<void> = Promise.resolve();
  let saved = performance.now();
  for (let step = first; step < stage.steps; step++) {
    const lr = warmupCosine(step, { steps: stage.steps, warmup: stage.warmup, peak: stage.lr });
    optimizer.set({ lr });
    const asked = performance.now();
    const { host, facts, next } = await coming;
    const waitedMs = performance.now() - asked;
    const stepped = await training.run(host);
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
      optimizer.swapAverages();
      const numbers = await evaluate(progress);
      if (checkpoints.best !== null) await keepBest(run.bestPath, model, progress, checkpoints.best, numbers);
      optimizer.swapAverages();
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
      await expectSameWeights(transport, model.parameters, `after step ${step + 1} of ${name}`);
      if (isLead) {
        optimizer.swapAverages();
        await run.save(model, state, progress, checkpoints.keep);
        optimizer.swapAverages();
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
  optimizer.swapAverages();
}

/** Work that is awaited later, if at all: until then its error waits too. */
function ahead<T>(work: Promise<T>): Promise<T> {
  work.catch(() => undefined);
  return work;
}
