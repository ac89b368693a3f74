// Training in two stages, as the paper does: image and text towers first, PS3 from them.
import {
  AdamW,
  backward,
  type Engine,
  expectKeys,
  type Scope,
  type Tensor,
  warmupCosine,
} from '../../engine/index.ts';
import type { Sample } from '../data/annotations.ts';
import { GROUPS } from '../model/core.ts';
import type { PS3 } from '../model/ps3.ts';
import { BatchLoader, captionIds, classesOf } from './batch_loader.ts';
import { type Batch, type LossOptions, pretrainLoss } from './loss.ts';
import type { Metric } from './metrics.ts';
import type { StagePreset } from './presets.ts';
import { type Progress, RunError, type RunFolder } from './run.ts';
import { type CropBatch, type CropSource, towersLoss } from './towers.ts';

/** How a stage trains, and where it writes. */
export interface StageOptions {
  /** Where metrics and checkpoints go. */
  readonly run: RunFolder;
  /** How long and how fast. */
  readonly stage: StagePreset;
  /** Go on from the run's checkpoint. */
  readonly resume?: Progress;
  /** Steps between checkpoints; default 200. */
  readonly saveEvery?: number;
  /** After every step, with its losses. */
  readonly onStep?: (metric: Metric, samplesPerS: number) => void;
}

/** AdamW's, here and where a step is profiled. */
export const BETAS = [0.9, 0.95] as const;
/** Clip the global gradient norm: small models at high rates need it. */
export const MAX_NORM = 1;
const WEIGHT_DECAY = 0.05;

/** What a stage descends: its batches, and their losses. */
export interface Objective<B> {
  /** The batch of a step, in `scope`; depends on the number of the step alone. */
  batch(step: number, scope: Scope): B;
  /** The loss to descend as `loss`, and others to log; [1] each. */
  losses(batch: B): { loss: Tensor } & Record<string, Tensor>;
}

/** How the second stage's losses are computed, and from which batches. */
export interface PS3ObjectiveOptions extends LossOptions {
  /** Decides the order of the images, captions and boxes. */
  readonly seed: number;
  /** Captions of whole images besides those of boxes; default true. */
  readonly globalMix?: boolean;
}

/** How the second stage trains. */
export interface PS3StageOptions extends StageOptions, PS3ObjectiveOptions {}

const STAGE_OPTIONS = { run: true, stage: true, resume: true, saveEvery: true, onStep: true } as const;
const PS3_STAGE_OPTIONS = {
  ...STAGE_OPTIONS,
  seed: true,
  recipe: true,
  teacherForcing: true,
  inBoxPooling: true,
  globalMix: true,
} as const;

