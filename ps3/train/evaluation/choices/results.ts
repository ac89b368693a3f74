// How models answered a benchmark: by resolution, category and need, with intervals by image.
import { NEEDS, type Need, needOf } from '../../../benchmarks/build/choose.ts';
import type { BenchmarkRecord } from '../../../benchmarks/record.ts';
import { total } from '../../../model/config/config.ts';
import { type Answer, type Estimate, ImageBootstrap } from '../intervals.ts';
import { type Answered, rightShare } from './ask.ts';
import type { Latency } from './latency.ts';
import { RESOLUTIONS, type Showing } from './views.ts';

/** The model that is none: what the benchmark's own reader reads. */
export const READER = 'reader (Tesseract)';

/** Of all questions, and by what they need. */
export interface Estimates {
  readonly all: Estimate;
  readonly needs: Readonly<Partial<Record<Need, Estimate>>>;
}

/** How a model answers what it is shown in one way: shares of right answers; of options that it cannot tell apart, each counts by its share. */
export interface ShowingResult extends Estimates {
  readonly model: string;
  readonly showing: Showing;
  readonly categories: Readonly<Record<string, Estimate | undefined>>;
  /** Share of the answer's patches that it looked at, of all questions and by need; undefined where it takes in all at once. */
  readonly looked?: Estimates;
  /** Share of questions of which it could not tell any two options apart. */
  readonly untold: number;
}

/** What a category needs, beside what its images have. */
export interface CategoryNeeds {
  readonly questions: number;
  readonly images: number;
  /** Long side of the images, pixels. */
  readonly imagePx: number;
  /** Least long side at which the reader is right. */
  readonly neededPx: Estimate;
  readonly needs: Readonly<Record<Need, number>>;
}

/** All of it, as it is stored. */
export interface BenchmarkResults {
  readonly questions: number;
  readonly images: number;
  /** What guessing gives. */
  readonly chance: number;
  readonly categories: Readonly<Record<string, CategoryNeeds>>;
  readonly results: readonly ShowingResult[];
  /** Of VILA-HDs, with parts of all patches. */
  readonly latencies?: readonly Latency[];
}

/** Of intervals. */
const SEED = 1;

/**
 * Puts answers together. A question's rotations are one answer, the mean of theirs.
 *
 * @param records  all rotations of all questions
 */
export function resultsOf(
  records: readonly BenchmarkRecord[],
  answers: readonly Answered[],
): BenchmarkResults {
  const first = records.filter(({ cycle }) => !cycle);
  const groups = [...new Set(first.map(({ group }) => group))];
  const imageOf = new Map(groups.map((group, i) => [group, i]));
  const bootstrap = new ImageBootstrap(groups.length, SEED);
  const categories = [...new Set(first.map(({ category = 'none' }) => category))];
  const estimate = (
    values: ReadonlyMap<BenchmarkRecord, number>,
    isMeant: (record: BenchmarkRecord) => boolean,
  ): Estimate | undefined =>
    bootstrap.estimate(
      [...values]
        .filter(([record]) => isMeant(record))
        .map(([{ group }, value]): Answer => ({ image: imageOf.get(group)!, value })),
    );
  const estimates = (values: ReadonlyMap<BenchmarkRecord, number>): Estimates | undefined => {
    const all = estimate(values, () => true);
    const needs = NEEDS.flatMap((need) => {
      const of = estimate(values, (record) => record.leastPx !== undefined && needOf(record) === need);
      return of ? [[need, of]] : [];
    });
    return all && { all, needs: Object.fromEntries(needs) };
  };
  const resultOf = (
    model: string,
    showing: Showing,
    values: ReadonlyMap<BenchmarkRecord, number>,
    untold: number,
  ): ShowingResult => ({
    ...{ model, showing, untold },
    ...estimates(values)!,
    categories: Object.fromEntries(
      categories.map((name) => [name, estimate(values, ({ category = 'none' }) => category === name)]),
    ),
  });
  const readable = first.filter(({ leastPx }) => leastPx !== undefined);
  const reader = RESOLUTIONS.flatMap((showing) => {
    if (readable.length === 0) return [];
    const values = new Map(readable.map((record) => [record, Number(record.leastPx!.reader <= showing)]));
    return [resultOf(READER, showing, values, 0)];
  });
  const rows = new Map<string, Answered[]>();
  for (const answered of answers) {
    const key = `${answered.model}\n${answered.showing}`;
    rows.set(key, [...(rows.get(key) ?? []), answered]);
  }
  const byId = new Map(records.map((record) => [record.id, record]));
  const nameOf = ({ id, cycle }: BenchmarkRecord): string =>
    cycle === undefined ? id : id.slice(0, -`-${cycle}`.length);
  const firsts = new Map(first.map((record) => [nameOf(record), record]));
  const models = [...rows.values()].map((own) => {
    // Of each question the mean over its rotations.
    const means = (
      of: (answered: Answered, record: BenchmarkRecord) => number | undefined,
    ): Map<BenchmarkRecord, number> => {
      const lists = new Map<BenchmarkRecord, number[]>();
      for (const answered of own) {
        const record = byId.get(answered.id);
        const question = record && firsts.get(nameOf(record));
        const value = record && of(answered, record);
        if (question && value !== undefined) lists.set(question, [...(lists.get(question) ?? []), value]);
      }
      return new Map([...lists].map(([question, list]) => [question, total(list) / list.length]));
    };
    const right = means(({ scores }, { answer }) => rightShare(scores, Number(answer)));
    const untold = own.filter(({ scores }) => new Set(scores).size === 1).length / own.length;
    const looked = estimates(means(({ looked }) => looked));
    return { ...resultOf(own[0].model, own[0].showing, right, untold), ...(looked && { looked }) };
  });
  return {
    questions: first.length,
    images: groups.length,
    chance: first.reduce((sum, { options = [] }) => sum + 1 / options.length, 0) / first.length,
    categories: Object.fromEntries(
      categories
        .map((name) => [
          name,
          needsOf(
            readable.filter(({ category = 'none' }) => category === name),
            imageOf,
            bootstrap,
          ),
        ])
        .filter(([, needs]) => needs !== undefined),
    ),
    results: [...reader, ...models],
  };
}

function needsOf(
  records: readonly BenchmarkRecord[],
  imageOf: ReadonlyMap<string, number>,
  bootstrap: ImageBootstrap,
): CategoryNeeds | undefined {
  const neededPx = bootstrap.estimate(
    records.map(({ group, leastPx }) => ({ image: imageOf.get(group)!, value: leastPx!.reader })),
  );
  if (!neededPx) return undefined;
  const sides = records.map(({ width, height }) => Math.max(width, height));
  return {
    questions: records.length,
    images: new Set(records.map(({ group }) => group)).size,
    imagePx: Math.round(sides.reduce((a, b) => a + b, 0) / sides.length),
    neededPx,
    needs: Object.fromEntries(
      NEEDS.map((need) => [
        need,
        records.filter((record) => needOf(record) === need).length / records.length,
      ]),
    ) as Record<Need, number>,
  };
}
