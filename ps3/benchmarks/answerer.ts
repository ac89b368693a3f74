// What a model must do to be asked the multiple-choice questions of a benchmark.
import type { DecodedImage } from '../model/image.ts';

/** An image to be asked about: decoded, or the path of its file. Questions of one image come one after another, with the same value. */
export type AskedImage = DecodedImage | string;

/** A question with options. */
export interface Choice {
  readonly question: string;
  /** Two at least, all different. */
  readonly options: readonly string[];
}

/** An answer. */
export interface Scored {
  /** For each option, in their order, the highest for the best: log-probabilities, cosines, or -losses; equal ones where it cannot tell. */
  readonly scores: readonly number[];
  /**
   * Where it looked: for each option, or once for all of them. Of each high-res scale [Y * Y], nonzero in the patches that were taken of
   * the image squashed to a square. Absent where it takes in all at once.
   */
  readonly looked?: readonly (readonly Float32Array[])[];
}

/**
 * A model that answers: it says how well each option answers a question. Whatever is asked of it the same image at several
 * resolutions, no image, another one, or the answer's part alone comes to it as an image of its own.
 */
export interface Answerer {
  /** In tables, with what matters of how it looks: `nano-4k top-down`. */
  readonly name: string;
  /** Whether the order of the options matters to it: it is asked all rotations then, else the first alone. */
  readonly heedsOrder?: boolean;
  /** False where it cannot tell the options apart, whatever the image: it is not asked then, and its scores are equal. */
  tells?(options: readonly string[]): Promise<boolean>;
  /** Answers a question. */
  answer(image: AskedImage, choice: Choice): Promise<Scored>;
}
