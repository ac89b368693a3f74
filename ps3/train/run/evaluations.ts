// What a run scored: evaluation.json at its end, and a line of evaluations.jsonl for each evaluation on the way.
import { fileSystem, readTextFile } from '../../../engine/index.ts';
import { writeWhole } from '../../model/checkpoint/writer.ts';
import type { Evaluation } from '../evaluate.ts';
import { readSteps } from '../metrics.ts';
import { compareProgress, type Progress } from './progress.ts';

/** An evaluation on the way. */
export interface IntervalEvaluation extends Pick<Progress, 'stage' | 'step'> {
  readonly evaluation: Evaluation;
}

const pathOf = (run: string): string => `${run}/evaluations.jsonl`;

/** Appends a line. @param run  path of its folder */
export async function appendEvaluation(run: string, line: IntervalEvaluation): Promise<void> {
  const { appendFile } = await fileSystem();
  await appendFile(pathOf(run), `${JSON.stringify(line)}\n`);
}

/** The evaluations on the way, each step once, the last time it was done. @param notice  told of broken lines */
export function readEvaluations(
  run: string,
  notice: (sentence: string) => void,
): Promise<IntervalEvaluation[]> {
  return readSteps<IntervalEvaluation>(pathOf(run), notice);
}

/** Leaves out what comes after a checkpoint, all of it where there is none, and the end, before a run goes on. */
export async function rewindEvaluations(
  run: string,
  progress: Progress | undefined,
  notice: (sentence: string) => void,
): Promise<void> {
  const lines = await readEvaluations(run, notice);
  const kept = lines.filter((line) => progress && compareProgress(line, progress) <= 0);
  if (kept.length < lines.length)
    await writeWhole(pathOf(run), kept.map((line) => `${JSON.stringify(line)}\n`).join(''));
  const { rm } = await fileSystem();
  await rm(`${run}/evaluation.json`, { force: true });
}

/** Writes evaluation.json, whole or not at all. */
export function writeEvaluation(run: string, evaluation: Evaluation): Promise<void> {
  return writeWhole(`${run}/evaluation.json`, `${JSON.stringify(evaluation, undefined, 2)}\n`);
}

/** What evaluation.json holds; undefined where there is none. */
export async function readEvaluation(run: string): Promise<Evaluation | undefined> {
  const path = `${run}/evaluation.json`;
  const { stat } = await fileSystem();
  if (!(await stat(path).catch(() => undefined))) return undefined;
  return JSON.parse(await readTextFile(path)) as Evaluation;
}
