// The checkpoints and samples that a build of the page includes.

/** A checkpoint beside the page. */
export interface OfferedModel {
  /** What its button says. */
  readonly label: string;
  /** Address relative to the page, with a slash at its end. */
  readonly folder: string;
}

/** An image that goes with the offered checkpoints. */
export interface SampleImage {
  /** Address relative to the page. */
  readonly file: string;
  /** The same, small enough to be shown before it is chosen. */
  readonly thumbnail: string;
  /** What can be seen, as prompts; none for an image to ask about. */
  readonly captions: readonly string[];
  /** What can be asked about it; none for an image to look at. */
  readonly questions: readonly string[];
}

export interface Offers {
  readonly models: readonly OfferedModel[];
  readonly samples: readonly SampleImage[];
}
