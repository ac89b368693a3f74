// Facts of a page of a document: a word, a number, a cell or a page reference by what stands before it in its line.
import type { PdfFile } from '../../data/caption/pdf.ts';
import type { PageFact } from '../../data/caption/web_page.ts';
import { cutAtGaps, type Line, type Word } from '../../data/caption/words.ts';

/** A page as an image, and what can be asked about it. */
export interface DocumentPage {
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

/**
 * Draws a page of a PDF file and finds what can be asked about it.
 *
 * @param dpi  pixels an inch
 */
export function documentPage(pdf: PdfFile, index: number, dpi: number): DocumentPage {
  const { width, height, rgba, lines } = pdf.page(index, dpi);
  return { width, height, rgba, facts: factsOf(lines) };
}
