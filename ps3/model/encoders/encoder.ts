// Encoders of images and texts that are not ours, so that SigLIP 2, PE or C-RADIO can be held against PS3 by who has them.
import type { DecodedImage } from '../decoder.ts';

/** What of an image is encoded: all of it, or an oracle's crop. */
export type ImagePart = 'image' | 'crop';

/** An encoder of images and texts into one space. */
export interface OtherEncoder extends AsyncDisposable {
  readonly name: string;
  /** What it can encode. */
  readonly parts: readonly ImagePart[];
  /**
   * The feature of an image or of a part of it.
   *
   * @param id  of the question, by which stored features are found
   * @returns   [E], of length 1
   * @throws EncoderError where there is none
   */
  imageFeature(id: string, part: ImagePart, image: DecodedImage): Promise<Float32Array>;
  /** Features of texts, [E] each, of length 1. @throws EncoderError where there is none */
  textFeatures(texts: readonly string[]): Promise<Float32Array[]>;
}

/** The direction of a vector. */
export function unitVector(values: ArrayLike<number>): Float32Array {
  const numbers = Float64Array.from(values);
  const length = Math.hypot(...numbers);
  return Float32Array.from(numbers, (value) => value / length);
}
