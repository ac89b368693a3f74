// From answers to claims. The family of comparisons stands here, fixed before the first run.
import { BUDGETS } from '../../ps3/train/evaluation/located.ts';
import { BUDGET_PATCHES, MIXES, type StudyCells } from './compute.ts';
import { GROWING } from './costs.ts';
import { ABLATIONS, LOOK, LOW_ENOUGH, NEEDS_TOP } from './design.ts';
import type { Question } from './questions.ts';
import {
  clusterBootstrap,
  equivalence,
  holm,
  type Interval,
  mcnemar,
  power,
  type Scored,
  signFlip,
  tInterval,
  twoLevelBootstrap,
  wilson,
} from './statistics.ts';

/** Which questions a number is about: those that need the top of the ladder, those that low resolution can answer, or all. */
export type Subset = 'top' | 'low' | 'all';

/** Whether a question is of a subset. */
export function isIn(subset: Subset, { needs }: Pick<Question, 'needs'>): boolean {
  return subset === 'all' || (subset === 'top' ? needs > NEEDS_TOP : needs <= LOW_ENOUGH);
}

/** A row of answers, or a budget of a map's recall: `s2 112 / s2 224`, `ps3 / top-down`, `recall / topDown / 2`. */
export type Place = string;

/** One expectation: `better` scores higher than `worse` on the same questions of the same trainings. */
export interface Expectation {
  readonly id: string;
  readonly better: Place;
  readonly worse: Place;
  readonly subset: Subset;
  /** As a sentence would name the two. */
  readonly names: readonly [better: string, worse: string];
  /** What is compared: `accuracy` or `recall`. */
  readonly measure: 'accuracy' | 'recall';
}

const at20 = BUDGETS.indexOf(0.2);

/** Everything that the study expects, from the paper. p-values are adjusted over all of it. */
export const FAMILY: readonly Expectation[] = [
  ...(
    [
      ['ps3-s2', 'ps3 / top-down', 's2 112 / s2 112', 'PS3', 'S²'],
      ['s2-anyres', 's2 112 / s2 112', 'anyres 112 / anyres 112', 'S²', 'AnyRes'],
      ['anyres-low', 'anyres 112 / anyres 112', 'low-res / low-res', 'AnyRes', 'low-res'],
    ] as const
  ).map(
    ([id, better, worse, a, b]): Expectation => ({
      ...{ id, better, worse, subset: 'top', names: [a, b], measure: 'accuracy' },
    }),
  ),
  {
    ...{ id: 'test-44', better: 'ps3 / top-down of 141', worse: `ps3 / top-down of ${LOOK}`, subset: 'all' },
    ...{ names: ['PS3 asked with 44 % of the patches', 'PS3 asked with 20 % (as in training)'] },
    measure: 'accuracy',
  },
  {
    ...{ id: 'test-100', better: 'ps3 / top-down of 320', worse: `ps3 / top-down of ${LOOK}`, subset: 'all' },
    ...{ names: ['PS3 asked with all patches', 'PS3 asked with 20 % (as in training)'] },
    measure: 'accuracy',
  },
  {
    ...{ id: 'scales', better: 'ps3 / top-down', worse: 'ps3 to 112 / top-down', subset: 'top' },
    ...{ names: ['PS3 to 224 px', 'PS3 to 112 px at the same budget'], measure: 'accuracy' },
  },
  {
    ...{ id: 'top-bottom', better: `recall / topDown / ${at20}`, worse: `recall / bottomUp / ${at20}` },
    ...{ subset: 'all', names: ['top-down selection', 'bottom-up selection'], measure: 'recall' },
  },
  {
    ...{ id: 'bottom-random', better: `recall / bottomUp / ${at20}`, worse: `recall / random / ${at20}` },
    ...{ subset: 'all', names: ['bottom-up selection', 'random selection'], measure: 'recall' },
  },
  ...Object.entries(ABLATIONS).map(
    ([part, words]): Expectation => ({
      ...{ id: `ablation-${part}`, better: 'whole / top-down', worse: `without ${part} / top-down` },
      ...{ subset: 'all', names: [`PS3 with ${words}`, 'PS3 without it'], measure: 'accuracy' },
    }),
  ),
];

