// Rows of a parquet file, a few at a time: files of benchmarks have gigabytes of images in one row group.
import { type AsyncBuffer, asyncBufferFromFile, type FileMetaData, parquetMetadataAsync } from 'hyparquet';
import { parquetHeader } from 'hyparquet/src/column.js';
import { parquetReadObjects } from 'hyparquet/src/read.js';
import { getMaxRepetitionLevel, getSchemaPath } from 'hyparquet/src/schema.js';
import { compressors } from 'hyparquet-compressors';
import { EngineError, fileErrorOf, onPath } from '../../../engine/index.ts';
import { fileFault, type Row } from './rows.ts';

/** Compressed bytes that are read at once, where a row has no more. */
const READ_BYTES = 16 * 2 ** 20;
/** What a page's header is looked for in; statistics may make it longer. */
const HEADER_BYTES = 16 * 2 ** 10;

type RowGroup = FileMetaData['row_groups'][number];
type ColumnChunk = RowGroup['columns'][number]['meta_data'];

/** Where a data page lies, and the first row in it. */
interface PageLocation {
  readonly offset: bigint;
  readonly compressed_page_size: number;
  readonly first_row_index: bigint;
}

/** The header of the page at an offset of the file, and how long it is. */
async function headerAt(file: AsyncBuffer, offset: number) {
  for (let length = HEADER_BYTES; ; length *= 8) {
    const end = Math.min(offset + length, file.byteLength);
    const reader = { view: new DataView(await file.slice(offset, end)), offset: 0 };
    try {
      const header = parquetHeader(reader);
      return { header, headerBytes: reader.offset };
    } catch (error) {
      if (!(error instanceof RangeError) || end === file.byteLength) throw error;
    }
  }
}

/**
 * Finds the data pages of a column without repeated values by their headers, which is what an offset index would say.
 *
 * @returns  one location for each page, header included
 */
async function pagesOf(file: AsyncBuffer, column: NonNullable<ColumnChunk>): Promise<PageLocation[]> {
  let offset = Number(column.dictionary_page_offset || column.data_page_offset);
  const end = offset + Number(column.total_compressed_size);
  const pages: PageLocation[] = [];
  let row = 0;
  while (offset < end) {
    const { header, headerBytes } = await headerAt(file, offset);
    const sizeBytes = headerBytes + header.compressed_page_size;
    if (!(header.compressed_page_size > 0)) throw new Error(`an empty page at byte ${offset}`);
    const rows = header.data_page_header_v2?.num_rows ?? header.data_page_header?.num_values;
    if (rows !== undefined) {
      pages.push({
        offset: BigInt(offset),
        compressed_page_size: sizeBytes,
        first_row_index: BigInt(row),
      });
      row += rows;
    }
    offset += sizeBytes;
  }
  return pages;
}

/** Page locations of a row group's large columns that come without an offset index, by their paths. */
async function findPages(
  file: AsyncBuffer,
  { schema }: FileMetaData,
  { columns }: RowGroup,
  readBytes: number,
): Promise<Record<string, PageLocation[]>> {
  const found: Record<string, PageLocation[]> = {};
  for (const { meta_data: column, offset_index_offset: index } of columns) {
    if (!column || index || column.total_compressed_size <= readBytes) continue;
    const path = column.path_in_schema;
    if (getMaxRepetitionLevel(getSchemaPath(schema, path)) > 0) continue;
    found[path.join('.')] = await pagesOf(file, column);
  }
  return found;
}

/**
 * Reads a parquet file, compressed in any of the ways that pandas and the hub write.
 *
 * Memory holds about 16 MiB of the file, or one row where that has more: large columns are read page by page, whether the
 * file has an index of its pages or not. Binary columns stay bytes.
 *
 * @throws FileError when the system refuses, DataError for what is no parquet file or a damaged one
 */
export async function* parquetRows(path: string): AsyncGenerator<Row, void, undefined> {
  const file = await onPath(path, () => asyncBufferFromFile(path));
  yield* parquetRowsIn(file, path);
}

/**
 * The same of a file that is open.
 *
 * @param path       for messages
 * @param readBytes  compressed bytes that are read at once, where a row has no more
 */
export async function* parquetRowsIn(
  file: AsyncBuffer,
  path: string,
  readBytes: number = READ_BYTES,
): AsyncGenerator<Row, void, undefined> {
  try {
    const metadata = await parquetMetadataAsync(file);
    let groupStart = 0;
    for (const [group, rowGroup] of metadata.row_groups.entries()) {
      const rows = Number(rowGroup.num_rows);
      const sizes = rowGroup.columns.map(({ meta_data }) => Number(meta_data?.total_compressed_size ?? 0));
      const groupBytes = sizes.reduce((sum, size) => sum + size, 0);
      const pageLocationsByGroup = metadata.row_groups.map(() => ({}) as Record<string, PageLocation[]>);
      pageLocationsByGroup[group] = await findPages(file, metadata, rowGroup, readBytes);
      const step = Math.max(1, Math.floor((readBytes * rows) / Math.max(groupBytes, 1)));
      for (let row = 0; row < rows; row += step) {
        const rowStart = groupStart + row;
        const options = {
          ...{ file, metadata, compressors, utf8: false, useOffsetIndex: true, pageLocationsByGroup },
          ...{ rowStart, rowEnd: groupStart + Math.min(row + step, rows) },
        };
        const values = await parquetReadObjects(options);
        for (const [i, value] of values.entries())
          yield { values: value, where: `${path}, row ${rowStart + i}` };
      }
      groupStart += rows;
    }
  } catch (cause) {
    if (cause instanceof EngineError) throw cause;
    throw fileErrorOf(cause, path) ?? fileFault(path, 'a parquet file', cause);
  }
}
