// Conversations of several lengths as one batch.
import { expect, expectKeys } from '../../engine/index.ts';
import { IGNORED } from './labels.ts';
import type { EncodedChat } from './tokenizer.ts';

/** Rows of ids with their labels, for `LanguageModel.loss`. */
export interface TokenBatch {
  /** [B, T], padded on the right. */
  readonly ids: Int32Array<ArrayBuffer>;
  /** [B, T], `IGNORED` at padding. */
  readonly labels: Int32Array<ArrayBuffer>;
  /** [B, T] */
  readonly shape: readonly [number, number];
}

/**
 * Pads texts on the right to the longest of them.
 *
 * @param options.padId          what stands at padding: `tokenizer.padId`
 * @param options.contextLength  texts are cut to this; default: not
 * @throws ShapeError for no text
 */
export function padBatch(
  texts: readonly EncodedChat[],
  options: { readonly padId: number; readonly contextLength?: number },
): TokenBatch {
  expectKeys('padBatch', options, { padId: true, contextLength: true });
  const { padId, contextLength = Number.POSITIVE_INFINITY } = options;
  expect(texts.length > 0, 'padBatch', 'there must be a text', 'none');
  const T = Math.min(contextLength, Math.max(...texts.map(({ ids }) => ids.length)));
  const ids = new Int32Array(texts.length * T).fill(padId);
  const labels = new Int32Array(texts.length * T).fill(IGNORED);
  texts.forEach((text, b) => {
    ids.set(text.ids.subarray(0, T), b * T);
    labels.set(text.labels.subarray(0, T), b * T);
  });
  return { ids, labels, shape: [texts.length, T] };
}

/** Rows of several texts each, for `LanguageModel.loss` with `sequences`. */
export interface PackedBatch extends TokenBatch {
  /** [B, S + 1], where texts begin in each row and where the last one ends, that again where a row has fewer texts. */
  readonly sequences: Int32Array<ArrayBuffer>;
  /** [B, S + 1] */
  readonly sequencesShape: readonly [number, number];
}

/**
 * Puts texts behind each other in rows, the longest first, each into the first row that has room for it.
 *
 * @param options.padId      what stands at the end of a row that is not full: `tokenizer.padId`
 * @param options.rowLength  tokens of a row at most, to which longer texts are cut
 * @throws ShapeError for no text, and rows of no token
 */
export function packBatch(
  texts: readonly EncodedChat[],
  options: { readonly padId: number; readonly rowLength: number },
): PackedBatch {
  expectKeys('packBatch', options, { padId: true, rowLength: true });
  const { padId, rowLength } = options;
  expect(texts.length > 0, 'packBatch', 'there must be a text', 'none');
  expect(
    Number.isInteger(rowLength) && rowLength > 0,
    'packBatch',
    'rowLength must be a positive integer',
    `${rowLength}`,
  );
  const rows: { ends: number[]; texts: EncodedChat[] }[] = [];
  for (const text of [...texts].sort((a, b) => b.ids.length - a.ids.length)) {
    const length = Math.min(rowLength, text.ids.length);
    const fits = rows.find(({ ends }) => ends[ends.length - 1] + length <= rowLength);
    const row = fits ?? { ends: [0], texts: [] };
    if (!fits) rows.push(row);
    row.ends.push(row.ends[row.ends.length - 1] + length);
    row.texts.push(text);
  }
  const T = Math.max(...rows.map(({ ends }) => ends[ends.length - 1]));
  const S = Math.max(...rows.map(({ texts }) => texts.length));
  const ids = new Int32Array(rows.length * T).fill(padId);
  const labels = new Int32Array(rows.length * T).fill(IGNORED);
  const sequences = new Int32Array(rows.length * (S + 1));
  rows.forEach(({ ends, texts }, b) => {
    sequences.fill(ends[texts.length], b * (S + 1), (b + 1) * (S + 1));
    sequences.set(ends, b * (S + 1));
    texts.forEach((text, s) => {
      const length = ends[s + 1] - ends[s];
      ids.set(text.ids.subarray(0, length), b * T + ends[s]);
      labels.set(text.labels.subarray(0, length), b * T + ends[s]);
      labels[b * T + ends[s]] = IGNORED; // no token of its text comes before
    });
  });
  return { ids, labels, shape: [rows.length, T], sequences, sequencesShape: [rows.length, S + 1] };
}
