// Benchmarks whose questions choose among options: V*Bench, HR-Bench, MME-RealWorld, and RealWorldQA in part.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { onPath } from '../../../engine/index.ts';
import { isImageName } from '../../data/image_files.ts';
import type { UnmeasuredRecord } from '../record.ts';
import { jsonObject } from '../rows/json_rows.ts';
import { type Row, rowError } from '../rows/rows.ts';
import { letterOf } from '../scores/letters.ts';
import { answerIndex, boxOf, groupOf, imageOf, optionalText, textOf, textsOf } from './fields.ts';

/** Columns A, B, ... that a row has, in a table of VLMEvalKit or of HR-Bench. */
function lettered(row: Row): string[] {
  const options: string[] = [];
  for (let i = 0; ; i++) {
    const option = optionalText(row, letterOf(i));
    if (option === undefined) return options;
    options.push(option);
  }
}

/** A question with its options in one text. */
export interface SplitQuestion {
  readonly question: string;
  readonly options: readonly string[];
}

/** What V* ends its texts with. */
const TRAILER = /\s*Answer with the option's letter from the given choices directly\.?\s*$/;

/** `What is it? (A) red (B) blue`, perhaps with what to answer. */
export function splitBracketed(text: string): SplitQuestion {
  const [question, ...parts] = text.replace(TRAILER, '').split(/\s*\(([A-Z])\)\s*/);
  return {
    question: question.trim(),
    options: parts.filter((_, i) => i % 2 === 1).map((option) => option.trim()),
  };
}

/** `Which way?\nA. Left.\nB. Right.\nPlease answer with the letter.` */
export function splitLines(text: string): SplitQuestion {
  const lines = text.split('\n').map((line) => line.trim());
  const options: string[] = [];
  const question: string[] = [];
  for (const line of lines) {
    const [, letter, option] = /^\(?([A-Z])[.):]\)?\s+(.+)$/.exec(line) ?? [];
    if (letter === letterOf(options.length)) options.push(option);
    else if (options.length === 0) question.push(line);
  }
  return options.length < 2
    ? { question: text, options: [] }
    : { question: question.join('\n').trim(), options };
}

/** `Perception/OCR with Complex Context`. */
function categories(category: string | undefined): Pick<UnmeasuredRecord, 'category' | 'subcategory'> {
  const [first, ...rest] = category?.split('/') ?? [];
  return { category: first, subcategory: rest.length > 0 ? rest.join('/') : undefined };
}

/** A row of V* on the hub, `text` and `label`, or of its table for VLMEvalKit. */
export function vstarRow(row: Row, folder: string): UnmeasuredRecord {
  if (!('text' in row.values)) return letteredRow(row, folder);
  const { question, options } = splitBracketed(textOf(row, 'text'));
  const image = imageOf(row, 'image', folder);
  return {
    id: textOf(row, 'question_id'),
    ...{ image, question, options, group: groupOf(image), metric: 'choice' },
    answer: answerIndex(textOf(row, 'label'), options, row.where),
    category: optionalText(row, 'category'),
  };
}

/** Folders of V* as its authors give it. */
export const VSTAR_FOLDERS: readonly string[] = ['direct_attributes', 'relative_position'];

/**
 * V* as its authors give it: in every subfolder images, each with a JSON file of its name. The first option is the answer; a
 * box is x, y, width, height.
 *
 * @throws FileError, DataError
 */
