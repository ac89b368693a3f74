// Benchmarks with free answers: TextVQA, DocVQA, InfoVQA, ChartQA, OCRBench; and ScreenSpot-Pro, whose answer is a place.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { onPath } from '../../../engine/index.ts';
import { DataError } from '../../data/errors.ts';
import type { Metric, UnmeasuredRecord } from '../record.ts';
import { jsonRows } from '../rows/json_rows.ts';
import { type Row, rowError } from '../rows/rows.ts';
import { boxOf, groupOf, imageOf, optionalText, textOf, textsOf } from './fields.ts';

/** What all of them have. */
function asked(row: Row, folder: string, id: string, answers: string, metric: Metric): UnmeasuredRecord {
  const image = imageOf(row, 'image', folder);
  return {
    ...{ id, image, metric, group: groupOf(image) },
    question: textOf(row, 'question'),
    answer: textsOf(row, answers),
  };
}

/** `index` of a table of VLMEvalKit, else the column that the hub has. */
const idOf = (row: Row, column: string): string => textOf(row, 'index' in row.values ? 'index' : column);
const answersIn = ({ values }: Row): string => ('answers' in values ? 'answers' : 'answer');

/** TextVQA: ten people's answers. */
export function textVqaRow(row: Row, folder: string): UnmeasuredRecord {
  return asked(row, folder, idOf(row, 'question_id'), answersIn(row), 'vqa');
}

/** DocVQA; the first kind of question is its category. */
export function docVqaRow(row: Row, folder: string): UnmeasuredRecord {
  const [category] = textsOf(row, 'question_types');
  return { ...asked(row, folder, idOf(row, 'questionId'), answersIn(row), 'anls'), category };
}

/** InfoVQA; the first kind of answer is its category. */
export function infoVqaRow(row: Row, folder: string): UnmeasuredRecord {
  const [category] = textsOf(row, 'answer_type');
  return { ...asked(row, folder, idOf(row, 'questionId'), answersIn(row), 'anls'), category };
}

/** ChartQA: questions of people, `human`, and of a program, `augmented`. */
export function chartQaRow(row: Row, folder: string, i: number): UnmeasuredRecord {
  const kind = optionalText(row, 'type') ?? optionalText(row, 'split');
  const category = kind?.replace(/_?test$/, '');
  return { ...asked(row, folder, `${i}`, 'answer', 'relaxed'), category };
}

/** OCRBench; HME100k, its formulas, are scored otherwise. */
export function ocrBenchRow(row: Row, folder: string, i: number): UnmeasuredRecord {
  const category = optionalText(row, 'question_type') ?? optionalText(row, 'category');
  return {
    ...asked(row, folder, `${i}`, 'answer', 'contains'),
    category,
    subcategory: optionalText(row, 'dataset'),
  };
}

/** ScreenSpot-Pro: what an instruction is about, [x1, y1, x2, y2] in pixels. */
export function screenSpotRow(row: Row, folder: string, i: number): UnmeasuredRecord {
  const image = imageOf(row, 'img_filename' in row.values ? 'img_filename' : 'image', folder);
  const question = textOf(row, 'instruction');
  const size = row.values.img_size;
  const [width, height] = Array.isArray(size) ? size.map(Number) : [];
  if (Array.isArray(size) && !(width > 0 && height > 0))
    throw rowError(row.where, '`img_size` must be a width and a height', size, 'Correct it.');
  return {
    id: optionalText(row, 'id') ?? `${i}`,
    ...{ image, width, height, question, answer: [], metric: 'point', group: groupOf(image) },
    boxes: [boxOf(row.values.bbox, row.where)],
    referents: [question],
    category: optionalText(row, 'group'),
    subcategory: optionalText(row, 'ui_type'),
  };
}

/** Folders of ScreenSpot-Pro as its authors give it. */
export const SCREENSPOT_FOLDERS: readonly string[] = ['annotations', 'images'];

/**
 * ScreenSpot-Pro as its authors give it: lists of questions in `annotations`, screenshots in `images`.
 *
 * @throws FileError, DataError
 */
export async function* screenSpotFolder(
  folder: string,
): AsyncGenerator<{ record: UnmeasuredRecord; where: string }, void, undefined> {
  const annotations = join(folder, 'annotations');
  const names = (await onPath(annotations, () => readdir(annotations))).filter((name) =>
    name.endsWith('.json'),
  );
  if (names.length === 0)
    throw new DataError(`benchmark: ${annotations} must hold JSON files, got none. Download them again.`);
  let i = 0;
  for (const name of names.sort())
    for await (const row of jsonRows(join(annotations, name))) {
      yield { record: screenSpotRow(row, join(folder, 'images'), i++), where: row.where };
    }
}
