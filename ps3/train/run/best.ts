// The weights that an evaluation found best: best/ of a run.
import { fileSystem } from '../../../engine/index.ts';
import { progressOf, type Saved, writeCheckpoint } from './checkpoint.ts';
import { RunError } from './errors.ts';
import type { Progress } from './progress.ts';

/** Where the best weights stand: progress.json of best/. */
export interface BestProgress extends Progress {
  /** What they were compared by, such as `retrieval.predicted`. */
  readonly metric: string;
  /** Of the metric. */
  readonly value: number;
}

/** Whether a lower value is better: where a name has the word loss in it. */
const isLowerBetter = (metric: string): boolean => /loss/i.test(metric);

/**
 * Keeps the weights as the best where an evaluation says so: `path` is replaced as a whole.
 *
 * @param path        the run's `bestPath`
 * @param metric      a number of the evaluation by its keys, `retrieval.predicted`; another one than before begins anew
 * @param evaluation  numbers in groups
 * @returns           whether they are the best so far
 * @throws RunError when the evaluation has no such number; FileError
 */
export async function keepBest(
  path: string,
  model: Saved,
  progress: Progress,
  metric: string,
  evaluation: object,
): Promise<boolean> {
  const numbers = new Map(numbersIn(evaluation, ''));
  const value = numbers.get(metric);
  if (value === undefined)
    throw new RunError(
      `keepBest: checkpoints.best must be a number of the evaluation, such as ${[...numbers.keys()].slice(0, 9).join(', ')}, got ${metric}. Resume with --set checkpoints.best=NAME.`,
    );
  const best = await progressOf<BestProgress>(path);
  const isBetter =
    best?.metric !== metric || (isLowerBetter(metric) ? value < best.value : value > best.value);
  const found: BestProgress = { ...progress, metric, value };
  if (isBetter) await writeCheckpoint(path, model, found);
  return isBetter;
}

/** Puts the best weights back that a kill left between the two renames of their replacement. */
export async function recoverBest(path: string): Promise<void> {
  const { rename, rm } = await fileSystem();
  const last = `${path}.last`;
  await rename(last, path).catch((cause: NodeJS.ErrnoException) => {
    // There are none, or the new ones are there already.
    if (!['ENOENT', 'ENOTEMPTY', 'EEXIST'].includes(cause.code ?? '')) throw cause;
  });
  await rm(last, { recursive: true, force: true });
}

/** Every number of an object by the path of its keys. */
function numbersIn(value: unknown, path: string): [string, number][] {
  if (typeof value === 'number') return [[path, value]];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => numbersIn(inner, path ? `${path}.${key}` : key));
}
