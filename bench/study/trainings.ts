// Trainings of the study, through the trainer: towers once per seed, then every arm from them.
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Engine } from '../../engine/index.ts';
import type { TrainingData } from '../../ps3/app/training_data.ts';
import { isTower, partOf } from '../../ps3/model/parts.ts';
import { PS3 } from '../../ps3/model/ps3.ts';
import type { TrainConfig } from '../../ps3/train/config.ts';
import type { StageOptions } from '../../ps3/train/optimise.ts';
import { RunFolder } from '../../ps3/train/run.ts';
import { newModel } from '../../ps3/train/start.ts';
import type { CropSource } from '../../ps3/train/towers.ts';
import { trainPS3, trainTowers } from '../../ps3/train/train.ts';

/** What a training leaves. */
export interface Trained {
  /** Folder of the checkpoint. */
  readonly checkpoint: string;
  readonly steps: number;
  /** Floating-point operations of a step, as its kernels declare them. */
  readonly stepFlops?: number;
  /** Median time of a step. */
  readonly stepMs?: number;
}

/** What a training is on. */
export interface StudyData extends Pick<TrainingData, 'train'> {
  readonly crops: CropSource;
  readonly captions: readonly string[];
}

/** Crops of a seed: no step of one seed shows those of another. */
function cropsOf(crops: CropSource, seed: number): CropSource {
  return (step, count) => crops(step + 1_000_000 * seed, count);
}

/** One stage in a cell's folder, gone on with where it was interrupted. */
async function trained(
  engine: Engine,
  folder: string,
  config: TrainConfig,
  made: () => Promise<PS3>,
  stage: (model: PS3, options: StageOptions) => Promise<void>,
): Promise<Trained> {
  const path = join(folder, 'run');
  let run = new RunFolder(path);
  const resume = (await run.exists()) ? await run.recover() : undefined;
  if (!resume && existsSync(path)) rmSync(path, { recursive: true });
  if (!resume) run = await RunFolder.create(path, config);
  else await run.rewind(resume);
  using model = resume ? await PS3.load(engine, await run.newest()) : await made();
  await stage(model, { run, resume });
  const speeds = (await run.metrics()).flatMap(({ speed }) => speed ?? []);
  const middle = speeds
    .map(({ stepMs }) => stepMs)
    .sort((a, b) => a - b)
    .at(speeds.length >> 1);
  const flops = speeds.map(({ gflopPerS = 0, stepMs }) => gflopPerS * stepMs * 1e6).at(-1);
  return { checkpoint: await run.newest(), steps: speeds.length, stepFlops: flops, stepMs: middle };
}

/** Stage 1 of a seed. */
export function trainStart(
  engine: Engine,
  folder: string,
  config: TrainConfig,
  { crops, captions }: StudyData,
): Promise<Trained> {
  return trained(
    engine,
    folder,
    config,
    async () => newModel(engine, config, captions),
    (model, options) => trainTowers(engine, model, cropsOf(crops, config.seed), config, options),
  );
}

/** Stage 2 of an arm: its own model with the weights of the towers, whatever else its configuration has. */
export function trainArm(
  engine: Engine,
  folder: string,
  config: TrainConfig,
  { train, captions }: StudyData,
  towers: string,
): Promise<Trained> {
  const begin = async (): Promise<PS3> => {
    const model = newModel(engine, config, captions);
    using start = await PS3.load(engine, towers);
    for (const name of start.parameters.names)
      if (isTower(partOf(name))) model.parameters.get(name).write(start.parameters.get(name));
    return model;
  };
  return trained(engine, folder, config, begin, (model, options) =>
    trainPS3(engine, model, train, config, options),
  );
}
