// The README of the benchmark of small details: its tables are those of the JSON beside it.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DETAIL_4K, kappaOf, type ReadByEye, readText, rewritten } from '../../bench/detail_4k.ts';

test('detail-4k: the README holds what its JSON says', () => {
  const page = readFileSync(join(DETAIL_4K, 'README.md'), 'utf8');
  assert.is(rewritten(page), page, 'write it anew: bench/detail_4k.ts');
});

test('kappaOf: agreement beyond chance', () => {
  // 20 both right, 5 and 10 one of them, 15 none: agreement 0.7, by chance 0.5.
  const times = (count: number, a: boolean, b: boolean): [boolean, boolean][] =>
    Array.from({ length: count }, () => [a, b]);
  const pairs = [...times(20, true, true), ...times(5, true, false), ...times(10, false, true)];
  assert.ok(Math.abs(kappaOf([...pairs, ...times(15, false, false)]) - 0.4) < 1e-12);
});

test('readText: right is what was chosen, the reader by what it needs', () => {
  const one = { px: 1512, id: 'a', capPx: 5, readerPx: 3024, answer: '17' };
  const read: ReadByEye[] = [
    { ...one, chosen: '17' },
    { ...one, chosen: '77', readerPx: 1512 },
    { ...one, chosen: null },
    { ...one, chosen: '17', readerPx: 756 },
  ];
  assert.match(readText(read), /\| 1512 \| 4 \| 2\.0 \| 2 \(50\.0 %\) \| 2 \| 1 \|/);
});

test.run();
