// The benchmarks that are known by name, and how each becomes records.
import { readdir, stat } from 'node:fs/promises';
import { onPath } from '../../engine/index.ts';
import { boxesInside } from '../data/annotations.ts';
import { DataError } from '../data/errors.ts';
import { ANNOTATED_FILES, annotatedFolder, annotatedRow } from './loaders/annotated.ts';
import {
  chartQaRow,
  docVqaRow,
  infoVqaRow,
  ocrBenchRow,
  SCREENSPOT_FOLDERS,
  screenSpotFolder,
  screenSpotRow,
  textVqaRow,
} from './loaders/answers.ts';
import {
  letteredRow,
  mmeRealWorldRow,
  realWorldQaRow,
  VSTAR_FOLDERS,
  vstarFolder,
  vstarRow,
} from './loaders/choices.ts';
import { type FieldMap, mappedRow } from './loaders/field_map.ts';
import { text4kRow } from './loaders/text_4k.ts';
import { type BenchmarkRecord, measured, type UnmeasuredRecord } from './record.ts';
import { findTable, rowsOf } from './rows/open.ts';
import type { Row } from './rows/rows.ts';

/** A record and where it was read. */
interface Found {
  readonly record: UnmeasuredRecord;
  readonly where: string;
}

interface Loader {
  /** What a row of its table says, the i-th. */
  row(row: Row, folder: string, i: number): UnmeasuredRecord;
  /** Subfolders by which the authors' own layout is known, and how it is read. */
  readonly layout?: { readonly names: readonly string[]; read(folder: string): AsyncGenerator<Found> };
}

/** The benchmarks that are known by name. */
export const BENCHMARK_NAMES = [
  'vstar',
  'hr-bench',
  'mme-realworld',
  'textvqa',
  'docvqa',
  'infovqa',
  'chartqa',
  'ocrbench',
  'realworldqa',
  'screenspot-pro',
  'detail-4k',
  'text-4k',
  'annotations',
] as const;
/** A name of `BENCHMARK_NAMES`. */
export type BenchmarkName = (typeof BENCHMARK_NAMES)[number];

const LOADERS: Readonly<Record<BenchmarkName, Loader>> = {
  vstar: { row: vstarRow, layout: { names: VSTAR_FOLDERS, read: vstarFolder } },
  'hr-bench': { row: letteredRow },
  'mme-realworld': { row: mmeRealWorldRow },
  textvqa: { row: textVqaRow },
  docvqa: { row: docVqaRow },
  infovqa: { row: infoVqaRow },
  chartqa: { row: chartQaRow },
  ocrbench: { row: ocrBenchRow },
  realworldqa: { row: realWorldQaRow },
  'screenspot-pro': { row: screenSpotRow, layout: { names: SCREENSPOT_FOLDERS, read: screenSpotFolder } },
  'detail-4k': { row: text4kRow },
  'text-4k': { row: text4kRow },
  annotations: { row: annotatedRow, layout: { names: ANNOTATED_FILES, read: annotatedFolder } },
};

async function* found(loader: Loader, path: string): AsyncGenerator<Found, void, undefined> {
  const { layout } = loader;
  const isFolder = (await onPath(path, () => stat(path))).isDirectory();
  const names = layout && isFolder ? await readdir(path) : [];
  if (layout?.names.some((name) => names.includes(name))) return yield* layout.read(path);
  const table = await findTable(path);
  let i = 0;
  for await (const row of rowsOf(table))
    yield { record: loader.row(row, table.folder, i++), where: row.where };
}

/**
 * Reads a benchmark, one record after another: from its file, from a folder of parquet or TSV files as the hub and VLMEvalKit
 * have them, or from its authors' own layout.
 *
 * @param benchmark  a name, or a map from columns to fields
 * @param path       a file or a folder
 * @throws FileError where nothing is there, DataError in one sentence for what is broken
 */
export async function* readBenchmark(
  benchmark: BenchmarkName | FieldMap,
  path: string,
): AsyncGenerator<BenchmarkRecord, void, undefined> {
  const loader: Loader =
    typeof benchmark === 'string'
      ? LOADERS[benchmark]
      : { row: (row, folder, i) => mappedRow(benchmark, row, folder, i) };
  const seen = new Set<string>();
  for await (const { record, where } of found(loader, path)) {
    if (seen.has(record.id))
      throw new DataError(
        `benchmark: ${where}: names of questions must differ, got ${record.id} again. Correct it.`,
      );
    seen.add(record.id);
    const whole = await measured(record, where);
    const { boxes, width, height } = whole;
    yield boxes ? { ...whole, boxes: boxesInside(boxes, width, height, where) } : whole;
  }
  if (seen.size === 0)
    throw new DataError(`benchmark: ${path} must hold a question, got none. Name another.`);
}
