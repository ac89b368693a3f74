// Where training stands: progress.json of a checkpoint.
import type { Cursor } from '../batches.ts';

/** Stages of training in their order: towers and PS3, then those of a VILA-HD that has them. */
export const STAGES = ['towers', 'ps3', 'align', 'answers', 'select'] as const;
/** A name of `STAGES`. */
export type StageName = (typeof STAGES)[number];

/** What the stages are called. */
export const STAGE_TITLES: Readonly<Record<StageName, string>> = {
  towers: 'stage 1: towers',
  ps3: 'stage 2: PS3',
  align: 'VILA-HD, stage 1: answers',
  answers: 'VILA-HD, stage 2: answers, and where to look',
  select: 'VILA-HD, stage 3: answers where it looks',
};

/** Where training stands. Small and JSON: numbers of the GPU are in a `TrainingState`. */
export interface Progress {
  /** Which stage of training. */
  readonly stage: StageName;
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
  const [, word, step] = /^([a-z0-9]+)-(\d+)$/.exec(name) ?? [];
  const stage = STAGES.find((stage) => stage === word);
  return stage && { stage, step: Number(step) };
}

/** Positive where `a` is further than `b`. */
export function compareProgress(a: Progress, b: Progress): number {
  return STAGES.indexOf(a.stage) - STAGES.indexOf(b.stage) || a.step - b.step;
}
