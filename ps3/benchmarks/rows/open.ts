// Rows of a benchmark's file, or of its folder.
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { onPath } from '../../../engine/index.ts';
import { DataError } from '../../data/errors.ts';
import { jsonLines, jsonRows } from './json_rows.ts';
import { parquetRows } from './parquet.ts';
import type { Row } from './rows.ts';
import { tsvRows, withSharedImages } from './tsv.ts';

const READERS: Readonly<Record<string, (path: string) => AsyncGenerator<Row, void, undefined>>> = {
  parquet: parquetRows,
  tsv: (path) => withSharedImages(() => tsvRows(path)),
  jsonl: jsonLines,
  json: jsonRows,
};

const extensionOf = (path: string): string => /\.(\w+)$/.exec(path)?.[1].toLowerCase() ?? '';

/** What a benchmark is read from. */
export interface Table {
  /** In order. */
  readonly files: readonly string[];
  /** Where paths of images begin. */
  readonly folder: string;
}

/**
 * The files of a table: the one that is named, or those of a folder, in the order of their names: parquet files if there are
 * any, else tab-separated ones, else JSON.
 *
 * @throws FileError where nothing is there, DataError for a folder without such files or with those of several splits
 */
export async function findTable(path: string): Promise<Table> {
  if (!(await onPath(path, () => stat(path))).isDirectory()) {
    if (!(extensionOf(path) in READERS))
      throw new DataError(
        `benchmark: the file must end in ${Object.keys(READERS).join(', ')}, got ${path}. Name a file of the benchmark, or its folder.`,
      );
    return { files: [path], folder: dirname(path) };
  }
  const names = (await onPath(path, () => readdir(path, { recursive: true }))).sort();
  for (const extension of Object.keys(READERS)) {
    const files = names.filter((name) => extensionOf(name) === extension).map((name) => join(path, name));
    if (files.length === 0) continue;
    // The hub names them split-00000-of-00006.
    const splits = new Set(files.map((file) => /^(.*)-\d+-of-\d+/.exec(basename(file))?.[1]));
    if (splits.size > 1)
      throw new DataError(
        `benchmark: ${path} must hold the files of one split, got ${[...splits].join(', ')}. Name a file, or a folder of one.`,
      );
    return { files, folder: path };
  }
  throw new DataError(
    `benchmark: ${path} must hold a file that ends in ${Object.keys(READERS).join(', ')}, got ${names.length} others. Name the folder of the benchmark.`,
  );
}

/** The rows of all files. @throws FileError, DataError */
export async function* rowsOf({ files }: Table): AsyncGenerator<Row, void, undefined> {
  for (const file of files) yield* READERS[extensionOf(file)](file);
}
