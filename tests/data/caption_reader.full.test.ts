// Boxes of documents of others beside what an outside reader sees in them: the manuals of Debian's package r-doc-pdf.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { PdfFile } from '../../ps3/data/caption/pdf.ts';
import { readBack } from './read_back.ts';

const folder = '/usr/share/doc/r-doc-pdf/manual';
if (!existsSync(folder)) {
  console.log('skipped: needs the Debian package r-doc-pdf');
  process.exit(0);
}

test('captionsOf: Tesseract reads nine of ten boxes of manuals as their captions', async () => {
  let all = 0;
  const missed: (readonly [string, string])[] = [];
  for (const [name, pages] of [
    ['R-intro.pdf', [2, 12, 40]],
    ['R-FAQ.pdf', [8, 20]],
    ['R-data.pdf', [5, 15]],
  ] as const) {
    using pdf = await PdfFile.open(readFileSync(join(folder, name)), name);
    const { count, wrong } = await readBack(pdf, pages, 25);
    all += count;
    missed.push(...wrong);
  }
  console.log(`${all - missed.length} of ${all} boxes read back`);
  assert.ok(all > 100, `${all} boxes`);
  assert.ok(missed.length <= 0.1 * all, `${missed.length} of ${all}: ${JSON.stringify(missed.slice(0, 20))}`);
});

test.run();
