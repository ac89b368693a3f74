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

test('PdfFile: a word that is broken over two lines is two words', async () => {
  using pdf = await PdfFile.open(readFileSync(join(folder, 'R-data.pdf')), 'R-data.pdf');
  const words = pdf.page(15, 72).lines.flat();
  // On this page mea-surements is broken; of one box over both lines the height would be some 27 points.
  assert.ok(words.some(({ text }) => /\w-$/.test(text)));
  for (const { text, box } of words) assert.ok(box[3] - box[1] < 18, `${text}: ${box}`);
});

test('captionsOf: Tesseract reads nine of ten boxes of manuals as their captions', async () => {
  // None is of the contents: Tesseract takes the dots before page numbers for letters.
  let all = 0;
  const missed: (readonly [string, string])[] = [];
  for (const [name, pages] of [
    ['R-intro.pdf', [12, 40]],
    ['R-FAQ.pdf', [20]],
    ['R-data.pdf', [15]],
  ] as const) {
    using pdf = await PdfFile.open(readFileSync(join(folder, name)), name);
    const { count, wrong } = await readBack(pdf, pages, 25);
    all += count;
    missed.push(...wrong);
  }
  console.log(`${all - missed.length} of ${all} boxes read back`);
  assert.ok(all > 75, `${all} boxes`);
  assert.ok(missed.length <= 0.1 * all, `${missed.length} of ${all}: ${JSON.stringify(missed.slice(0, 20))}`);
});

test.run();
