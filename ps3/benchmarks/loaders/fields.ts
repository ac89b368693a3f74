// Values of rows as a record needs them, each checked and named where it does not fit.
import { createHash } from 'node:crypto';
import { isAbsolute, join } from 'node:path';
import type { Box } from '../../data/boxes.ts';
import type { ImageFile } from '../record.ts';
import { parsePythonList } from '../rows/python_list.ts';
import { type Row, rowError } from '../rows/rows.ts';
import { letterOf } from '../scores/letters.ts';

/** A text or a number as a text; undefined where the column is absent or empty. */
export function optionalText({ values }: Row, column: string): string | undefined {
  const value = values[column];
  if (typeof value === 'string') return value === '' ? undefined : value;
  return typeof value === 'number' || typeof value === 'bigint' ? `${value}` : undefined;
}

/** @throws DataError where the column is absent or empty */
export function textOf(row: Row, column: string): string {
  const text = optionalText(row, column);
  if (text === undefined)
    throw rowError(row.where, `\`${column}\` must be a text`, row.values[column], columnsOf(row));
  return text;
}

/** What a message adds where a column is missing. */
function columnsOf({ values }: Row): string {
  return `The columns are ${Object.keys(values).join(', ')}.`;
}

/** A list of texts, as a list or as Python prints one; one text is a list of one, nothing an empty list. */
export function textsOf(row: Row, column: string): string[] {
  const value = row.values[column];
  if (value === undefined || value === null) return [];
  if (Array.isArray(value)) {
    const texts = value.map((item) => (typeof item === 'bigint' ? `${item}` : item));
    if (texts.every((item) => typeof item === 'string' || typeof item === 'number')) return texts.map(String);
  } else {
    const text = optionalText(row, column);
    if (text !== undefined) return parsePythonList(text) ?? [text];
  }
  throw rowError(row.where, `\`${column}\` must be a list of texts`, value, 'Correct it.');
}

/** The letters of an image file that is base64. */
const BASE64 = /^[A-Za-z0-9+/\s]+=*\s*$/;
/** No path is as long. */
const LONGEST_PATH = 1024;

/**
 * An image: bytes, the hub's `{ bytes, path }`, base64, or a path in the folder.
 *
 * @throws DataError for anything else
 */
export function imageOf(row: Row, column: string, folder: string): ImageFile {
  const value = row.values[column];
  const fail = (): never => {
    const rule = `\`${column}\` must be an image: bytes, base64, or a path`;
    throw rowError(row.where, rule, value, columnsOf(row));
  };
  if (value instanceof Uint8Array) return value;
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    const { bytes, path } = value as { bytes?: unknown; path?: unknown };
    if (bytes instanceof Uint8Array && bytes.length > 0) return bytes;
    return typeof path === 'string' && path !== '' ? inFolder(path, folder) : fail();
  }
  if (typeof value !== 'string' || value === '') return fail();
  // Of several images the first is shown, as by VLMEvalKit for benchmarks of one image.
  const text = value.startsWith('[') ? (parsePythonList(value)?.[0] ?? value) : value;
  if (text.length <= LONGEST_PATH && /\.\w{2,5}$/.test(text)) return inFolder(text, folder);
  if (!BASE64.test(text)) return fail();
  return Buffer.from(text, 'base64');
}

const inFolder = (path: string, folder: string): string => (isAbsolute(path) ? path : join(folder, path));

/** What records of the same image have in common: its path, or a hash of its bytes. */
export function groupOf(image: ImageFile): string {
  return typeof image === 'string' ? image : createHash('sha256').update(image).digest('hex').slice(0, 16);
}

/** A box [x1, y1, x2, y2], or [x, y, width, height] where it is given so. @throws DataError for anything else */
export function boxOf(value: unknown, where: string, isSized = false): Box {
  const numbers = Array.isArray(value) ? value.map(Number) : [];
  if (numbers.length !== 4 || !numbers.every(Number.isFinite))
    throw rowError(where, 'a box must be four numbers', value, 'Correct it.');
  const [x, y, third, fourth] = numbers;
  return isSized ? [x, y, x + third, y + fourth] : [x, y, third, fourth];
}

/** Which of some options a letter or an option's own text names. @throws DataError when none */
export function answerIndex(answer: string, options: readonly string[], where: string): number {
  const plain = answer.trim();
  const letter = /^\(?([A-Z])\)?\.?$/.exec(plain)?.[1];
  const byLetter = options.findIndex((_, i) => letterOf(i) === letter);
  const index = byLetter >= 0 ? byLetter : options.indexOf(plain);
  if (index < 0) {
    const letters = options.map((_, i) => letterOf(i)).join(', ');
    throw rowError(where, `the answer must be one of ${letters || 'some options'}`, answer, 'Correct it.');
  }
  return index;
}