/** What the trainings say to an expectation. */
export interface Comparison extends Expectation {
  /** Mean difference of each training, in order of `seeds`. */
  readonly seeds: readonly number[];
  readonly perSeed: readonly number[];
  readonly mean: number;
  /** Student's interval over trainings. */
  readonly overTrainings: Interval;
  /** By draws of trainings, then of images. */
  readonly interval: Interval;
  /** By draws of images alone, for these trainings: BCa. */
  readonly overImages: Interval;
  /** Of the sign-flip test by image, of differences averaged over trainings. */
  readonly p: number;
  /** The same over the family. */
  readonly adjustedP: number;
  /** McNemar's test of each training, where right and wrong are compared. */
  readonly mcnemar: readonly number[];
  /** Chance that this design finds 10 points. */
  readonly power: number;
  readonly questions: number;
  readonly images: number;
  readonly verdict: Verdict;
}

/**
 * shown          beyond chance by image and by training, and large enough to be claimed
 * here           beyond chance by image, in all of too few trainings to speak of trainings
 * opposite       as `here`, the other way round
 * not shown      neither
 */
export type Verdict = 'shown' | 'here' | 'opposite' | 'not shown';

/** The rule of `Verdict`. @param leastClaim  differences below it are not claimed */
export function verdictOf(
  { perSeed, mean, overTrainings, adjustedP }: Omit<Comparison, 'verdict'>,
  leastClaim: number,
): Verdict {
  const sign = Math.sign(mean);
  const agreeing = perSeed.filter((difference) => Math.sign(difference) === sign).length;
  const mostAgree = agreeing >= perSeed.length - Number(perSeed.length >= 5);
  if (adjustedP >= 0.05 || !mostAgree || Math.abs(mean) < leastClaim) return 'not shown';
  if (sign < 0) return 'opposite';
  return overTrainings[0] > 0 ? 'shown' : 'here';
}

/** Values of a place for one seed, one per question; undefined where the seed has not been trained. */
export function valuesOf(cells: StudyCells, place: Place, seed: number): readonly number[] | undefined {
  const [arm, row, budget] = place.split(' / ');
  if (arm === 'recall') {
    const { recall } = cells.arms.find((one) => one.arm === 'ps3' && one.seed === seed)?.answers ?? {};
    if (!recall) return undefined;
    if (row === 'random') return cells.questions.map(() => BUDGETS[Number(budget)]);
    return recall[row as 'topDown' | 'bottomUp'].map((shares) => shares[Number(budget)]);
  }
  const from = arm === 'towers' ? cells.towers : cells.arms;
  return from.find((one) => one.arm === arm && one.seed === seed)?.answers.rows[row]?.right;
}

/** Seeds for which both places have values. */
function seedsOf(cells: StudyCells, places: readonly Place[]): number[] {
  return cells.towers
    .map(({ seed }) => seed)
    .filter((seed) => places.every((place) => valuesOf(cells, place, seed)));
}

const average = (numbers: readonly number[]): number =>
  numbers.reduce((sum, number) => sum + number, 0) / numbers.length;

/** Everything about one expectation but its adjusted p and its verdict. */
function compare(
  cells: StudyCells,
  expectation: Expectation,
): Omit<Comparison, 'adjustedP' | 'verdict'> | undefined {
  const { better, worse, subset, measure } = expectation;
  const seeds = seedsOf(cells, [better, worse]);
  const asked = cells.questions.flatMap((question, q) => (isIn(subset, question) ? [q] : []));
  if (seeds.length === 0 || asked.length === 0) return undefined;
  const { draws } = cells.size;
  const differences = seeds.map((seed): Scored[] => {
    const [a, b] = [valuesOf(cells, better, seed)!, valuesOf(cells, worse, seed)!];
    return asked.map((q) => ({ cluster: cells.questions[q].image, value: a[q] - b[q] }));
  });
  const perSeed = differences.map((values) => average(values.map(({ value }) => value)));
  const averaged = differences[0].map(
    ({ cluster }, i): Scored => ({
      cluster,
      value: average(differences.map((values) => values[i].value)),
    }),
  );
  const over = twoLevelBootstrap(differences, { draws });
  const images = clusterBootstrap(averaged, { draws });
  const { mean, interval: overTrainings } = tInterval(perSeed);
  const pairs = (values: readonly Scored[], sign: number): number =>
    values.filter(({ value }) => value * sign > 0).length;
  return {
    ...expectation,
    ...{ seeds, perSeed, mean, overTrainings },
    interval: over.percentile,
    overImages: images.bca,
    p: signFlip(averaged, { draws }),
    mcnemar:
      measure === 'accuracy' ? differences.map((values) => mcnemar(pairs(values, 1), pairs(values, -1))) : [],
    power: power(0.1, over.standardError),
    questions: asked.length,
    images: images.clusters,
  };
}

