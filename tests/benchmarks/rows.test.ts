// Readers of tables, on files that other programs' rules say how to write.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parquetRowsIn } from '../../ps3/benchmarks/rows/parquet.ts';
import { parsePythonList } from '../../ps3/benchmarks/rows/python_list.ts';
import type { Row } from '../../ps3/benchmarks/rows/rows.ts';
import { tsvRows, withSharedImages } from '../../ps3/benchmarks/rows/tsv.ts';

const folder = await mkdtemp(join(tmpdir(), 'rows-'));
test.after(() => rm(folder, { recursive: true }));

async function all(rows: AsyncGenerator<Row>): Promise<Row['values'][]> {
  const list: Row['values'][] = [];
  for await (const { values } of rows) list.push(values);
  return list;
}

/** Bytes that do not compress. */
function bytesOf(length: number, seed: number): Uint8Array {
  let state = seed + 1;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
}

for (const [title, offsetIndex] of [
  ['without an index of its pages', false],
  ['with one', true],
] as const)
  test(`parquet: a row group of images ${title} is read page by page`, async () => {
    const images = Array.from({ length: 40 }, (_, i) => bytesOf(8000 + 13 * i, i));
    const buffer = parquetWriteBuffer({
      columnData: [
        { name: 'image', data: images, type: 'BYTE_ARRAY', offsetIndex, encoding: 'PLAIN' },
        { name: 'id', data: images.map((_, i) => BigInt(i)), type: 'INT64', offsetIndex },
        { name: 'text', data: images.map((_, i) => `row ${i} é`), type: 'STRING', offsetIndex },
      ],
      ...{ pageSize: 10_000, rowGroupSize: 25, statistics: false },
    });
    const lengths: number[] = [];
    const slice = (start: number, end?: number): ArrayBuffer => {
      const part = buffer.slice(start, end);
      lengths.push(part.byteLength);
      return part;
    };
    const rows = await all(parquetRowsIn({ byteLength: buffer.byteLength, slice }, 'made', 40_000));
    assert.is(rows.length, 40);
    for (const [i, { image, id, text }] of rows.entries()) {
      assert.ok(
        image instanceof Uint8Array && Buffer.from(image).equals(Buffer.from(images[i])),
        `image ${i}`,
      );
      assert.is(id, BigInt(i));
      assert.is(text, `row ${i} é`);
    }
    // The first read is of the metadata, from the end of the file.
    const longest = Math.max(...lengths.slice(1));
    assert.ok(longest < 80_000, `${longest} bytes at once of ${buffer.byteLength}`);
  });

test('tsv: values in quotes, empty cells, and images that are the index of a row before or after', async () => {
  const path = join(folder, 'table.tsv');
  const [a, b] = ['A', 'B'].map((letter) => letter.repeat(100));
  const lines = [
    'index\timage\tquestion\thint',
    `1\t${a}\t"a\ttab and ""quotes""\nin two lines"\t`,
    '2\t1\tsecond\t',
  ];
  await writeFile(
    path,
    `${[...lines, '3\tx4\tthird\th', `x4\t${b}\tfourth\t`, '5\t1\tfifth\t'].join('\n')}\n`,
  );
  const rows = await all(withSharedImages(() => tsvRows(path)));
  const byIndex = new Map(rows.map((row) => [row.index, row]));
  assert.equal(byIndex.get('1'), { index: '1', image: a, question: 'a\ttab and "quotes"\nin two lines' });
  assert.is(byIndex.get('2')?.image, a);
  assert.is(byIndex.get('5')?.image, a);
  assert.equal(byIndex.get('3'), { index: '3', image: b, question: 'third', hint: 'h' });
});

test('tsv: what is no table, and an image that no row has, are one sentence', async () => {
  const path = join(folder, 'broken.tsv');
  const fault = async (text: string): Promise<string> => {
    await writeFile(path, text);
    return all(withSharedImages(() => tsvRows(path))).then(
      () => 'nothing',
      ({ message }: Error) => message,
    );
  };
  assert.match(
    await fault('index\timage\n1\n'),
    /broken\.tsv must be a table of tab-separated values, got: /,
  );
  assert.match(await fault('index\timage\n1\t9\n'), /row 0: `image` must be .* got "9"\. Correct it\.$/);
});

test('python lists: as repr prints them', () => {
  assert.equal(parsePythonList(`['a', "b's", 'c\\'d', 3, None]`), ['a', "b's", "c'd", '3', 'None']);
  assert.equal(parsePythonList(String.raw`['\n\\ \x41é', 'a]', 'b,c']`), ['\n\\ Aé', 'a]', 'b,c']);
  assert.equal(parsePythonList('[]'), []);
  assert.equal(parsePythonList("['one',]"), ['one']);
  for (const text of ['a', "['a'", "['a' 'b']", "['a']]"]) assert.is(parsePythonList(text), undefined, text);
});

test.run();
