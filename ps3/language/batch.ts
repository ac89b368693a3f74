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