export async function* vstarFolder(
  folder: string,
): AsyncGenerator<{ record: UnmeasuredRecord; where: string }, void, undefined> {
  const entries = await onPath(folder, () => readdir(folder, { withFileTypes: true }));
  for (const category of entries.flatMap((entry) => (entry.isDirectory() ? [entry.name] : [])).sort()) {
    const files = (await readdir(join(folder, category))).sort();
    for (const file of files.filter(isImageName)) {
      const stem = file.replace(/\.\w+$/, '');
      const row = await jsonObject(join(folder, category, `${stem}.json`));
      const referents = textsOf(row, 'target_object');
      const given = row.values.bbox;
      const boxes = (Array.isArray(given) ? given : []).map((box) => boxOf(box, row.where, true));
      if (boxes.length !== referents.length || boxes.length === 0) {
        const got = `${boxes.length} boxes and ${referents.length} names`;
        throw rowError(row.where, '`bbox` must have a box for each of `target_object`', got, 'Correct it.');
      }
      const options = textsOf(row, 'options');
      if (options.length < 2)
        throw rowError(row.where, '`options` must be two or more', options, 'Correct it.');
      const image = join(folder, category, file);
      const id = `${category}/${stem}`;
      const question = textOf(row, 'question');
      yield {
        record: {
          id,
          image,
          category,
          question,
          options,
          answer: 0,
          metric: 'choice',
          boxes,
          referents,
          group: image,
        },
        where: row.where,
      };
    }
  }
}

/** A row with its options in columns A, B, ...: HR-Bench, and tables of VLMEvalKit. */
export function letteredRow(row: Row, folder: string): UnmeasuredRecord {
  const options = lettered(row);
  const image = imageOf(row, 'image', folder);
  const cycle = optionalText(row, 'cycle_category');
  const digits = /\d+/.exec(cycle ?? '')?.[0];
  if (cycle !== undefined && digits === undefined)
    throw rowError(row.where, '`cycle_category` must have a number', cycle, 'Correct it.');
  return {
    id: textOf(row, 'index'),
    question: textOf(row, 'question'),
    ...{ image, options, group: groupOf(image), metric: 'choice' },
    answer: answerIndex(textOf(row, 'answer'), options, row.where),
    category: optionalText(row, 'category'),
    subcategory: optionalText(row, 'l2-category'),
    cycle: digits === undefined ? undefined : Number(digits),
    split: optionalText(row, 'split'),
  };
}

const withoutLetter = (option: string): string => option.replace(/^\s*\([A-Z]\)\s*/, '');

/** MME-RealWorld as its authors give it, as lmms-eval has it, and as VLMEvalKit has it. */
export function mmeRealWorldRow(row: Row, folder: string): UnmeasuredRecord {
  if ('Answer choices' in row.values) {
    const options = textsOf(row, 'Answer choices').map(withoutLetter);
    const image = imageOf(row, 'Image', folder);
    return {
      id: textOf(row, 'Question_id'),
      question: textOf(row, 'Text'),
      ...{ image, options, group: groupOf(image), metric: 'choice' },
      answer: answerIndex(textOf(row, 'Ground truth'), options, row.where),
      category: optionalText(row, 'Task'),
      subcategory: optionalText(row, 'Subtask'),
    };
  }
  const listed = textsOf(row, 'multi-choice options').map(withoutLetter);
  const options = listed.length > 0 ? listed : lettered(row);
  const image = imageOf(row, 'bytes' in row.values ? 'bytes' : 'image', folder);
  return {
    id: textOf(row, 'index'),
    question: textOf(row, 'question'),
    ...{ image, options, group: groupOf(image), metric: 'choice' },
    answer: answerIndex(textOf(row, 'answer'), options, row.where),
    ...categories(optionalText(row, 'category')),
  };
}

/** RealWorldQA: options, where there are some, stand in the question, and the answer is a letter. */
export function realWorldQaRow(row: Row, folder: string, i: number): UnmeasuredRecord {
  if (lettered(row).length > 0) return letteredRow(row, folder);
  const asked = textOf(row, 'question');
  const answer = textOf(row, 'answer').trim();
  const image = imageOf(row, 'image', folder);
  const { question, options } = splitLines(asked);
  const chosen = options.findIndex((_, o) => letterOf(o) === answer);
  const shared = { id: `${i}`, image, group: groupOf(image), asked };
  if (chosen < 0) return { ...shared, question: asked, answer: [answer], metric: 'exact' };
  return { ...shared, question, options, answer: chosen, metric: 'choice' };
}
