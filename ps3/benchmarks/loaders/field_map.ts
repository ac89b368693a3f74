// Any other benchmark, by a map that says which column feeds which field of a record.
import * as v from 'valibot';
import { readTextFile } from '../../../engine/index.ts';
import { DataError } from '../../data/errors.ts';
import { fieldFault } from '../../model/config/schema.ts';
import { METRICS, type Metric, type UnmeasuredRecord } from '../record.ts';
import { type Row, rowError } from '../rows/rows.ts';
import { answerIndex, boxOf, groupOf, imageOf, optionalText, textOf, textsOf } from './fields.ts';

/** Which column of a table feeds which field of a record. */
export interface FieldMap {
  /** A unique name; without one, rows are counted. */
  readonly id?: string;
  readonly image: string;
  readonly question: string;
  /** The column of a list, or one column for each option. */
  readonly options?: string | readonly string[];
  /** A letter or one of the options where there are options, else an accepted answer or a list of them. */
  readonly answer?: string;
  /** No column; default: `choice` with options, `point` with a box and no answer, else `exact`. */
  readonly metric?: Metric;
  /** One box, or a list of them. */
  readonly box?: string;
  /** No column: `xyxy`, corners, by default; `xywh`, a corner and a size. */
  readonly boxFormat?: 'xyxy' | 'xywh';
  /** What to look for: one text, or one for each box. */
  readonly referent?: string;
  readonly category?: string;
  readonly subcategory?: string;
  /** What questions that are not independent have in common; default: the image. */
  readonly group?: string;
  /** A number from 0. */
  readonly cycle?: string;
  readonly split?: string;
}

const column = v.pipe(v.string(), v.minLength(1));
const FIELDS = {
  id: v.optional(column),
  image: column,
  question: column,
  options: v.optional(v.union([column, v.pipe(v.array(column), v.minLength(2))])),
  answer: v.optional(column),
  metric: v.optional(v.picklist(METRICS)),
  box: v.optional(column),
  boxFormat: v.optional(v.picklist(['xyxy', 'xywh'])),
  referent: v.optional(column),
  category: v.optional(column),
  subcategory: v.optional(column),
  group: v.optional(column),
  cycle: v.optional(column),
  split: v.optional(column),
};
const FIELD_MAP: v.GenericSchema<unknown, FieldMap> = v.strictObject(FIELDS);

/**
 * Reads a map from a JSON file.
 *
 * @throws FileError, DataError with the path and the reason of what is wrong
 */
export async function readFieldMap(path: string): Promise<FieldMap> {
  let json: unknown;
  try {
    json = JSON.parse(await readTextFile(path));
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    throw new DataError(`benchmark: ${path} must be JSON, got: ${cause.message}. Correct it.`, { cause });
  }
  const result = v.safeParse(FIELD_MAP, json);
  if (result.success) return result.output;
  const fields = Object.keys(FIELDS);
  const fault = fieldFault(result.issues[0], fields);
  throw new DataError(`benchmark: ${path}: ${fault}. The fields are ${fields.join(', ')}.`);
}

/** The record of a row by a map. @throws DataError naming what the row lacks */
export function mappedRow(map: FieldMap, row: Row, folder: string, i: number): UnmeasuredRecord {
  const { where } = row;
  const image = imageOf(row, map.image, folder);
  const of = (name: string | undefined): string | undefined => name && optionalText(row, name);
  const options =
    typeof map.options === 'string'
      ? textsOf(row, map.options)
      : map.options?.map((name) => optionalText(row, name)).filter((option) => option !== undefined);
  const isPoint =
    map.metric === 'point' || (map.metric === undefined && !map.answer && map.box !== undefined);
  const metric = map.metric ?? (options ? 'choice' : isPoint ? 'point' : 'exact');
  if (!isPoint && map.answer === undefined)
    throw rowError(
      where,
      'the map must name the column of the answer',
      undefined,
      'Add `answer` to the map.',
    );
  if (metric === 'choice' && (options?.length ?? 0) < 2)
    throw rowError(
      where,
      'a question of metric choice must have two options or more',
      options,
      'Correct the map.',
    );
  const answers = map.answer === undefined ? [] : textsOf(row, map.answer);
  const answer = metric === 'choice' ? answerIndex(answers[0] ?? '', options ?? [], where) : answers;
  const boxes = map.box === undefined ? undefined : boxesIn(row, map.box, map.boxFormat === 'xywh');
  const referents = map.referent === undefined ? undefined : textsOf(row, map.referent);
  if (boxes && referents && referents.length !== boxes.length)
    throw rowError(
      where,
      'there must be a referent for each box',
      referents,
      `There are ${boxes.length} boxes.`,
    );
  const cycle = of(map.cycle);
  return {
    id: map.id === undefined ? `${i}` : textOf(row, map.id),
    ...{ image, metric, answer, boxes, referents },
    question: textOf(row, map.question),
    options: metric === 'choice' ? options : undefined,
    category: of(map.category),
    subcategory: of(map.subcategory),
    group: of(map.group) ?? groupOf(image),
    cycle: cycle === undefined ? undefined : Number(cycle),
    split: of(map.split),
  };
}

function boxesIn(row: Row, name: string, isSized: boolean): [number, number, number, number][] {
  const value = row.values[name];
  const list = typeof value === 'string' ? textsOf(row, name) : value;
  const isNested = Array.isArray(list) && Array.isArray(list[0]);
  return (isNested ? list : [list]).map((box) => boxOf(box, row.where, isSized));
}