/** All expectations of a family that can be told, with p-values adjusted over them. */
export function compareAll(cells: StudyCells, family: readonly Expectation[] = FAMILY): Comparison[] {
  const told = family.flatMap((expectation) => compare(cells, expectation) ?? []);
  const adjusted = holm(told.map(({ p }) => p));
  return told.map((one, i) => {
    const whole = { ...one, adjustedP: adjusted[i] };
    return { ...whole, verdict: verdictOf(whole, cells.size.leastClaim) };
  });
}

/** A share with its interval, over all trainings that have it. */
export interface Score {
  readonly mean: number;
  /** By draws of trainings and images. */
  readonly interval: Interval;
  readonly perSeed: readonly number[];
  /** Wilson's interval of the first training's proportion, as if questions were independent. */
  readonly wilson: Interval;
}

/** Mean of a place over a subset; undefined where no training has it, or there is no such question. */
export function scoreOf(cells: StudyCells, place: Place, subset: Subset): Score | undefined {
  const seeds = seedsOf(cells, [place]);
  const asked = cells.questions.flatMap((question, q) => (isIn(subset, question) ? [q] : []));
  if (seeds.length === 0 || asked.length === 0) return undefined;
  const values = seeds.map((seed): Scored[] => {
    const all = valuesOf(cells, place, seed)!;
    return asked.map((q) => ({ cluster: cells.questions[q].image, value: all[q] }));
  });
  const perSeed = values.map((own) => average(own.map(({ value }) => value)));
  const { mean, percentile } = twoLevelBootstrap(values, { draws: cells.size.draws });
  const right = Math.round(perSeed[0] * asked.length);
  return { mean, interval: percentile, perSeed, wilson: wilson(right, asked.length) };
}

/** A line of the main table. */
export interface TableRow {
  readonly name: string;
  /** `towers as they are`, or the training. */
  readonly trained: string;
  readonly tokens: number;
  readonly scores: Readonly<Record<Subset, Score | undefined>>;
  /** Of an image, where the way to see was measured. */
  readonly flops?: number;
  readonly ms?: number;
  /** Of the whole second stage. */
  readonly trainingFlops?: number;
}

const SUBSETS: readonly Subset[] = ['top', 'low', 'all'];

/** All rows of all arms with their accuracies and costs. */
export function tableOf(cells: StudyCells): TableRow[] {
  const costOf = (row: string, tokens: number): { flops?: number; ms?: number } => {
    const encoder = /^(top-down|bottom-up|random|box|mix)/.test(row) ? 'ps3' : row.split(' ')[0];
    const cost = cells.costs.find((one) => one.name === encoder && one.tokens === tokens);
    return cost ? { flops: cost.flops, ms: [...cost.ms].sort((a, b) => a - b)[cost.ms.length >> 1] } : {};
  };
  const [first] = cells.towers;
  const named = [...(first ? [first] : []), ...cells.arms].filter(
    ({ arm }, i, all) => all.findIndex((one) => one.arm === arm) === i,
  );
  return named.flatMap(({ arm, answers, trained }) =>
    Object.entries(answers.rows).map(([name, { tokens }]): TableRow => {
      const scores = Object.fromEntries(
        SUBSETS.map((subset) => [subset, scoreOf(cells, `${arm} / ${name}`, subset)]),
      ) as TableRow['scores'];
      const { stepFlops, steps } = trained;
      const trainingFlops = arm === 'towers' || stepFlops === undefined ? undefined : stepFlops * steps;
      return { name, trained: arm, tokens, scores, ...costOf(name, tokens), trainingFlops };
    }),
  );
}