/** Stage 1: contrast crops of single objects with their names at low resolution. */
export function towersObjective(
  engine: Engine,
  model: PS3,
  crops: CropSource,
  stage: Pick<StagePreset, 'batch'>,
): Objective<CropBatch> {
  const side = model.config.vision.scalesPx[0];
  return {
    batch(step, scope) {
      const { rgba, captions } = crops(step, stage.batch);
      return {
        image: engine.tensor(rgba, [stage.batch, side, side, 4], { scope }),
        ids: captionIds(engine, model.tokenizer, captions, scope),
        classes: engine.tensor(classesOf(captions), [stage.batch], { scope }),
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
  { batch, seed, globalMix = true, ...loss }: PS3ObjectiveOptions & Pick<StagePreset, 'batch'>,
): Objective<Batch> {
  const options = { batch, seed, globalProbability: globalMix ? undefined : 0 };
  const loader = new BatchLoader(engine, samples, model.tokenizer, model.config, options);
  return {
    batch: (step, scope) => loader.batch(step, scope),
    losses(batch) {
      const { total, contrastive, bottomUp, topDown } = pretrainLoss(model, batch, loss).losses;
      return { loss: total, contrastive, bottomUp, topDown };
    },
  };
}

/**
 * Stage 1: trains the image and text towers on crops of one object, in place; nothing else of the model changes.
 *
 * @param model  with its tokenizer
 * @throws ShapeError for unknown options, RunError for a loss that is not finite; ConfigError for a drop_path
 */
export async function trainTowers(
  engine: Engine,
  model: PS3,
  crops: CropSource,
  options: StageOptions,
): Promise<void> {
  expectKeys('trainTowers', options, STAGE_OPTIONS);
  await optimise('towers', engine, model, towersObjective(engine, model, crops, options.stage), options);
}

/**
 * Stage 2: trains the whole model on images with boxes and captions, in place.
 *
 * @param model    with its tokenizer, its towers trained
 * @param samples  at least as many as a batch has; sides are the model's largest scale
 * @throws ShapeError for unknown options, RunError for a loss that is not finite; ConfigError for a drop_path
 * Source: Shi et al. 2025, arXiv:2503.19903, pre-training.
 */
export async function trainPS3(
  engine: Engine,
  model: PS3,
  samples: readonly Sample[],
  options: PS3StageOptions,
): Promise<void> {
  expectKeys('trainPS3', options, PS3_STAGE_OPTIONS);
  const { run, stage, resume, saveEvery, onStep, ...rest } = options;
  const objective = ps3Objective(engine, model, samples, { ...rest, batch: stage.batch });
  await optimise('ps3', engine, model, objective, { run, stage, resume, saveEvery, onStep });
}

/** The loop of both stages. */
async function optimise<B>(
  name: Metric['stage'],
  engine: Engine,
  model: PS3,
  objective: Objective<B>,
  options: StageOptions,
): Promise<void> {
  const { run, stage, resume, saveEvery = 200 } = options;
  const optimizer = new AdamW(model.parameters, {
    betas: BETAS,
    maxNorm: MAX_NORM,
    weightDecay: GROUPS.map(({ decay }) => (decay ? WEIGHT_DECAY : 0)),
    lrScale: GROUPS.map(({ tower }) => (tower || name === 'ps3' ? 1 : 0)),
  });
  if (resume) {
    await run.restore(optimizer, model);
    await run.rewind(resume);
  }
  const log = logger(name, options);
  // One step is read while the next is recorded, so that the GPU does not wait for the host.
  let logged: Promise<void> = Promise.resolve();
  for (let step = resume?.step ?? 0; step < stage.steps; step++) {
    using scope = engine.scope();
    const batch = objective.batch(step, scope);
    const losses = objective.losses(batch);
    backward(losses.loss);
    const lr = warmupCosine(step, { steps: stage.steps, warmup: stage.warmup, peak: stage.lr });
    optimizer.set({ lr });
    optimizer.step();
    model.clampLogitScale();
    const values = read({ ...losses, gradNormSquared: optimizer.gradNormSquared });
    await logged;
    logged = log(step, lr, values);
    if ((step + 1) % saveEvery === 0 || step + 1 === stage.steps) {
      await logged;
      const optimizerSteps = (await optimizer.steps.data())[0];
      await run.save(model, optimizer, { stage: name, step: step + 1, optimizerSteps });
    }
  }
  await logged;
  optimizer.dispose();
}

/** Begins to read scalars at once. */
async function read(scalars: Readonly<Record<string, Tensor>>): Promise<Record<string, number>> {
  const reads = Object.entries(scalars).map(
    async ([key, scalar]) => [key, (await scalar.data())[0]] as const,
  );
  return Object.fromEntries(await Promise.all(reads));
}

/** Writes a step's values to the run once they are read. */
function logger(name: Metric['stage'], { run, stage, resume, onStep }: StageOptions) {
  const first = resume?.step ?? 0;
  const started = performance.now();
  return async (step: number, lr: number, reading: Promise<Record<string, number>>): Promise<void> => {
    const values = await reading;
    if (!Number.isFinite(values.loss))
      throw new RunError(
        `train: the loss must stay finite, got ${values.loss} at step ${step} of ${name}. Lower the stage's lr in ps3/train/presets.ts.`,
      );
    const metric: Metric = { stage: name, step, lr, ...values };
    await run.log(metric);
    const seconds = (performance.now() - started) / 1000;
    onStep?.(metric, ((step + 1 - first) * stage.batch) / seconds);
  };
}
