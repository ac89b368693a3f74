// Texts with images in them: where the images stand, and which token carries the question.

/** Ids of tokens that mean more than themselves; media tokens have no embedding. */
export interface VilaTokens {
  /** Stands for an image. */
  readonly image: number;
  /** Stand behind every image, in the text and in what takes its place. */
  readonly newline: readonly number[];
  /** What the chat template writes behind a turn of the user: `<|im_end|>\n<|im_start|>assistant`. */
  readonly turnEnd: readonly number[];
}

/** A part of a text: its tokens, or an image by its place among all. */
export type Part = { readonly ids: readonly number[] } | { readonly image: number };

/** A text as its parts, in order; texts without a token are left out. */
export function partsOf(ids: readonly number[], imageId: number): Part[] {
  const parts: Part[] = [];
  let text: number[] = [];
  let image = 0;
  const close = (): void => {
    if (text.length > 0) parts.push({ ids: text });
    text = [];
  };
  for (const id of ids) {
    if (id !== imageId) {
      text.push(id);
      continue;
    }
    close();
    parts.push({ image: image++ });
  }
  close();
  return parts;
}

/** How many images a text names. */
export const imageCount = (ids: readonly number[], imageId: number): number =>
  ids.filter((id) => id === imageId).length;

/**
 * The token that carries the question: the last one of the last turn of the user; of a text without such a turn its last one.
 *
 * @returns  its place in `ids`
 */
export function questionPlace(ids: readonly number[], turnEnd: readonly number[]): number {
  for (let start = ids.length - turnEnd.length; start > 0; start--)
    if (turnEnd.every((id, i) => ids[start + i] === id)) return start - 1;
  return ids.length - 1;
}
