// The score of a whole benchmark, from what somebody replied to each of its questions.
import { DataError } from '../../data/errors.ts';
import type { BenchmarkRecord } from '../record.ts';
import { anls } from './anls.ts';
import { isContained, isExact } from './contained.ts';
import { extractChoice } from './letters.ts';
import { isRelaxedCorrect } from './relaxed.ts';
import { vqaAccuracy } from './vqa.ts';

/** What was said to a question: a text, the losses of its options, or a point in shares of the image's sides. */
export interface Reply {
  readonly reply?: string;
  /** Mean cross-entropy of the tokens of each option: the smallest wins, of equal ones the first, and nothing is parsed. */
  readonly losses?: readonly number[];
  readonly point?: readonly [x: number, y: number];
}

/** One question, scored. */
export interface ScoredQuestion {
  readonly record: BenchmarkRecord;
  /** In [0, 1]. */
  readonly value: number;
  /** No option, or no point, was named. */
  readonly isRefused: boolean;
}

/** Index of the option with the smallest loss. Source: penghao-wu/vstar, vstar_bench_eval.py. */
export function likeliest(losses: readonly number[]): number {
  return losses.reduce((best, loss, i) => (loss < losses[best] ? i : best), 0);
}

/** What a reply to a question scores; a question that chooses among options or points counts a refusal as wrong. */
export function scoreReply(record: BenchmarkRecord, reply: Reply, foldFullWidth = false): ScoredQuestion {
  const { metric, options = [], answer, boxes = [], width, height } = record;
  const text = reply.reply ?? '';
  const of = (value: number | boolean, isRefused = false): ScoredQuestion => ({
    record,
    value: Number(value),
    isRefused,
  });
  if (metric === 'point') {
    if (!reply.point) return of(0, true);
    const [x, y] = [reply.point[0] * width, reply.point[1] * height];
    // Edges count, as ScreenSpot-Pro has it.
    return of(boxes.some(([x1, y1, x2, y2]) => x >= x1 && x <= x2 && y >= y1 && y <= y2));
  }
  if (typeof answer === 'number') {
    const chosen = reply.losses ? likeliest(reply.losses) : extractChoice(text, options);
    return of(chosen === answer, chosen === undefined);
  }
  if (answer.length === 0)
    throw new DataError(
      `benchmark: a question that is scored must have an answer, got none for ${record.id}. The answers of some splits are not public.`,
    );
  if (metric === 'anls') return of(anls(answer, text));
  if (metric === 'relaxed') return of(answer.some((target) => isRelaxedCorrect(text, target)));
  if (metric === 'vqa') return of(vqaAccuracy(answer, text));
  if (metric === 'exact') return of(isExact(answer, text));
  const isFormula = record.subcategory === 'HME100k';
  return of(isContained(answer, text, { isFormula, foldFullWidth }));
}

/** The score of some questions. */
export interface Score {
  /** Questions. */
  readonly count: number;
  /** Mean of what they score; for HR-Bench the mean over rotations of the mean. */
  readonly mean: number;
}

/** The scores of a benchmark. */
export interface BenchmarkScore {
  readonly all: Score;
  /** By `category` and by `category / subcategory`. */
  readonly groups: Readonly<Record<string, Score>>;
  /** Share of the questions with options or points to which none was named; undefined where there are none. */
  readonly refusalRate: number | undefined;
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** Mean over rotations of the mean of each, which is the mean where none are rotated. Source: HR-Bench. */
function scoreOf(questions: readonly ScoredQuestion[]): Score {
  const cycles = new Map<number, number[]>();
  for (const { record, value } of questions) {
    const cycle = record.cycle ?? 0;
    cycles.set(cycle, [...(cycles.get(cycle) ?? []), value]);
  }
  return { count: questions.length, mean: mean([...cycles.values()].map(mean)) };
}

/**
 * Puts scored questions together: over all (of MME-RealWorld and V*, the share of questions, not the mean of categories),
 * and by category and subcategory.
 *
 * @param questions  at least one
 */
export function summarize(questions: readonly ScoredQuestion[]): BenchmarkScore {
  const groups = new Map<string, ScoredQuestion[]>();
  for (const question of questions) {
    const { category, subcategory } = question.record;
    const names = [category, category && subcategory && `${category} / ${subcategory}`];
    for (const name of names) if (name) groups.set(name, [...(groups.get(name) ?? []), question]);
  }
  const asked = questions.filter(
    ({ record }) => record.metric === 'point' || typeof record.answer === 'number',
  );
  const refused = asked.filter(({ isRefused }) => isRefused).length;
  return {
    all: scoreOf(questions),
    groups: Object.fromEntries([...groups].map(([name, members]) => [name, scoreOf(members)])),
    refusalRate: asked.length === 0 ? undefined : refused / asked.length,
  };
}
