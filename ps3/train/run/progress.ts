// Where training stands: progress.json of a checkpoint.
import type { Cursor } from '../batches.ts';

/** Where training stands. Small and JSON: numbers of the GPU are in a `TrainingState`. */
export interface Progress {
  /** Which of the two stages of training. */
  readonly stage: 'towers' | 'ps3';
  /** Steps of the stage that are done. */
  readonly step: number;
  /** Where the stage stands in its images; without it, `{ step }`. */
  readonly data?: Cursor;
}

/** The same in words that sort by name within a stage: `ps3-0000200`. */
export function nameOf({ stage, step }: Progress): string {
  return `${stage}-${String(step).padStart(7, '0')}`;
}

/** What `nameOf` made a name of; undefined for other names. */
export function progressNamed(name: string): Progress | undefined {
  const [, stage, step] = /^(towers|ps3)-(\d+)$/.exec(name) ?? [];
  return step === undefined ? undefined : { stage: stage as Progress['stage'], step: Number(step) };
}

/** Positive where `a` is further than `b`. */
export function compareProgress(a: Progress, b: Progress): number {
  return Number(a.stage === 'ps3') - Number(b.stage === 'ps3') || a.step - b.step;
}
