// Boxes of documents beside what an outside reader sees in them.
import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { PdfFile } from '../../ps3/data/caption/pdf.ts';
import { readBack } from './read_back.ts';

test('captionsOf: Tesseract reads nine of ten boxes of a page as their captions', async () => {
  using pdf = await PdfFile.open(
    readFileSync(new URL('../fixtures/pdf/words.pdf', import.meta.url)),
    'words.pdf',
  );
  const { count, wrong } = await readBack(pdf, [0], 12);
  assert.ok(count >= 4, `${count} boxes`);
  assert.ok(wrong.length <= 0.1 * count, `${wrong.length} of ${count}: ${JSON.stringify(wrong)}`);
});

test.run();
