// A run is a folder:
//
//   config.json, environment.json, metrics.jsonl, and report.html at the end
//   data.json               the fingerprint of what it is trained on
//   checkpoint/             the newest checkpoint: the published layout, progress.json, training_state.safetensors and
//                           manifest.json with the checksums of all of these
//   earlier/ps3-0000200/    those before it, where `checkpoints.keep` asks for more than one
//   best/                   weights of the best evaluation by `checkpoints.best`, with the checksums too
//   damaged/                what was found broken, out of the way

import { assertWritableFolder, fileSystem, makeFolder, readTextFile } from '../../engine/index.ts';
import type { Fingerprint } from '../data/collection.ts';
import { writeWhole } from '../model/checkpoint/writer.ts';
import { parseTrainConfig, type TrainConfig } from './config.ts';
import { appendMetric, type Metric, readMetrics, rewindMetrics } from './metrics.ts';
import { recoverBest } from './run/best.ts';
import { PROGRESS, progressOf, type Saved, writeCheckpoint } from './run/checkpoint.ts';
import { RunError } from './run/errors.ts';
import { damageOf, MANIFEST, replaceFolder } from './run/manifest.ts';
import { compareProgress, nameOf, type Progress, progressNamed } from './run/progress.ts';
import { readState, STATE, type TrainingState } from './run/state.ts';

export { InterruptedError, RunError } from './run/errors.ts';
export type { Progress, StageName } from './run/progress.ts';
export type { TrainingState } from './run/state.ts';

/** Told something in a sentence. */
export type Notice = (sentence: string) => void;

