// What a benchmark holds, in numbers.
import { total } from '../../model/config/config.ts';
import type { Question } from './ask.ts';
import { blindRules, blindShare } from './blind.ts';
import { NEEDS, type Need, needOf } from './choose.ts';
import { LADDER } from './reader.ts';

/** What stands in benchmark.json. */
export interface Detail4kSummary {
  readonly name: 'detail-4k';
  readonly version: number;
  readonly seed: number;
  readonly split: string;
  readonly licences: Readonly<Record<string, string>>;
  readonly ladder: readonly number[];
  readonly images: number;
  readonly questions: number;
  /** Candidates that the reader could not read at the highest rung, and questions that two of three blind rules answer. */
  readonly dropped: { readonly illegible: number; readonly blind: number };
  readonly categories: Readonly<Record<string, CategorySummary>>;
  /** Share of right answers without the image; chance is 0.25. */
  readonly blind: Readonly<Record<string, number>>;
}

/** Questions of a category by the least long side, pixels. */
export interface CategorySummary {
  readonly questions: number;
  readonly images: number;
  /** Mean long side of the images, and of what the reader needs. */
  readonly imagePx: number;
  readonly neededPx: number;
  /** Mean height of the capitals of what needs more than 2268 px, pixels of the image; absent where nothing does. */
  readonly capPx?: number;
  readonly constructed: Readonly<Record<string, number>>;
  readonly reader: Readonly<Record<string, number>>;
  /** Shares by what questions need; 60, 20 and 20 % were aimed at. */
  readonly needs: Readonly<Record<Need, number>>;
}

/** Counts of one category. */
export function summaryOf(questions: readonly Question[], category: string): CategorySummary {
  const own = questions.filter((question) => question.category === category);
  const mean = (values: readonly number[]): number => Math.round(total(values) / Math.max(1, values.length));
  const heights = own
    .filter((question) => needOf(question) === 'above 2268')
    .flatMap(({ capPx }) => capPx ?? []);
  return {
    questions: own.length,
    images: new Set(own.map(({ image }) => image)).size,
    imagePx: mean(own.map(({ width, height }) => Math.max(width, height))),
    neededPx: mean(own.map(({ leastPx }) => leastPx!.reader)),
    ...(heights.length > 0 && { capPx: total(heights) / heights.length }),
    constructed: countsOf(own.map(({ leastPx }) => leastPx!.constructed)),
    reader: countsOf(own.map(({ leastPx }) => leastPx!.reader)),
    needs: Object.fromEntries(
      NEEDS.map((need) => [
        need,
        own.filter((question) => needOf(question) === need).length / Math.max(1, own.length),
      ]),
    ) as Record<Need, number>,
  };
}

function countsOf(rungs: readonly number[]): Record<string, number> {
  return Object.fromEntries(LADDER.map((rung) => [rung, rungs.filter((other) => other === rung).length]));
}

/** How often a rule that does not look is right. */
export function blindOf(questions: readonly Question[]): Record<string, number> {
  const rules = Object.entries(blindRules(questions));
  return Object.fromEntries(
    rules.map(([name, rule]) => [
      name,
      total(questions.map((question) => blindShare(rule, question))) / Math.max(1, questions.length),
    ]),
  );
}
