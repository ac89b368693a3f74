// Training in two stages, as the paper does: image and text towers first, PS3 from them.
import { AdamW, type Engine, expectKeys } from '../../engine/index.ts';
import type { Sample } from '../data/annotations.ts';
import { tiledTokens } from '../model/baselines/tiled.ts';
import { total as sum } from '../model/config/config.ts';
import { GROUPS } from '../model/core.ts';
import type { PS3 } from '../model/ps3.ts';
import type { Grid } from '../model/vision/scales.ts';
import { RanksError, SINGLE, type Transport } from '../ranks/transport.ts';
import { BatchLoader } from './batch_loader.ts';
import { type Batches, batchesByStep, type Made } from './batches.ts';
import type { StageConfig, TrainConfig } from './config.ts';
import type { ImageSource } from './image_source.ts';
import { type Batch, baselineObjective, pretrainObjective } from './loss.ts';
import { optimise, STAGE_OPTIONS, type StageOptions } from './optimise.ts';
import { type Objective, partsOf, type Tensors } from './phases.ts';
import { withPrecision } from './precision.ts';
import type { StageName } from './run/progress.ts';
import { TrainingStep } from './step.ts';
import { type CropBatch, type CropSource, cropBatch, cropSidePx, towersForward } from './towers.ts';

/** Which of several ranks takes a part of every batch. */
export type Share = Pick<Transport, 'rank' | 'size'>;

/** A rank's parts of batches, in which equal classes are equal captions of the whole. */
export function ownBatches<B>(whole: Batches<B>, { rank, size }: Share): Batches<B> {
  if (size === 1) return whole;
  return {
    next: async () => {
      const { host, ...others } = await whole.next();
      return { host: partsOf(host, size)[rank], ...others };
    },
    [Symbol.asyncDispose]: () => whole[Symbol.asyncDispose](),
  };
}

/** @throws RanksError when a batch does not divide into equal parts for ranks and accumulation */
export function expectStageParts(
  name: StageName,
  { batch, accumulate }: Pick<StageConfig, 'batch' | 'accumulate'>,
  size: number,
): void {
  if (batch % (size * accumulate) !== 0)
    throw new RanksError(
      `train: ${name}.batch, of all ranks together, must be a multiple of ${size} ranks times ${name}.accumulate, got ${batch} and ${accumulate}. Change one of them.`,
    );
}

/**
 * @param size  of the ranks that train together
 * @throws as `expectStageParts`
 */
export function expectParts(config: Pick<TrainConfig, 'towers' | 'ps3'>, size: number): void {
  for (const name of ['towers', 'ps3'] as const) expectStageParts(name, config[name], size);
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
  await train('towers', engine, model, objective, config, options);
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
  await train('ps3', engine, model, objective, config, options);
}

/** What the loop trains: all of a model in the second stage, its towers alone in the first. */
async function train<B extends Tensors<B>>(
  name: 'towers' | 'ps3',
  engine: Engine,
  model: PS3,
  objective: Objective<B>,
  config: TrainConfig,
  options: StageOptions,
): Promise<void> {
  const { weightDecay, ...constants } = config.optimizer;
  const { loss, ranks } = config;
  using optimizer = new AdamW(model.parameters, {
    ...constants,
    lossScale: config.precision.lossScale,
    weightDecay: GROUPS.map(({ decay }) => (decay ? weightDecay : 0)),
    lrScale: GROUPS.map(({ tower }) => (tower || name === 'ps3' ? 1 : 0)),
  });
  const { accumulate } = config[name];
  const { transport: ranked = SINGLE } = options;
  expectParts(config, ranked.size);
  await optimise(
    engine,
    {
      name,
      stage: config[name],
      model,
      parts: [{ parameters: model.parameters, optimizer }],
      batches: objective.batches,
      tokensPerSample: objective.tokensPerSample,
      step: (host, transport) =>
        new TrainingStep(engine, model, objective, host, optimizer, {
          maxLogitScale: loss.maxLogitScale,
          accumulate,
          transport,
          reduce: ranks.reduce,
        }),
    },
    config,
    options,
  );
}