const DATA = 'data.json';
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
    if (await new RunFolder(path).exists())
      throw new RunError(
        `RunFolder.create: ${path} must be a new folder, got one with a run. Pass --resume or another --out.`,
      );
  }

  /**
   * Begins a run.
   *
   * @param environment  what it runs on, for `environment.json`: versions and adapter
   * @param data         what it is trained on, for `data.json`
   * @throws RunError, FileError as `assertFree`
   */
  static async create(
    path: string,
    config: TrainConfig,
    environment?: Readonly<Record<string, string>>,
    data?: Fingerprint,
  ): Promise<RunFolder> {
    await RunFolder.assertFree(path);
    const folder = new RunFolder(path);
    await makeFolder(path);
    if (environment) await folder.#json('environment.json', environment);
    if (data) await folder.#json(DATA, data);
    await folder.setConfig(config); // the last: a folder with one is a run
    return folder;
  }

  #json(name: string, value: unknown): Promise<void> {
    return writeWhole(`${this.path}/${name}`, `${JSON.stringify(value, undefined, 2)}\n`);
  }

  /** Replaces the configuration, which a run that goes on may change in parts: see `resumedConfig`. */
  setConfig(config: TrainConfig): Promise<void> {
    return this.#json('config.json', config);
  }

  /** @throws RunError unless the data is what the run began with, where it noted that */
  async expectData(data: Fingerprint): Promise<void> {
    const { stat } = await fileSystem();
    const path = `${this.path}/${DATA}`;
    if (!(await stat(path).catch(() => undefined))) return;
    const began = JSON.parse(await readTextFile(path)) as Fingerprint;
    const parts = new Set([...Object.keys(began), ...Object.keys(data)]);
    const other = [...parts].filter((part) => began[part] !== data[part]);
    const was = other.map((part) => `${part}: ${data[part] ?? 'none'} instead of ${began[part] ?? 'none'}`);
    if (other.length > 0)
      throw new RunError(
        `RunFolder.expectData: the data must be what ${this.path} began with, got other ${was.join(', and ')}. Restore it, or begin a new run with init.from=${this.path}.`,
      );
  }

  /** Whether the folder holds a run. */
  async exists(): Promise<boolean> {
    const { stat } = await fileSystem();
    return (await stat(`${this.path}/config.json`).catch(() => undefined)) !== undefined;
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

  /** Where the checkpoint is that `place` names: the newest of a run, where that is one, else `place` itself. */
  static async checkpointOf(place: string, notice: Notice = console.error): Promise<string> {
    const run = new RunFolder(place);
    return (await run.#candidates()).length > 0 ? run.newest(notice) : place;
  }

  /** Folder of the newest checkpoint, in the published layout. */
  get checkpointPath(): string {
    return `${this.path}/checkpoint`;
  }

  /** Folder of the weights with the best evaluation, in the published layout, where there is one. */
  get bestPath(): string {
    return `${this.path}/best`;
  }

  get #earlierPath(): string {
    return `${this.path}/earlier`;
  }

  get #metricsPath(): string {
    return `${this.path}/metrics.jsonl`;
  }

  /** Appends a line to metrics.jsonl. */
  log(metric: Metric): Promise<void> {
    return appendMetric(this.#metricsPath, metric);
  }

  /** The lines of metrics.jsonl, each step once; none when there is no file. */
  metrics(notice: Notice = console.error): Promise<Metric[]> {
    return readMetrics(this.#metricsPath, notice);
  }

  /** Leaves out of metrics.jsonl what is not in the checkpoint, all of it where there is none, before a run goes on. */
  rewind(progress: Progress | undefined, notice: Notice = console.error): Promise<void> {
    return rewindMetrics(this.#metricsPath, progress ?? { stage: 'towers', step: 0 }, notice);
  }

  /** Where the newest checkpoint stands, nothing verified; undefined where there is none. */
  progress(): Promise<Progress | undefined> {
    return progressOf(this.checkpointPath);
  }

  /**
   * Adds a checkpoint. It is written beside the others, flushed to the disk and renamed: a kill leaves the one before.
   *
   * @param keep  checkpoints that stay, this one included
   * @throws FileError, as for a full disk: the ones before stay
   */
  async save(model: Saved, state: TrainingState, progress: Progress, keep = 1): Promise<void> {
    const former = await this.progress();
    await writeCheckpoint(this.checkpointPath, model, progress, {
      state,
      former: former && `${this.#earlierPath}/${nameOf(former)}`,
    });
    const { rm, rmdir } = await fileSystem();
    const earlier = await this.#earlier();
    for (const { path } of earlier.slice(keep - 1)) await rm(path, { recursive: true, force: true });
    if (earlier.length > 0 && keep === 1)
      await rmdir(this.#earlierPath).catch((cause: NodeJS.ErrnoException) => {
        if (cause.code !== 'ENOTEMPTY') throw cause; // files of somebody else
      });
  }

  /**
   * Where the newest whole checkpoint is, its checksums verified, for those who only read it.
   *
   * @param notice  told of damaged ones
   * @throws RunError when there is none
   */
  async newest(notice: Notice = console.error): Promise<string> {
    const damaged: string[] = [];
    for (const path of await this.#candidates()) {
      const { stat } = await fileSystem();
      // As `PS3.save` writes it: nothing to verify it by.
      if (!(await stat(`${path}/${MANIFEST}`).catch(() => undefined))) return path;
      const damage = await damageOf(path, STATE);
      if (damage === undefined) {
        for (const sentence of damaged) notice(`${sentence}; ${path} is used instead.`);
        return path;
      }
      damaged.push(`${path} is damaged, with ${damage}`);
    }
    throw this.#noneWhole('newest', damaged);
  }

  /**
   * Makes the newest whole checkpoint `checkpointPath`, and puts damaged ones out of the way.
   *
   * @param notice  told of damaged ones
   * @returns       where it stands; undefined where the run ended before its first
   * @throws RunError when all are damaged
   */
  async recover(notice: Notice = console.error): Promise<Progress | undefined> {
    const { rename } = await fileSystem();
    await recoverBest(this.bestPath);
    const candidates = await this.#candidates();
    const damaged: [path: string, sentence: string][] = [];
    for (const path of candidates) {
      const damage = await damageOf(path);
      const progress = damage === undefined ? await progressOf(path) : undefined;
      if (!progress) {
        damaged.push([path, `${path} is damaged, with ${damage ?? `no ${PROGRESS}`}`]);
        continue;
      }
      for (const [path, sentence] of damaged) {
        const place = `${this.path}/damaged/${path.slice(path.lastIndexOf('/') + 1)}`;
        await replaceFolder(path, place);
        notice(
          `${sentence}. It is put into ${place}; the run goes on from step ${progress.step} of ${progress.stage}.`,
        );
      }
      if (path !== this.checkpointPath) await rename(path, this.checkpointPath);
      return progress;
    }
    if (candidates.length === 0) return undefined;
    throw this.#noneWhole(
      'recover',
      damaged.map(([, sentence]) => sentence),
    );
  }

  #noneWhole(called: string, damaged: readonly string[]): RunError {
    return new RunError(
      `RunFolder.${called}: ${this.path} must hold a whole checkpoint, got ${damaged.join(', and ') || 'none'}. Restore it from a copy, or begin a new run.`,
    );
  }

  /** Folders of checkpoints that there are, the newest first. */
  async #candidates(): Promise<string[]> {
    const { stat } = await fileSystem();
    const newest = await stat(this.checkpointPath).catch(() => undefined);
    return [...(newest ? [this.checkpointPath] : []), ...(await this.#earlier()).map(({ path }) => path)];
  }

  /** Checkpoints before the newest, the newest of them first. */
  async #earlier(): Promise<{ path: string; progress: Progress }[]> {
    const { readdir } = await fileSystem();
    const names = await readdir(this.#earlierPath).catch((cause: NodeJS.ErrnoException): string[] => {
      if (cause.code === 'ENOENT') return [];
      throw cause;
    });
    const found = names.flatMap((name) => {
      const progress = progressNamed(name);
      return progress ? [{ path: `${this.#earlierPath}/${name}`, progress }] : [];
    });
    return found.sort((a, b) => compareProgress(b.progress, a.progress));
  }

  /** Fills what training goes on from with the checkpoint's. */
  restore(state: TrainingState): Promise<void> {
    return readState(`${this.checkpointPath}/${STATE}`, state);
  }
}
