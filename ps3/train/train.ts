// Training in two stages, as the paper does: image and text towers first, PS3 from them.
import {
  AdamW,
  backward,
  type DispatchTime,
  type Engine,
  type Scope,
  type Tensor,
  warmupCosine,
} from '../../engine/index.ts';
import type { Sample } from '../data/annotations.ts';
import { GROUPS } from '../model/core.ts';
import type { PS3 } from '../model/ps3.ts';
import { captionIds, classesOf, Feed } from './feed.ts';
import { type Ablations, pretrainLoss, type Recipe } from './loss.ts';
import type { Metric } from './metrics.ts';
import type { StagePreset } from './presets.ts';
import { type Progress, RunError, type RunFolder } from './run.ts';
import { type CropSource, towersLoss } from './towers.ts';

/** What a stage trains, and where it writes. */
export interface StageOptions {
  /** Where it runs. */
  readonly engine: Engine;
  /** Where metrics and checkpoints go. */
  readonly run: RunFolder;
  /** The model to train, in place, with its tokenizer. */
  readonly model: PS3;
  /** How long and how fast. */
  readonly stage: StagePreset;
  /** Decides the order of the pictures. */
  readonly seed: number;
  /** Go on from the run's checkpoint. */
  readonly resume?: Progress;
  /** Steps between checkpoints; default 200. */
  readonly saveEvery?: number;
  /** After every step, with its losses. */
  readonly onStep?: (metric: Metric, samplesPerS: number) => void;
}

const BETAS = [0.9, 0.95] as const;
const WEIGHT_DECAY = 0.05;
/** Clip the global gradient norm: small models at high rates need it. */
const MAX_NORM = 1;

type Losses = { loss: Tensor } & Record<string, Tensor>;

/** One step's forward: the loss to descend as `loss`, and others to log. */
type Forward = (step: number, scope: Scope) => Losses;

/** What decides a stage's batches. */
type StageInput = Pick<StageOptions, 'engine' | 'model' | 'stage' | 'seed'>;

/** Switches of the second stage; all on by default. */
export type TrainAblations = Ablations & { readonly globalMix?: boolean };

/** Stage 1: contrast crops of single objects with their names at low resolution. */
export function towersForward({ engine, model, stage }: StageInput, crops: CropSource): Forward {
  const side = model.config.vision.scalesPx[0];
  return (step, scope) => {
    const { rgba, captions } = crops(step, stage.batch);
    const loss = towersLoss(model, {
      image: engine.tensor(rgba, [stage.batch, side, side, 4], { scope }),
      ids: captionIds(engine, model.tokenizer, captions, scope),
      classes: engine.tensor(classesOf(captions), [stage.batch], { scope }),
    });
    return { loss };
  };
}

/** Stage 2: local and global captions, ground-truth selection, box supervision. */
export function ps3Forward(
  { engine, model, stage, seed }: StageInput,
  samples: readonly Sample[],
  recipe: Recipe,
  ablations: TrainAblations = {},
): { forward: Forward; feed: Feed } {
  const globalProbability = ablations.globalMix === false ? 0 : 0.25;
  const options = { batch: stage.batch, seed, globalProbability };
  const feed = new Feed(engine, samples, model.tokenizer, model.config, options);
  const forward: Forward = (_step, scope) => {
    const { losses } = pretrainLoss(model, feed.next(scope), recipe, ablations);
    const { total, contrastive, bottomUp, topDown } = losses;
    return { loss: total, contrastive, bottomUp, topDown };
  };
  return { forward, feed };
}

/** Trains the towers; nothing else moves. */
export async function trainTowers(options: StageOptions, crops: CropSource): Promise<void> {
  await optimise('towers', options, towersForward(options, crops));
}

/** Trains everything. */
export async function trainPS3(
  options: StageOptions,
  samples: readonly Sample[],
  recipe: Recipe,
  ablations: TrainAblations = {},
): Promise<void> {
  const { forward, feed } = ps3Forward(options, samples, recipe, ablations);
  if (options.resume?.sampler) feed.restore(options.resume.sampler);
  await optimise('ps3', options, forward, () => feed.state);
}

