// Training in two stages, as the paper does: image and text towers first, PS3 from them.
import { AdamW, type Engine, expectKeys, warmupCosine } from '../../engine/index.ts';
import type { Sample } from '../data/annotations.ts';
import { GROUPS } from '../model/core.ts';
import type { PS3 } from '../model/ps3.ts';
import { BatchLoader, captionIds, classesOf } from './batch_loader.ts';
import type { StageConfig, TrainConfig } from './config.ts';
import { type Batch, pretrainLoss } from './loss.ts';
import type { Metric } from './metrics.ts';
import { InterruptedError, type Progress, RunError, type RunFolder } from './run.ts';
import { type Objective, type Tensors, TrainingStep } from './step.ts';
import { type CropBatch, type CropSource, towersLoss } from './towers.ts';

/** Where a stage writes, and from where it goes on. */
export interface StageOptions {
  /** Where metrics and checkpoints go. */
  readonly run: RunFolder;
  /** Go on from the run's checkpoint. */
  readonly resume?: Progress;
  /** Once it is aborted, training ends after the step at hand, which is saved. */
  readonly signal?: { readonly aborted: boolean };
  /** After every step, with its losses. */
  readonly onStep?: (metric: Metric, samplesPerS: number) => void;
}

const STAGE_OPTIONS = { run: true, resume: true, signal: true, onStep: true } as const;

/** Stage 1: contrast crops of single objects with their names at low resolution. */
export function towersObjective(
  engine: Engine,
  model: PS3,
  crops: CropSource,
  config: Pick<TrainConfig, 'towers'>,
): Objective<CropBatch> {
  const side = model.config.vision.scalesPx[0];
  const { batch: count } = config.towers;
  return {
    batch(step, scope) {
      const { rgba, captions } = crops(step, count);
      return {
        image: engine.tensor(rgba, [count, side, side, 4], { scope }),
        ids: captionIds(engine, model.tokenizer, captions, scope),
        classes: engine.tensor(classesOf(captions), [count], { scope }),
      };
    },
    losses: (batch) => ({ loss: towersLoss(model, batch) }),
  };
}

/** Stage 2: local and global captions, ground-truth selection, box supervision. */
export function ps3Objective(
  engine: Engine,
  model: PS3,
  samples: readonly Sample[],
  { seed, sampling, loss, ps3, method }: Pick<TrainConfig, 'seed' | 'sampling' | 'loss' | 'ps3' | 'method'>,
): Objective<Batch> {
  const loader = new BatchLoader(engine, samples, model.tokenizer, model.config, {
    batchSize: ps3.batch,
    seed,
    globalProbability: method.globalMix ? sampling.globalShare : 0,
    samplesPerImage: method.oneSamplePerImage ? 1 : 2,
    crop: sampling.crop,
    sameCaptionPositives: sampling.sameCaptionPositives,
  });
  const { maxLogitScale: _, ...weights } = loss;
  const { teacherForcing, inBoxPooling } = method;
  return {
    batch: (step, scope) => loader.batch(step, scope),
    losses(batch) {
      const { losses } = pretrainLoss(model, batch, { ...weights, teacherForcing, inBoxPooling });
      const { total, contrastive, bottomUp, topDown } = losses;
      return { loss: total, contrastive, bottomUp, topDown };
    },
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
  crops: CropSource,
  config: TrainConfig,
  options: StageOptions,
): Promise<void> {
  expectKeys('trainTowers', options, STAGE_OPTIONS);
  await optimise('towers', engine, model, towersObjective(engine, model, crops, config), config, options);
}

/**
 * Stage 2: trains the whole model on images with boxes and captions, in place.
 *
 * @param model    with its tokenizer, its towers trained
 * @param samples  at least as many as a batch has; sides are the model's largest scale
 * @throws ShapeError for unknown options, RunError for a loss that is not finite, InterruptedError after the signal; ConfigError for a drop_path
 * Source: Shi et al. 2025, arXiv:2503.19903, pre-training.
 */
export async function trainPS3(
  engine: Engine,
  model: PS3,
  samples: readonly Sample[],
  config: TrainConfig,
  options: StageOptions,
): Promise<void> {
  expectKeys('trainPS3', options, STAGE_OPTIONS);
  await optimise('ps3', engine, model, ps3Objective(engine, model, samples, config), config, options);
}

/** The function that trains a stage. */
const CALLED = { towers: 'trainTowers', ps3: 'trainPS3' } as const;

/** The loop of both stages. */
async function optimise<B extends Tensors<B>>(
  name: Metric['stage'],
  engine: Engine,
  model: PS3,
  objective: Objective<B>,
  config: TrainConfig,
  options: StageOptions,
): Promise<void> {
  const { run, resume, signal } = options;
  const { [name]: stage, loss, saveEvery, saveEveryMinutes } = config;
  const { weightDecay, ...constants } = config.optimizer;
  using optimizer = new AdamW(model.parameters, {
    ...constants,
    weightDecay: GROUPS.map(({ decay }) => (decay ? weightDecay : 0)),
    lrScale: GROUPS.map(({ tower }) => (tower || name === 'ps3' ? 1 : 0)),
  });
  if (resume) await run.restore(optimizer, model);
  using training = new TrainingStep(engine, model, objective, optimizer, loss.maxLogitScale);
  const log = logger(name, stage, training, options);
  // One step is read while the next is recorded, so that the GPU does not wait for the host.
  let logged: Promise<void> = Promise.resolve();
  let saved = performance.now();
  for (let step = resume?.step ?? 0; step < stage.steps; step++) {
    const lr = warmupCosine(step, { steps: stage.steps, warmup: stage.warmup, peak: stage.lr });
    optimizer.set({ lr });
    const values = training.run(step);
    await logged;
    logged = log(step, lr, values);
    const stops = signal?.aborted === true;
    const isLate = performance.now() - saved > 60_000 * (saveEveryMinutes ?? Infinity);
    if (stops || isLate || (step + 1) % saveEvery === 0 || step + 1 === stage.steps) {
      await logged;
      const optimizerSteps = (await optimizer.steps.data())[0];
      await run.save(model, optimizer, { stage: name, step: step + 1, optimizerSteps });
      saved = performance.now();
    }
    if (stops)
      throw new InterruptedError(
        `train: stopped after step ${step + 1} of ${stage.steps} of ${name}, saved.`,
      );
  }
  await logged;
}

/** Writes a step's values to the run once they are read. */
function logger(
  name: Metric['stage'],
  stage: StageConfig,
  training: Pick<TrainingStep<object>, 'firstNonFinite'>,
  { run, resume, onStep }: StageOptions,
) {
  const first = resume?.step ?? 0;
  const started = performance.now();
  return async (step: number, lr: number, reading: Promise<Record<string, number>>): Promise<void> => {
    const values = await reading;
    if (!Number.isFinite(values.loss)) {
      const kernel = await training.firstNonFinite(step);
      const first = kernel ? `, first written by the kernel ${kernel}` : '';
      throw new RunError(
        `${CALLED[name]}: the loss must stay finite, got ${values.loss} at step ${step} of ${name}${first}. Lower ${name}.lr.`,
      );
    }
    const metric: Metric = { stage: name, step, lr, ...values };
    await run.log(metric);
    const seconds = (performance.now() - started) / 1000;
    onStep?.(metric, ((step + 1 - first) * stage.batch) / seconds);
  };
}
