// Rows of a file with tab-separated values, as pandas writes them.
import { createReadStream } from 'node:fs';
import { pipeline } from 'node:stream';
import { CsvError, parse } from 'csv-parse';
import { EngineError, onPath } from '../../../engine/index.ts';
import { fileFault, type Row, rowError } from './rows.ts';

/**
 * Reads a TSV file as a stream, a row in memory: a file of images as text exceeds what a string holds.
 *
 * The first line names the columns; an empty cell is left out of its row. A value may be quoted, with tabs and line breaks
 * in it.
 *
 * @throws FileError when the system refuses, DataError for what is no such table
 */
export async function* tsvRows(path: string): AsyncGenerator<Row, void, undefined> {
  const source = createReadStream(path);
  const table = parse({ delimiter: '\t', columns: true, bom: true, relax_column_count: false });
  // Each row is awaited below, where the error of either end comes up too.
  pipeline(source, table, () => undefined);
  const rows = table[Symbol.asyncIterator]() as AsyncIterator<Record<string, string>>;
  try {
    for (let row = 0; ; row++) {
      const { value, done } = await onPath(path, () => rows.next());
      if (done) return;
      const cells = Object.entries(value as Record<string, string>).filter(([, cell]) => cell !== '');
      yield { values: Object.fromEntries(cells), where: `${path}, row ${row}` };
    }
  } catch (cause) {
    if (cause instanceof EngineError || !(cause instanceof CsvError)) throw cause;
    throw fileFault(path, 'a table of tab-separated values', cause);
  } finally {
    source.destroy();
  }
}

/** Images of VLMEvalKit's tables that are longer are no index of another row. */
const LONGEST_INDEX = 64;

/**
 * Fills in images that are given as the index of another row. A row whose image comes later waits for it, so rows may come
 * in another order; an image is kept from its row to the last one that names it.
 *
 * @param open   reads the table from its beginning; it is read twice
 * @throws DataError for an index that no row has
 */
export async function* withSharedImages(
  open: () => AsyncGenerator<Row, void, undefined>,
): AsyncGenerator<Row, void, undefined> {
  const named = new Map<string, number>();
  const imageIndex = ({ image }: Row['values']): string | undefined =>
    typeof image === 'string' && image.length <= LONGEST_INDEX ? image : undefined;
  for await (const { values } of open()) {
    const index = imageIndex(values);
    if (index !== undefined) named.set(index, (named.get(index) ?? 0) + 1);
  }
  const images = new Map<string, unknown>();
  const waiting = new Map<string, Row[]>();
  const taken = (index: string): unknown => {
    const image = images.get(index);
    const left = (named.get(index) ?? 1) - 1;
    named.set(index, left);
    if (left === 0) images.delete(index);
    return image;
  };
  for await (const row of open()) {
    const index = imageIndex(row.values);
    if (index === undefined) {
      const own = String(row.values.index);
      if (named.has(own)) images.set(own, row.values.image);
      yield row;
      for (const { values, where } of waiting.get(own) ?? [])
        yield { values: { ...values, image: taken(own) }, where };
      waiting.delete(own);
    } else if (images.has(index)) yield { ...row, values: { ...row.values, image: taken(index) } };
    else waiting.set(index, [...(waiting.get(index) ?? []), row]);
  }
  for (const [index, [{ where }]] of waiting)
    throw rowError(where, '`image` must be an image or the index of a row with one', index, 'Correct it.');
}
