// Rows of JSON files: a list in one file, or an object on each line.
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { onPath, readTextFile } from '../../../engine/index.ts';
import { fileFault, type Row, rowError } from './rows.ts';

/** @throws DataError unless it is an object */
function objectRow(value: unknown, where: string): Row {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw rowError(where, 'a question must be a JSON object', value, 'Correct it.');
  return { values: value as Record<string, unknown>, where };
}

function parsed(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw fileFault(path, 'JSON', cause);
  }
}

/** An object in a file of its own. @throws FileError, DataError */
export async function jsonObject(path: string): Promise<Row> {
  return objectRow(parsed(await readTextFile(path), path), path);
}

/** Rows of a JSON file that holds a list. @throws FileError, DataError */
export async function* jsonRows(path: string): AsyncGenerator<Row, void, undefined> {
  const list = parsed(await readTextFile(path), path);
  if (!Array.isArray(list))
    throw rowError(path, 'the file must hold a JSON list of questions', list, 'Name another.');
  for (const [i, value] of list.entries()) yield objectRow(value, `${path}, row ${i}`);
}

/** Rows of a file with a JSON object on each line, as a stream. @throws FileError, DataError */
export async function* jsonLines(path: string): AsyncGenerator<Row, void, undefined> {
  const source = createReadStream(path, 'utf8');
  const lines = createInterface({ input: source, crlfDelay: Number.POSITIVE_INFINITY });
  const opened = new Promise<void>((resolve, reject) => {
    source.once('open', () => resolve());
    source.once('error', reject);
  });
  try {
    await onPath(path, () => opened);
    let number = 0;
    for await (const line of lines) {
      number++;
      if (line.trim() === '') continue;
      const where = `${path}, line ${number}`;
      yield objectRow(parsed(line.replace(/^\ufeff/, ''), where), where);
    }
  } finally {
    lines.close();
    source.destroy();
  }
}
