// Words with their boxes into captions: what stands together in an image, fifteen words at a time or line by line.
import { isWordless } from '../annotations.ts';
import type { Box } from '../boxes.ts';

/** A word where it is seen, in pixels of the image. */
export interface Word {
  readonly text: string;
  readonly box: Box;
}

/** Words beside each other, from left to right. */
export type Line = readonly Word[];

/** A caption and its place. */
export interface Caption {
  readonly text: string;
  readonly box: Box;
}

/** How words become captions. */
export interface CaptionRule {
  /** Consecutive words of a caption, at most, over the ends of lines; `line`: each line is one caption. */
  readonly words: number | 'line';
  /** A rest of fewer words at the end of a text is left out; a text that is as short stays. */
  readonly minWords: number;
}

/** The smallest box around some. */
export function unionOf(boxes: readonly Box[]): Box {
  const least = (edge: 0 | 1): number => Math.min(...boxes.map((box) => box[edge]));
  const most = (edge: 2 | 3): number => Math.max(...boxes.map((box) => box[edge]));
  return [least(0), least(1), most(2), most(3)];
}

const heightOf = ([, top, , bottom]: Box): number => bottom - top;

/** Lines cut where a gap between two words is wider than that between words of a sentence: columns of a table. */
export function cutAtGaps(lines: readonly Line[]): Line[] {
  return lines.flatMap((line) => {
    if (line.length === 0) return [];
    const height = heightOf(unionOf(line.map(({ box }) => box)));
    const parts: Word[][] = [[line[0]]];
    for (const [i, word] of line.slice(1).entries()) {
      const gap = word.box[0] - line[i].box[2];
      if (gap > 1.5 * height || gap < -height) parts.push([word]);
      else parts.at(-1)!.push(word);
    }
    return parts;
  });
}

/** Whether a line goes on with the text of the one before: right below it, of about its size, not beside it. */
function goesOn(line: Line, before: Line): boolean {
  const [a, b] = [before, line].map((words) => unionOf(words.map(({ box }) => box)));
  const [high, low] = [heightOf(a), heightOf(b)].sort((x, y) => y - x);
  const step = b[1] - a[1];
  return step > 0.5 * low && step < 2.2 * high && high < 2 * low && b[0] < a[2] && a[0] < b[2];
}

/**
 * Captions of the lines of an image, in their order; no two share a word.
 *
 * Source: Shi et al. 2025, arXiv:2503.19903, appendix A: fifteen consecutive words of a document, or one line of it.
 */
export function captionsOf(lines: readonly Line[], { words: count, minWords }: CaptionRule): Caption[] {
  const pieces = cutAtGaps(lines);
  const blocks: Word[][] = [];
  for (const [i, line] of pieces.entries()) {
    if (count !== 'line' && i > 0 && goesOn(line, pieces[i - 1])) blocks.at(-1)!.push(...line);
    else blocks.push([...line]);
  }
  const runs = blocks.flatMap((block) => {
    const size = count === 'line' ? block.length : count;
    const starts = Array.from({ length: Math.ceil(block.length / size) }, (_, i) => i * size);
    const parts = starts.map((start) => block.slice(start, start + size));
    return parts.filter(({ length }) => length >= minWords || parts.length === 1);
  });
  return runs
    .map((run) => ({
      text: run.map(({ text }) => text).join(' '),
      box: unionOf(run.map(({ box }) => box)),
    }))
    .filter(({ text }) => !isWordless(text));
}
