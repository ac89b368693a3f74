// What a training run is asked to do, and what it gives.
import type { OpenTransport } from '../ranks/transport.ts';
import type { TrainConfig } from '../train/config.ts';
import type { Evaluation } from '../train/evaluate.ts';
import type { QuestionsEvaluation } from '../train/evaluation/questions.ts';
import type { RunFolder } from '../train/run.ts';

/** What a run is asked to do. */
export interface SessionOptions {
  /** Folder of the run. */
  readonly out: string;
  /** Go on from the run's checkpoint; `config` and `minutes` are those that it began with. */
  readonly resume?: boolean;
  /** What a new run computes. */
  readonly config?: TrainConfig;
  /** Keys that a resumed run changes, of those in `CHANGEABLE_KEYS`: `saveEvery=50`. */
  readonly set?: readonly string[];
  /** A new run takes fewer steps where this machine would train for longer than this. */
  readonly minutes?: number;
  /** Once it is aborted, the run ends after the step at hand, which is saved. */
  readonly signal?: { readonly aborted: boolean };
  /** Ranks that train together, whose first one writes and evaluates; default: this process alone. */
  readonly transport?: OpenTransport;
  /** First print where the time of a step goes, and write a trace of each stage into the run folder. */
  readonly profile?: boolean;
}

/** What it gives. */
export interface SessionResult {
  readonly run: RunFolder;
  /** Of a PS3, or of a VILA-HD. */
  readonly evaluation: Evaluation | QuestionsEvaluation;
  readonly seconds: number;
}
