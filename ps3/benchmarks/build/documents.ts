// Facts of a page of a document: a word, a number, a cell or a page reference by what stands before it in its line.
import type { PdfFile } from '../../data/caption/pdf.ts';
import type { PageFact } from '../../data/caption/web_page.ts';
import { cutAtGaps, type Line, type Word } from '../../data/caption/words.ts';

/** A sheet of pages as an image, and what can be asked about it. */
export interface DocumentSheet {
  readonly width: number;
  readonly height: number;
  /** [height, width, 4], opaque. */
  readonly rgba: Uint8Array;
  readonly facts: readonly PageFact[];
}

/** Letters as high as a capital without any below the line: the ink of such a word is as high as its capitals. */
const UPRIGHT = /^[A-Za-z0-9.]*[A-Z0-9bdfhkl][A-Za-z0-9.]*$/;
const DESCENDS = /[gjpqyQJ]/;
/** Words before the answer that say where it is. */
const BEFORE = 3;

const isAnswer = ({ text }: Word): boolean =>
  UPRIGHT.test(text) &&
  !DESCENDS.test(text) &&
  !text.startsWith('.') &&
  !text.endsWith('.') &&
  text.length >= 2;

const said = (words: readonly Word[]): string => words.map(({ text }) => text).join(' ');

/** What can be asked about lines of words. */
export function factsOf(lines: readonly Line[]): PageFact[] {
  return lines.flatMap((line): PageFact[] => {
    const parts = cutAtGaps([line]);
    const facts = parts.flatMap((part) =>
      part.slice(BEFORE).flatMap((word, i): PageFact[] => {
        if (!isAnswer(word) || word.text.length < 4) return [];
        const kind = /^[\d.]+$/.test(word.text) ? 'number' : 'word';
        return [factOf(word, `Which ${kind} follows “${said(part.slice(i, i + BEFORE))}”?`, kind)];
      }),
    );
    const [first, last] = [parts[0], parts[parts.length - 1]];
    const cell = last[last.length - 1];
    // Of a table's row, or of a list of contents with its dots.
    const head = first.filter(({ text }) => !/^[.\s]+$/.test(text));
    const isRow = parts.length > 1 || line.some(({ text }) => /\.{3}|^\.$/.test(text));
    if (isRow && last.length === 1 && isAnswer(cell) && head.length > 0 && !head.includes(cell)) {
      const isPage = parts.length === 2 && /^\d{1,4}$/.test(cell.text);
      const row = said(head.slice(0, 6));
      facts.push(
        isPage
          ? factOf(cell, `Which page or number stands at the end of the line “${row}”?`, 'reference')
          : factOf(cell, `What stands in the last column of the row “${row}”?`, 'cell'),
      );
    }
    return facts;
  });
}

const factOf = ({ text, box }: Word, question: string, kind: string): PageFact => ({
  ...{ text, box, question, kind },
  capPx: box[3] - box[1],
});

/** Long side of a sheet, pixels, and what is left free around each of its pages. */
const SHEET_PX = 3840;
const GAP_PX = 6;
/** Pixels an inch at which the size of a page is tried. */
const TRIED_DPI = 9;
const GREY = 0x80;

/**
 * Draws pages of a PDF file that follow each other as one sheet, row by row, and finds what can be asked about it.
 *
 * @param first   page, from 0; behind the last comes the first
 * @param pages   how many there are, side by side and above each other
 */
export function documentSheet(
  pdf: PdfFile,
  first: number,
  { columns, rows }: { readonly columns: number; readonly rows: number },
): DocumentSheet {
  const tried = pdf.page(first, TRIED_DPI);
  const perDpi = [columns * tried.width, rows * tried.height].map((side) => side / TRIED_DPI);
  const dpi = (SHEET_PX - GAP_PX * (1 + Math.max(columns, rows))) / Math.max(...perDpi);
  const [cellWidth, cellHeight] = [tried.width, tried.height].map(
    (side) => Math.floor((side * dpi) / TRIED_DPI) + GAP_PX,
  );
  const [width, height] = [columns * cellWidth + GAP_PX, rows * cellHeight + GAP_PX];
  const rgba = new Uint8Array(4 * width * height).fill(GREY);
  const facts: PageFact[] = [];
  for (let i = 0; i < Math.min(columns * rows, pdf.pageCount); i++) {
    const page = pdf.page((first + i) % pdf.pageCount, dpi);
    const [column, row] = [i % columns, Math.floor(i / columns)];
    const [left, top] = [GAP_PX + column * cellWidth, GAP_PX + row * cellHeight];
    const wide = Math.min(page.width, cellWidth - GAP_PX);
    const high = Math.min(page.height, cellHeight - GAP_PX);
    for (let y = 0; y < high; y++)
      rgba.set(
        page.rgba.subarray(4 * y * page.width, 4 * (y * page.width + wide)),
        4 * ((top + y) * width + left),
      );
    const where = columns * rows > 1 ? `On page ${column + 1} from the left in row ${row + 1}: ` : '';
    for (const { box, question, ...fact } of factsOf(page.lines)) {
      const [x1, y1, x2, y2] = box;
      if (x2 > wide || y2 > high) continue;
      facts.push({ ...fact, box: [x1 + left, y1 + top, x2 + left, y2 + top], question: where + question });
    }
  }
  return { width, height, rgba, facts };
}