/** Milliseconds that a step takes on this machine, once its kernels are compiled. Nothing is learned. */
export async function measureStep({ engine, model }: StageInput, forward: Forward): Promise<number> {
  const times: number[] = [];
  const { parameters } = model;
  parameters.enableGradients();
  for (let step = 0; step < 6; step++) {
    using scope = engine.scope();
    const started = performance.now();
    const { loss } = forward(step, scope);
    backward(loss);
    await loss.data();
    times.push(performance.now() - started);
  }
  parameters.zeroGradients();
  return Math.min(...times.slice(-3)); // whatever else the machine does only adds to it
}

/**
 * GPU time of every dispatch of one training step, optimizer included, once kernels are compiled and buffers made. Changes neither
 * weights nor gradients.
 *
 * @throws UseError unless the engine was made with `profile: true`
 */
export async function profileStep({ engine, model }: StageInput, forward: Forward): Promise<DispatchTime[]> {
  const optimizer = new AdamW(model.parameters, { betas: BETAS });
  for (let step = 0; step < 3; step++) {
    await engine.dispatchTimes();
    using scope = engine.scope();
    backward(forward(step, scope).loss);
    optimizer.step(0, MAX_NORM);
  }
  const times = await engine.dispatchTimes();
  optimizer.dispose();
  return times;
}

/** The loop of both stages. */
async function optimise(
  name: Metric['stage'],
  options: StageOptions,
  forward: Forward,
  samplerState: () => Progress['sampler'] = () => undefined,
): Promise<void> {
  const { engine, run, model, stage, resume, saveEvery = 200, onStep } = options;
  const optimizer = new AdamW(model.parameters, {
    betas: BETAS,
    weightDecay: GROUPS.map(({ decay }) => (decay ? WEIGHT_DECAY : 0)),
    lrScale: GROUPS.map(({ tower }) => (tower || name === 'ps3' ? 1 : 0)),
  });
  if (resume) {
    await run.restore(optimizer, model);
    await run.rewind(resume);
  }
  const first = resume?.step ?? 0;
  const started = performance.now();
  const report = async (
    step: number,
    lr: number,
    reads: Record<string, Promise<ArrayLike<number>>>,
  ): Promise<void> => {
    const values: Record<string, number> = {};
    for (const key in reads) values[key] = (await reads[key])[0];
    if (!Number.isFinite(values.loss))
      throw new RunError(
        `train: the loss must stay finite, got ${values.loss} at step ${step} of ${name}. Lower the stage's lr in ps3/train/presets.ts.`,
      );
    const metric: Metric = { stage: name, step, lr, ...values };
    await run.log(metric);
    const seconds = (performance.now() - started) / 1000;
    onStep?.(metric, ((step + 1 - first) * stage.batch) / seconds);
  };
  // One step is read while the next is recorded, so that the GPU does not wait for the host.
  let reading: Promise<void> = Promise.resolve();
  for (let step = first; step < stage.steps; step++) {
    using scope = engine.scope();
    const losses = forward(step, scope);
    backward(losses.loss);
    const lr = warmupCosine(step, stage.steps, stage.warmup, stage.lr);
    optimizer.step(lr, MAX_NORM);
    model.clampLogitScale();
    const reads = Object.fromEntries(
      Object.entries({ ...losses, gradNormSquared: optimizer.gradNormSquared }).map(([key, t]) => [
        key,
        t.data(),
      ]),
    );
    await reading;
    reading = report(step, lr, reads);
    if ((step + 1) % saveEvery === 0 || step + 1 === stage.steps) {
      await reading;
      const progress = {
        stage: name,
        step: step + 1,
        sampler: samplerState(),
        optimizerSteps: (await optimizer.steps.data())[0],
      };
      await run.save(model, optimizer, progress);
    }
  }
  await reading;
  optimizer.dispose();
}
