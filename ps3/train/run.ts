// A run is a folder: config.json, metrics.jsonl, checkpoint/ (the published layout) with the state to go on from, and
// report.html at the end.
import {
  type AdamW,
  assertWritableFolder,
  EngineError,
  fileSystem,
  makeFolder,
  openSafetensors,
  readTextFile,
  type TensorToWrite,
  writeSafetensors,
} from '../../engine/index.ts';
import { writeWhole } from '../model/checkpoint/writer.ts';
import type { PS3 } from '../model/ps3.ts';
import type { Cursor } from './batches.ts';
import { parseTrainConfig, type TrainConfig } from './config.ts';
import { appendMetric, type Metric, readMetrics, rewindMetrics } from './metrics.ts';

/** A run folder is missing, in use or broken. */
export class RunError extends EngineError {
  constructor(message: string) {
    super('run', message);
  }
}

/** Work was ended in order, as a signal had asked. */
export class InterruptedError extends EngineError {
  constructor(message: string) {
    super('interrupted', message);
  }
}

/** Where training stands. */
export interface Progress {
  /** Which of the two stages of training. */
  readonly stage: 'towers' | 'ps3';
  /** Steps of the stage that are done. */
  readonly step: number;
  /** Steps the optimizer has taken in this stage. */
  readonly optimizerSteps: number;
  /** Where the stage stands in its images; earlier checkpoints have none, which is `{ step }`. */
  readonly data?: Cursor;
}

const STATE = 'training_state.safetensors';

/** The folder of one run: its configuration, metrics and checkpoint. */
export class RunFolder {
  /** Where it is. */
  readonly path: string;

  constructor(path: string) {
    this.path = path.replace(/(?<=.)[\\/]+$/, '') || '.';
  }

  /** @throws RunError when there is a run already, FileError when nothing can be written there */
  static async assertFree(path: string): Promise<void> {
    await assertWritableFolder(path);
    const { stat } = await fileSystem();
    if (await stat(`${path}/config.json`).catch(() => undefined))
      throw new RunError(
        `RunFolder.create: ${path} must be a new folder, got one with a run. Pass --resume or another --out.`,
      );
  }

  /**
   * Begins a run.
   *
   * @param environment  what it runs on, for `environment.json`: versions and adapter
   * @throws RunError, FileError as `assertFree`
   */
  static async create(
    path: string,
    config: TrainConfig,
    environment?: Readonly<Record<string, string>>,
  ): Promise<RunFolder> {
    await RunFolder.assertFree(path);
    const folder = new RunFolder(path);
    await makeFolder(path);
    if (environment)
      await writeWhole(`${path}/environment.json`, `${JSON.stringify(environment, undefined, 2)}\n`);
    await writeWhole(`${path}/config.json`, `${JSON.stringify(config, undefined, 2)}\n`);
    return folder;
  }

  /** @throws RunError when the folder holds no run */
  async config(): Promise<TrainConfig> {
    try {
      return parseTrainConfig(JSON.parse(await readTextFile(`${this.path}/config.json`)));
    } catch (cause) {
      const { message } = cause as Error;
      throw new RunError(
        `RunFolder.config: ${this.path} must hold a run's config.json, got ${message.replace(/\.$/, '')}.`,
      );
    }
  }

  /** Where the checkpoint is that `place` names: in it, where that is the folder of a run, else `place` itself. */
  static async checkpointOf(place: string): Promise<string> {
    const { checkpointPath } = new RunFolder(place);
    const { stat } = await fileSystem();
    return (await stat(`${checkpointPath}/config.json`).catch(() => undefined)) ? checkpointPath : place;
  }

  /** Folder of the checkpoint, in the published layout. */
  get checkpointPath(): string {
    return `${this.path}/checkpoint`;
  }

  get #metricsPath(): string {
    return `${this.path}/metrics.jsonl`;
  }

  /** Appends a line to metrics.jsonl. */
  log(metric: Metric): Promise<void> {
    return appendMetric(this.#metricsPath, metric);
  }

  /** The lines of metrics.jsonl, each step once; none when there is no file. */
  metrics(notice: (sentence: string) => void = console.error): Promise<Metric[]> {
    return readMetrics(this.#metricsPath, notice);
  }

  /** Leaves out of metrics.jsonl what is not in the checkpoint, all of it where there is none, before a run goes on. */
  rewind(progress: Progress | undefined, notice: (sentence: string) => void = console.error): Promise<void> {
    return rewindMetrics(this.#metricsPath, progress ?? { stage: 'towers', step: 0 }, notice);
  }

  /** Replaces the checkpoint. It is written beside the old one and renamed: a kill leaves one of the two. */
  async save(model: PS3, optimizer: AdamW, progress: Progress): Promise<void> {
    const { rename, rm } = await fileSystem();
    const next = `${this.path}/checkpoint.next`;
    await rm(next, { recursive: true, force: true });
    await model.save(next);
    const { parameters } = model;
    const tensors: TensorToWrite[] = optimizer.moments.flatMap((arenas, order) =>
      parameters.names.map((name) => {
        const view = parameters.viewOf(arenas, name);
        const data = async (): Promise<ArrayBufferView> => {
          using moment = view;
          return moment.data();
        };
        return { name: `moment${order + 1}.${name}`, dtype: 'F32', shape: [...view.shape], data };
      }),
    );
    await writeSafetensors(`${next}/${STATE}`, tensors, { progress: JSON.stringify(progress) });
    const last = `${this.path}/checkpoint.last`;
    await rm(last, { recursive: true, force: true });
    await rename(this.checkpointPath, last).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code !== 'ENOENT') throw cause;
    });
    await rename(next, this.checkpointPath);
    await rm(last, { recursive: true, force: true });
  }

  /** Where the checkpoint stands; undefined where the run ended before its first. @throws RunError when it is damaged */
  async progress(): Promise<Progress | undefined> {
    const { rename, stat } = await fileSystem();
    // A kill between the two renames of `save` leaves the old checkpoint under its second name.
    await rename(`${this.path}/checkpoint.last`, this.checkpointPath).catch(
      (cause: NodeJS.ErrnoException) => {
        if (!['ENOENT', 'ENOTEMPTY', 'EEXIST'].includes(cause.code ?? '')) throw cause;
      },
    );
    if (!(await stat(this.checkpointPath).catch(() => undefined))) return undefined;
    const file = await openSafetensors(`${this.checkpointPath}/${STATE}`).catch((cause: Error) => {
      throw new RunError(
        `RunFolder.progress: ${this.path} must hold a whole checkpoint, got ${cause.message}`,
      );
    });
    await using state = file;
    return JSON.parse(state.metadata.progress) as Progress;
  }

  /** Fills an optimizer with the checkpoint's moments. */
  async restore(optimizer: AdamW, model: PS3): Promise<void> {
    await using state = await openSafetensors(`${this.checkpointPath}/${STATE}`);
    const { optimizerSteps } = JSON.parse(state.metadata.progress) as Progress;
    optimizer.steps.write(Uint32Array.of(optimizerSteps));
    for (const [order, arenas] of optimizer.moments.entries())
      for (const name of model.parameters.names) {
        using view = model.parameters.viewOf(arenas, name);
        view.write(await state.f32(`moment${order + 1}.${name}`));
      }
  }
}
