// How many boxes of a document's page Tesseract reads as their captions say.
import { Reader } from '../../ps3/benchmarks/build/reader.ts';
import { editDistance } from '../../ps3/benchmarks/scores/anls.ts';
import type { PdfFile } from '../../ps3/data/caption/pdf.ts';
import { captionsOf } from '../../ps3/data/caption/words.ts';

/** Part of the letters of a line that may differ: Tesseract takes quotes and bullets for others. */
const SLACK = 0.1;

const letters = (text: string): string => text.replace(/\s+/g, '');

/** Lines of some pages, and those that are read otherwise as [caption, what was read]. */
export async function readBack(
  pdf: PdfFile,
  pages: readonly number[],
  most: number,
): Promise<{ count: number; wrong: readonly (readonly [string, string])[] }> {
  await using reader = await Reader.open();
  const wrong: [string, string][] = [];
  let count = 0;
  for (const page of pages) {
    const { width, height, rgba, lines } = pdf.page(page, 300);
    const rgb = Uint8Array.from(
      { length: 3 * width * height },
      (_, i) => rgba[4 * Math.floor(i / 3) + (i % 3)],
    );
    const captions = captionsOf(lines, { words: 'line', minWords: 1 });
    for (const { text, box } of captions.slice(0, most)) {
      // Of most lines the ink goes from the top of the capitals to below the line.
      const capPx = 0.75 * (box[3] - box[1]);
      const read = await reader.read({ data: rgb, width, height }, { box, capPx }, 1);
      count++;
      if (editDistance(letters(text), letters(read)) > SLACK * letters(text).length)
        wrong.push([text, read.trim()]);
    }
  }
  return { count, wrong };
}
