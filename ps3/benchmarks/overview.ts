// What a benchmark holds, to check a map or a download before anything runs on it.
import type { BenchmarkRecord } from './record.ts';
import { letterOf } from './scores/letters.ts';

/** Answers that are listed, the most frequent ones. */
const MOST_ANSWERS = 12;

/** A benchmark in numbers. */
export interface Overview {
  readonly questions: number;
  /** Groups of questions that are not independent: images, unless the benchmark says otherwise. */
  readonly groups: number;
  readonly first: BenchmarkRecord;
  /** Options -> questions with so many; 0 for free answers. */
  readonly optionCounts: ReadonlyMap<number, number>;
  /** Letter or answer -> questions, the most frequent first. */
  readonly answers: ReadonlyMap<string, number>;
  readonly categories: ReadonlyMap<string, number>;
  readonly boxes: number;
  /** Of the images of all questions, pixels. */
  readonly meanWidth: number;
  readonly meanHeight: number;
}

/** Reads a benchmark to its end. @returns undefined for one without a question */
export async function overviewOf(records: AsyncIterable<BenchmarkRecord>): Promise<Overview | undefined> {
  const count = <K>(map: Map<K, number>, key: K): unknown => map.set(key, (map.get(key) ?? 0) + 1);
  const [optionCounts, answers, categories] = [new Map(), new Map(), new Map()];
  const groups = new Set<string>();
  let first: BenchmarkRecord | undefined;
  let [questions, boxes, width, height] = [0, 0, 0, 0];
  for await (const record of records) {
    first ??= record;
    questions++;
    boxes += record.boxes?.length ?? 0;
    width += record.width;
    height += record.height;
    groups.add(record.group);
    count(optionCounts, record.options?.length ?? 0);
    count(categories, record.category ?? 'none');
    const { answer } = record;
    for (const text of typeof answer === 'number' ? [letterOf(answer)] : answer.slice(0, 1))
      count(answers, text);
  }
  if (!first) return undefined;
  const frequent = [...answers].sort(([, a], [, b]) => b - a).slice(0, MOST_ANSWERS);
  return {
    ...{ questions, groups: groups.size, first, boxes },
    ...{ optionCounts, answers: new Map(frequent), categories },
    ...{ meanWidth: width / questions, meanHeight: height / questions },
  };
}
