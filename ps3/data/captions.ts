// Captions as pre-training takes them: what the captioner said about its task is removed, and of long captions a random run of
// sentences is kept, so that later sentences are seen although tokens are few.
import type { Random } from '../../engine/index.ts';

/** How captions are processed. */
export interface CaptionOptions {
  /** Removes phrases that lead in to a close-up, and a last sentence on which text is visible. */
  readonly clean: boolean;
  /** Keeps a random run of sentences of each caption. */
  readonly sentenceMasking: boolean;
}

/** How captioners begin that saw an image and a part of it. Source: the reference implementation. */
const LEAD_PHRASES = ['The second image is a close-up of', 'The image is a close-up of'];

/** Sentences of a caption, without what says nothing about the image. */
function sentencesOf(caption: string, clean: boolean): string[] {
  const text = clean ? LEAD_PHRASES.reduce((text, phrase) => text.replaceAll(phrase, ''), caption) : caption;
  const sentences = text.trim().split(/(?<=[.!?]) +/);
  const last = sentences[sentences.length - 1];
  const isOnText = sentences.length > 1 && last.includes('text') && last.includes('visible');
  return clean && isOnText ? sentences.slice(0, -1) : sentences;
}

/** A contiguous run: its start among the first three sentences, its length uniform. */
function masked(sentences: readonly string[], random: Pick<Random, 'integer'>): string[] {
  const count = sentences.length;
  const start = random.integer(Math.min(count - 1, 2) + 1);
  return sentences.slice(start, start + 1 + random.integer(count - start));
}

/**
 * The caption of a sample: those that it was given, processed, their sentences merged.
 *
 * Of n captions with m sentences in all, floor(m / n) are kept in their order, each as likely; one caption keeps all.
 * Without options on, a single caption comes back as it is.
 *
 * @param captions  one or more
 * @param random    a start and a length for each caption, then one number for each sentence that a merge keeps
 * Source: Shi et al. 2025, arXiv:2503.19903, the released code.
 */
export function processCaptions(
  captions: readonly string[],
  { clean, sentenceMasking }: CaptionOptions,
  random: Pick<Random, 'integer'>,
): string {
  if (captions.length === 1 && !clean && !sentenceMasking) return captions[0];
  const pooled = captions.flatMap((caption) => {
    const sentences = sentencesOf(caption, clean);
    return sentenceMasking ? masked(sentences, random) : sentences;
  });
  if (captions.length === 1) return pooled.join(' ');
  const order = [...pooled.keys()];
  const kept = Math.floor(pooled.length / captions.length);
  for (let i = 0; i < kept; i++) {
    const chosen = i + random.integer(order.length - i);
    [order[i], order[chosen]] = [order[chosen], order[i]];
  }
  const places = order.slice(0, kept).sort((a, b) => a - b);
  return places.map((place) => pooled[place]).join(' ');
}
