// What a run scored: evaluation.json at its end, and a line of evaluations.jsonl for each evaluation on the way.
import { fileSystem, readTextFile } from '../../../engine/index.ts';
import { writeWhole } from '../../model/checkpoint/writer.ts';
import type { Evaluation } from '../evaluate.ts';
import type { QuestionsEvaluation } from '../evaluation/questions.ts';
import type { ZeroShotResult } from '../evaluation/zero_shot.ts';
import { readSteps } from '../metrics.ts';
import { compareProgress, type Progress } from './progress.ts';

/** An evaluation on the way. */
export interface IntervalEvaluation extends Pick<Progress, 'stage' | 'step'> {
  readonly evaluation: Evaluation;
}

/** What `ps3 eval --zero-shot` found of a checkpoint. */
export interface ZeroShotEvaluation extends Pick<Progress, 'stage' | 'step'> {
  readonly zeroShot: ZeroShotResult & {
    /** Of the labelled images. */
    readonly folder: string;
  };
}

type Line = IntervalEvaluation | ZeroShotEvaluation;

const pathOf = (run: string): string => `${run}/evaluations.jsonl`;

/** Lines of one step that say different things. */
function kindOf(line: Line): string {
  if ('evaluation' in line) return '';
  const { folder, templates } = line.zeroShot;
  return `${templates} ${folder}`;
}

/** Appends a line. @param run  path of its folder */
export async function appendEvaluation(run: string, line: Line): Promise<void> {
  const { appendFile, readFile } = await fileSystem();
  const path = pathOf(run);
  const before = await readFile(path, 'utf8').catch((cause: NodeJS.ErrnoException): string => {
    if (cause.code === 'ENOENT') return '';
    throw cause;
  });
  // A kill may have cut the last line.
  const end = before === '' || before.endsWith('\n') ? '' : '\n';
  await appendFile(path, `${end}${JSON.stringify(line)}\n`);
}

const readLines = (run: string, notice: (sentence: string) => void): Promise<Line[]> =>
  readSteps<Line>(pathOf(run), notice, kindOf);

/** The evaluations on the way, each step once, the last time it was done. @param notice  told of broken lines */
export async function readEvaluations(
  run: string,
  notice: (sentence: string) => void,
): Promise<IntervalEvaluation[]> {
  return (await readLines(run, notice)).flatMap((line) => ('evaluation' in line ? [line] : []));
}

/** What was found by `ps3 eval --zero-shot`, the last time for each step, folder and number of templates. */
export async function readZeroShot(
  run: string,
  notice: (sentence: string) => void,
): Promise<ZeroShotEvaluation[]> {
  return (await readLines(run, notice)).flatMap((line) => ('zeroShot' in line ? [line] : []));
}

/** Leaves out what comes after a checkpoint, all of it where there is none, and the end, before a run goes on. */
export async function rewindEvaluations(
  run: string,
  progress: Progress | undefined,
  notice: (sentence: string) => void,
): Promise<void> {
  const lines = await readLines(run, notice);
  const kept = lines.filter((line) => progress && compareProgress(line, progress) <= 0);
  const { rm, stat } = await fileSystem();
  if (await stat(pathOf(run)).catch(() => undefined))
    await writeWhole(pathOf(run), kept.map((line) => `${JSON.stringify(line)}\n`).join(''));
  for (const name of ['evaluation.json', QUESTIONS]) await rm(`${run}/${name}`, { force: true });
}

/** Writes evaluation.json, whole or not at all. */
export function writeEvaluation(run: string, evaluation: Evaluation): Promise<void> {
  return writeWhole(`${run}/evaluation.json`, `${JSON.stringify(evaluation, undefined, 2)}\n`);
}

/** What evaluation.json holds; undefined where there is none. */
export function readEvaluation(run: string): Promise<Evaluation | undefined> {
  return readJsonIfThere<Evaluation>(`${run}/evaluation.json`);
}

const QUESTIONS = 'questions.json';

/** Writes questions.json, how a VILA-HD answered, whole or not at all. */
export function writeQuestions(run: string, evaluation: QuestionsEvaluation): Promise<void> {
  return writeWhole(`${run}/${QUESTIONS}`, `${JSON.stringify(evaluation, undefined, 2)}\n`);
}

/** What questions.json holds; undefined where there is none. */
export function readQuestions(run: string): Promise<QuestionsEvaluation | undefined> {
  return readJsonIfThere<QuestionsEvaluation>(`${run}/${QUESTIONS}`);
}

async function readJsonIfThere<T>(path: string): Promise<T | undefined> {
  const { stat } = await fileSystem();
  if (!(await stat(path).catch(() => undefined))) return undefined;
  return JSON.parse(await readTextFile(path)) as T;
}
