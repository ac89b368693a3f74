// A checkpoint's folder: the published layout, progress.json, the training state of one to go on from, and the manifest.
import { fileSystem } from '../../../engine/index.ts';
import { writeWhole } from '../../model/checkpoint/writer.ts';
import { replaceFolder, writeManifest } from './manifest.ts';
import type { Progress } from './progress.ts';
import { STATE, type TrainingState, writeState } from './state.ts';

/** Name of the file that says where a checkpoint stands. */
export const PROGRESS = 'progress.json';

/** Where a checkpoint stands; undefined where there is none, or no whole progress.json. */
export async function progressOf<P extends Progress>(folder: string): Promise<P | undefined> {
  const { readFile } = await fileSystem();
  const text = await readFile(`${folder}/${PROGRESS}`, 'utf8').catch(() => '');
  try {
    return JSON.parse(text) as P;
  } catch (cause) {
    if (cause instanceof SyntaxError) return undefined;
    throw cause;
  }
}

/** A model that writes itself into a folder. */
export interface Saved {
  /** Writes its files. @param folder  is made where there is none */
  save(folder: string): Promise<void>;
}

/** What is in a checkpoint besides, and where the one before goes. */
export interface CheckpointOptions {
  /** What training goes on from. */
  readonly state?: TrainingState;
  /** Where the checkpoint goes that is in the place now; it is removed without one. */
  readonly former?: string;
}

/** Writes a checkpoint beside its place, flushes it to the disk and puts it there. @throws FileError */
export async function writeCheckpoint(
  path: string,
  model: Saved,
  progress: Progress,
  { state, former }: CheckpointOptions = {},
): Promise<void> {
  const { rm } = await fileSystem();
  const next = `${path}.next`;
  await rm(next, { recursive: true, force: true });
  try {
    await model.save(next);
    if (state) await writeState(`${next}/${STATE}`, state);
    await writeWhole(`${next}/${PROGRESS}`, `${JSON.stringify(progress)}\n`);
    await writeManifest(next);
    await replaceFolder(next, path, former);
  } finally {
    await rm(next, { recursive: true, force: true });
  }
}
