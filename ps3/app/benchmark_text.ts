// What `ps3 benchmark` prints.
import type { Overview } from '../benchmarks/overview.ts';
import type { BenchmarkRecord } from '../benchmarks/record.ts';
import type { BenchmarkScore } from '../benchmarks/scores/score.ts';
import type { Estimate } from '../train/evaluation/intervals.ts';
import { columns } from './flags.ts';

/** A record for JSON, its image as a path or a number of bytes. */
function shownRecord(record: BenchmarkRecord): object {
  const image = typeof record.image === 'string' ? record.image : `${record.image.length} bytes`;
  return { ...record, image };
}

/** The first record and the counts for JSON, which has no maps. */
export function overviewJson({ first, ...counts }: Overview): object {
  const entries = Object.entries(counts).map(([name, value]) => [
    name,
    value instanceof Map ? Object.fromEntries(value) : value,
  ]);
  return { first: shownRecord(first), ...Object.fromEntries(entries) };
}

const counted = (map: ReadonlyMap<unknown, number>): string =>
  [...map].map(([key, count]) => `${key}: ${count}`).join(', ');

/** The first record and the counts. */
export function formatOverview(overview: Overview): string {
  const { first, questions, groups, optionCounts, answers, categories, boxes, meanWidth, meanHeight } =
    overview;
  const rows = columns([
    ['questions', `${questions}`],
    ['groups', `${groups}`],
    ['mean image', `${Math.round(meanWidth)} x ${Math.round(meanHeight)} px`],
    ['boxes', `${boxes}`],
    ['options', counted(optionCounts)],
    ['categories', counted(categories)],
    ['answers', counted(answers)],
  ]);
  return `First record\n\n${JSON.stringify(shownRecord(first), undefined, 2)}\n\n${rows}`;
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

/** The score with its interval, and those of the groups. */
export function formatScore({ all, groups, refusalRate }: BenchmarkScore, { low, high }: Estimate): string {
  const interval = `${percent(all.mean)}  (${(100 * low).toFixed(1)} to ${(100 * high).toFixed(1)}, 95 % by group)`;
  return columns([
    [`all ${all.count}`, interval],
    ...Object.entries(groups).map(([name, { count, mean }]) => [`${name}, ${count}`, percent(mean)] as const),
    ...(refusalRate === undefined ? [] : [['named none', percent(refusalRate)] as const]),
  ]);
}