/** Recall of selections by the size of objects at the shares of `BUDGETS`. */
export interface RecallRow {
  readonly map: 'topDown' | 'bottomUp';
  readonly arm: string;
  readonly subset: Subset;
  /** For each of `BUDGETS`. */
  readonly shares: readonly number[];
}

/** With and without the auxiliary encoder, of trainings of equal length. */
export function recallOf(cells: StudyCells): RecallRow[] {
  return ['ps3', 'whole', 'without auxEncoder'].flatMap((arm) =>
    (['topDown', 'bottomUp'] as const).flatMap((map) =>
      SUBSETS.flatMap((subset): RecallRow[] => {
        const all = cells.arms.flatMap(({ arm: own, answers }) =>
          own === arm && answers.recall
            ? answers.recall[map].filter((_, q) => isIn(subset, cells.questions[q]))
            : [],
        );
        return all.length === 0
          ? []
          : [{ map, arm, subset, shares: BUDGETS.map((_, i) => average(all.map((shares) => shares[i]))) }];
      }),
    ),
  );
}

/** Cost of one more scale at the same budget, beside the two scales that the figure begins with. */
export interface Growth {
  readonly sidePx: number;
  readonly flopsRatio: number;
  readonly peakRatio: number;
  readonly time: ReturnType<typeof equivalence>;
  /** Ratio of operations of the tower over all patches of that side, where it was counted. */
  readonly naiveFlops: number | undefined;
  readonly flops: number;
}

/** The figure of constant cost. */
export function growthOf({ costs }: StudyCells): Growth[] {
  const all = costs.filter(({ name }) => name === 'constant');
  const [base] = all;
  return all.slice(0, GROWING.length).map(({ sidePx, flops, peakBytes, ms }) => ({
    ...{ sidePx, flops },
    flopsRatio: flops / base.flops,
    peakRatio: peakBytes / base.peakBytes,
    time: equivalence(ms.map((value, i) => value / base.ms[i])),
    naiveFlops: costs.find((one) => one.name === 'naive' && one.sidePx === sidePx)?.flops,
  }));
}

/** Everything that the page says, from everything that was computed. */
export interface Analysis {
  readonly comparisons: readonly Comparison[];
  /** PS3 against low-res where low resolution is enough, the negative control, and where the top is needed. */
  readonly control: readonly Comparison[];
  readonly table: readonly TableRow[];
  readonly recall: readonly RecallRow[];
  readonly growth: readonly Growth[];
  /** Accuracy over all questions by patches of a look, and by the share of them at 112 px. */
  readonly budgets: readonly { readonly patches: number; readonly score: Score | undefined }[];
  readonly mixes: readonly { readonly coarse: number; readonly score: Score | undefined }[];
}

/** PS3 against low-res, on questions of one kind. */
const control = (id: string, subset: Subset): Expectation => ({
  ...{ id, better: 'ps3 / top-down', worse: 'low-res / low-res', subset },
  ...{ names: ['PS3', 'low-res'], measure: 'accuracy' },
});

/** Analyses what there is; what was not computed is left out. */
export function analyse(cells: StudyCells): Analysis {
  return {
    comparisons: compareAll(cells),
    control: [
      ...(cells.easy ? compareAll({ ...cells, ...cells.easy }, [control('easy', 'all')]) : []),
      ...compareAll(cells, [control('hard', 'top')]),
    ],
    table: tableOf(cells),
    recall: recallOf(cells),
    growth: growthOf(cells),
    budgets: BUDGET_PATCHES.map((patches) => ({
      patches,
      score: scoreOf(cells, `ps3 / top-down of ${patches}`, 'all'),
    })),
    mixes: MIXES.map((share) => {
      const coarse = Math.round(share * LOOK);
      return { coarse, score: scoreOf(cells, `ps3 / mix ${coarse}`, 'all') };
    }),
  };
}
