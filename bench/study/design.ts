// What the study compares, fixed before its first run: a scale model of the paper's experiments, on scenes of 224 px.
import type { TiledOptions } from '../../ps3/model/baselines/tiled.ts';
import type { TrainConfig } from '../../ps3/train/config.ts';
import { changedConfig, trainConfig } from '../../ps3/train/presets.ts';

/** Side of the scenes, the S of the ladder. */
export const SIDE_PX = 224;

/** Sides of a view as shares of S: the ladder on which a question's least resolution is told. */
export const LADDER = [0.1, 0.2, 0.4, 0.6, 0.8, 1] as const;

/**
 * Short side that an object must have in a view to be recognised: a patch of the tower, so that one token can be full of it.
 * It is a convention about these towers, fixed beforehand, and no measurement of eyes or of an ideal observer.
 */
export const LEAST_PX = 14;

/** Questions whose least resolution is above this share of S need the top of the ladder. */
export const NEEDS_TOP = 0.6;

/** Questions whose least resolution is at most this share of S need the least. */
export const LOW_ENOUGH = 0.4;

/** Share of S that the low-res pass sees, 56 px. */
export const LOW_SHARE = 0.25;

/**
 * Scenes of the negative control: objects that low resolution shows well enough. They are larger than those of the trainings' scenes,
 * but no larger than what the towers' crops show.
 */
export const EASY: readonly string[] = [
  'data.objects=[2,2]',
  'data.objectPx=[72,112]',
  'data.distractors=[0,0]',
];

/** Patches of a look in the main comparison: 20 % of the 320 high-res ones. With 16 low-res tokens as many as S² and AnyRes have at 112 px. */
export const LOOK = 64;

/** Options of a question. */
export const OPTIONS = 4;

/** Steps, scenes, questions and trainings. */
export interface StudySize {
  readonly name: 'full' | 'quick' | 'tiny';
  readonly seeds: number;
  /** Trainings of each ablation. */
  readonly ablationSeeds: number;
  readonly questions: number;
  readonly scenes: number;
  readonly towersSteps: number;
  readonly steps: number;
  readonly ablationSteps: number;
  /** Repetitions of each time that is measured. */
  readonly repetitions: number;
  /** Largest side, in pixels, at which the time of the naive encoding is measured. */
  readonly naivePx: number;
  /** Differences below this are not claimed. */
  readonly leastClaim: number;
  readonly draws: number;
}

/** By name. */
export const SIZES: Readonly<Record<StudySize['name'], StudySize>> = {
  full: {
    name: 'full',
    ...{ seeds: 5, ablationSeeds: 5, questions: 960, scenes: 6000, repetitions: 15, naivePx: 896 },
    ...{ towersSteps: 4000, steps: 3000, ablationSteps: 3000, leastClaim: 0, draws: 10_000 },
  },
  quick: {
    name: 'quick',
    ...{ seeds: 3, ablationSeeds: 2, questions: 240, scenes: 1500, repetitions: 15, naivePx: 448 },
    ...{ towersSteps: 700, steps: 400, ablationSteps: 120, leastClaim: 0.1, draws: 10_000 },
  },
  tiny: {
    name: 'tiny',
    ...{ seeds: 2, ablationSeeds: 1, questions: 12, scenes: 40, repetitions: 2, naivePx: 224 },
    ...{ towersSteps: 2, steps: 2, ablationSteps: 1, leastClaim: 0.1, draws: 200 },
  },
};

/** Parts of the method that an ablation takes away, as `method` of a run's configuration names them. */
export const ABLATIONS = {
  lowResCache: 'keys and values of the low-res pass',
  oneSamplePerImage: 'no contrast within an image',
  teacherForcing: 'selection by ground truth in training',
  inBoxPooling: 'pooling of tokens in the box alone',
  globalMix: 'captions of whole images mixed in',
  multiScale: 'patches of every scale',
  scalePositions: 'position embeddings per scale',
  auxEncoder: 'auxiliary encoder for selection',
} as const;
/** A key of `ABLATIONS`. */
export type Ablation = keyof typeof ABLATIONS;

