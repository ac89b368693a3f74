// The questions that `ps3 data questions` builds, `text-4k` by its name before there were other categories: a line is a record.
import { join } from 'node:path';
import * as v from 'valibot';
import type { BenchmarkRecord, UnmeasuredRecord } from '../record.ts';
import { type Row, rowError } from '../rows/rows.ts';

/** What a line holds. */
export type Text4kLine = BenchmarkRecord & { readonly image: string };

const pixels = v.pipe(v.number(), v.finite());
const LINE = v.strictObject({
  id: v.string(),
  image: v.string(),
  width: v.pipe(v.number(), v.integer(), v.minValue(1)),
  height: v.pipe(v.number(), v.integer(), v.minValue(1)),
  category: v.string(),
  subcategory: v.string(),
  question: v.string(),
  options: v.pipe(v.array(v.string()), v.length(4)),
  answer: v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(3)),
  metric: v.literal('choice'),
  boxes: v.array(v.tuple([pixels, pixels, pixels, pixels])),
  referents: v.array(v.string()),
  group: v.string(),
  cycle: v.pipe(v.number(), v.integer()),
  split: v.string(),
  capPx: v.optional(pixels),
  leastPx: v.strictObject({ constructed: pixels, reader: pixels }),
});

/** @throws DataError for a line of another form */
export function text4kRow({ values, where }: Row, folder: string): UnmeasuredRecord {
  const result = v.safeParse(LINE, values);
  if (result.success) return { ...result.output, image: join(folder, result.output.image) };
  const [issue] = result.issues;
  throw rowError(
    where,
    `\`${v.getDotPath(issue) ?? 'the line'}\` must be as built`,
    issue.input,
    'Build it anew.',
  );
}
