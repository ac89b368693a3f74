// Made-up files in the shapes of the public benchmarks: small images, invented questions.
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { parquetWriteBuffer } from 'hyparquet-writer';
import sharp from 'sharp';
import * as assert from 'uvu/assert';
import { type BenchmarkName, readBenchmark } from '../../ps3/benchmarks/benchmarks.ts';
import type { FieldMap } from '../../ps3/benchmarks/loaders/field_map.ts';
import type { BenchmarkRecord } from '../../ps3/benchmarks/record.ts';

/** A PNG of one colour. */
export function png(width: number, height: number, background: string): Promise<Buffer> {
  return sharp({ create: { width, height, channels: 3, background } })
    .png()
    .toBuffer();
}

/** Writes a file and the folders above it; returns its path. */
export async function put(content: string | Uint8Array, ...path: string[]): Promise<string> {
  const file = join(...path);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, content);
  return file;
}

type Columns = Parameters<typeof parquetWriteBuffer>[0]['columnData'];

/** A struct column of images, `{ bytes, path }`, as the hub has it, and a list of texts. */
const STRUCT = [
  { name: 'image', repetition_type: 'OPTIONAL' as const, num_children: 2 },
  { name: 'bytes', type: 'BYTE_ARRAY' as const, repetition_type: 'OPTIONAL' as const },
  {
    name: 'path',
    type: 'BYTE_ARRAY' as const,
    converted_type: 'UTF8' as const,
    repetition_type: 'OPTIONAL' as const,
  },
];
const listOf = (name: string) => [
  { name, repetition_type: 'OPTIONAL' as const, num_children: 1, converted_type: 'LIST' as const },
  { name: 'list', repetition_type: 'REPEATED' as const, num_children: 1 },
  {
    name: 'element',
    type: 'BYTE_ARRAY' as const,
    converted_type: 'UTF8' as const,
    repetition_type: 'OPTIONAL' as const,
  },
];

/**
 * A parquet file as the hub has it: a column `image` of structs where there is one, the other columns texts, lists of texts
 * or 64-bit integers, whichever their values are.
 */
export function hubParquet(columns: Readonly<Record<string, readonly unknown[]>>): Uint8Array {
  const schema: NonNullable<Parameters<typeof parquetWriteBuffer>[0]['schema']> = [
    { name: 'schema', num_children: Object.keys(columns).length },
  ];
  const columnData: Columns = [];
  for (const [name, values] of Object.entries(columns)) {
    const [first] = values;
    columnData.push({ name, data: [...values] });
    if (first instanceof Uint8Array) {
      schema.push(...STRUCT);
      columnData[columnData.length - 1].data = values.map((bytes) => ({ bytes, path: null }));
    } else if (Array.isArray(first)) schema.push(...listOf(name));
    else if (typeof first === 'bigint') schema.push({ name, type: 'INT64', repetition_type: 'OPTIONAL' });
    else schema.push({ name, type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' });
  }
  return new Uint8Array(parquetWriteBuffer({ columnData, schema }));
}

/** All records of a benchmark. */
export async function read(benchmark: BenchmarkName | FieldMap, path: string): Promise<BenchmarkRecord[]> {
  const records: BenchmarkRecord[] = [];
  for await (const record of readBenchmark(benchmark, path)) records.push(record);
  return records;
}

/** What reading a benchmark ends with. */
export const faultOf = (benchmark: BenchmarkName | FieldMap, path: string): Promise<string> =>
  read(benchmark, path).then(
    () => 'no fault',
    ({ message }: Error) => message,
  );

/** Records without their images, which are checked apart. */
export function plain(records: readonly BenchmarkRecord[]): object[] {
  return records.map(({ image: _, group: __, ...record }) => JSON.parse(JSON.stringify(record)));
}

/** The bytes of a record's image. */
export const bytesOf = ({ image }: BenchmarkRecord): Buffer => {
  assert.ok(image instanceof Uint8Array);
  return Buffer.from(image);
};