/** Something that is trained from the same towers. */
export interface Arm {
  readonly name: string;
  /** What differs from PS3, as of `--set`. */
  readonly set: readonly string[];
  /** Which steps it takes. */
  readonly length: 'steps' | 'ablationSteps';
  /** The baseline that it is, at the sides at which it is asked. */
  readonly asked?: readonly TiledOptions[];
  /** Every selection and budget is asked of it, not the main one alone. */
  readonly isWhole?: boolean;
}

const tiled = (encoder: TiledOptions['encoder'], ...sides: number[]): TiledOptions[] =>
  sides.map((sidePx) => ({ encoder, sidePx }));

const baseline = (encoder: TiledOptions['encoder'], sidePx: number, ...sides: number[]): Arm => ({
  name: `${encoder}${encoder === 'low-res' ? '' : ` ${sidePx}`}`,
  set: [`baseline.encoder=${encoder}`, `baseline.sidePx=${sidePx}`],
  length: 'steps',
  asked: tiled(encoder, ...sides),
});

/** Arms of the main comparison, in every size of the study. */
export const MAIN_ARMS: readonly Arm[] = [
  { name: 'ps3', set: [], length: 'steps', isWhole: true },
  baseline('s2', 112, 112, 224),
  baseline('anyres', 112, 112, 224),
  baseline('low-res', 56, 56),
];

/** Fewer scales at the same budget: quality for the figure of constant cost. */
export const SCALE_ARMS: readonly Arm[] = [
  { name: 'ps3 to 112', set: ['model.scalesPx=[56,112]'], length: 'steps' },
];

/** Of the full study alone: baselines that are trained at the top scale, and PS3 trained with other budgets. */
export const FULL_ARMS: readonly Arm[] = [
  baseline('s2', 224, 224),
  baseline('anyres', 224, 224),
  { name: 'ps3 5 %', set: ['model.maxSelect=16'], length: 'steps' },
  { name: 'ps3 10 %', set: ['model.maxSelect=32'], length: 'steps' },
  { name: 'ps3 44 %', set: ['model.maxSelect=141'], length: 'steps' },
];

/** PS3 and what each ablation leaves of it, all trained equally long. */
export const ABLATION_ARMS: readonly Arm[] = [
  { name: 'whole', set: [], length: 'ablationSteps' },
  ...Object.keys(ABLATIONS).map(
    (part): Arm => ({ name: `without ${part}`, set: [`method.${part}=false`], length: 'ablationSteps' }),
  ),
];

/** What training-free rows ask of the towers as they are. */
export const TOWER_ROWS: readonly TiledOptions[] = [
  ...tiled('low-res', 56),
  ...tiled('anyres', 112, 224),
  ...tiled('s2', 112, 224),
];

/** Seed of scenes and questions, which every training shares. */
export const DATA_SEED = 1;

/** What every training of the study shares: the geometry of `small`, four or five objects of 12 to 64 px on each scene. */
export function studyConfig(size: StudySize): TrainConfig {
  const { towersSteps, steps, scenes, questions } = size;
  const isTiny = size.name === 'tiny';
  return trainConfig({
    preset: 'small',
    set: [
      `seed=${DATA_SEED}`,
      `data.scenes=${scenes}`,
      // Four questions an image.
      `data.heldOut=${Math.ceil(questions / OPTIONS)}`,
      ...['data.objects=[4,5]', 'data.objectPx=[12,64]', 'data.distractors=[0,1]'],
      `model.maxSelect=${LOOK}`,
      ...[`towers.steps=${towersSteps}`, `towers.warmup=${Math.min(50, towersSteps)}`],
      ...[`ps3.steps=${steps}`, `ps3.warmup=${Math.min(40, steps)}`],
      ...(isTiny ? ['towers.batch=8', 'ps3.batch=4'] : []),
    ],
  });
}

/** The scenes of the negative control, of which none is trained on. */
export function easyConfig(size: StudySize): TrainConfig {
  return changedConfig(studyConfig(size), [...EASY, 'data.scenes=1']);
}

/** The configuration of one training of an arm. */
export function armConfig(size: StudySize, { set, length }: Arm, seed: number): TrainConfig {
  const steps = size[length];
  const own = [`seed=${seed}`, `ps3.steps=${steps}`, `ps3.warmup=${Math.min(40, steps)}`];
  return changedConfig(studyConfig(size), [...own, ...set]);
}
