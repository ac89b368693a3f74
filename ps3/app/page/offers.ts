// The checkpoint and samples that a build of the page includes.

/** An image that goes with the offered checkpoint. */
export interface SampleImage {
  /** Address relative to the page. */
  readonly file: string;
  /** What can be seen, as prompts. */
  readonly captions: readonly string[];
}

export interface Offers {
  /** Name of the run whose checkpoint is in model/; null without one. */
  readonly model: string | null;
  readonly samples: readonly SampleImage[];
}
