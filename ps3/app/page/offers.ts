// What a build of the page brings along.

/** A picture that goes with the offered checkpoint. */
export interface SamplePicture {
  /** Address relative to the page. */
  readonly file: string;
  /** What can be seen, as prompts. */
  readonly captions: readonly string[];
}

export interface Offers {
  /** Name of the run whose checkpoint lies in model/; null without one. */
  readonly model: string | null;
  readonly samples: readonly SamplePicture[];
}
