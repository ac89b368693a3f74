// How long and how fast one stage trains, of any model.

/** How long and how fast one stage trains. */
export interface StageConfig {
  /** Optimizer steps. */
  readonly steps: number;
  /** Samples per step. */
  readonly batch: number;
  /** Peak learning rate; linear warm-up, then half a cosine to zero. */
  readonly lr: number;
  /** Steps of the warm-up. */
  readonly warmup: number;
  /** Parts of a batch that go through the model one after another, for less memory; the loss stays that of the whole batch, but for `loss.cross`. */
  readonly accumulate: number;
}
