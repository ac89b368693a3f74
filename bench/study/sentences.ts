// What the numbers say, in words: every sentence of the page is made here, from comparisons and scores alone.
import type { Analysis, Comparison, Growth } from './analysis.ts';
import type { StudyCells } from './compute.ts';
import { naiveOverPS3 } from './costs.ts';
import { LOW_ENOUGH, LOW_SHARE, NEEDS_TOP } from './design.ts';
import type { Interval } from './statistics.ts';

/** A difference in points, with its sign. */
export function points(difference: number): string {
  const value = 100 * difference;
  return `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(1)} points`;
}

/** An interval in points. */
export function pointsWithin([low, high]: Interval): string {
  const one = (value: number): string => {
    const shown = 100 * value;
    return Number.isFinite(shown) ? `${shown < 0 ? '−' : ''}${Math.abs(shown).toFixed(1)}` : 'without end';
  };
  return Number.isFinite(low) ? `${one(low)} to ${one(high)}` : 'no interval from one training';
}

const percent = (share: number, digits = 1): string => `${(100 * share).toFixed(digits)} %`;

/** p as it is printed. */
export function pText(p: number): string {
  return p < 0.001 ? 'p < 0.001' : `p = ${p.toFixed(3)}`;
}

const trainings = (n: number): string => `${n} training${n === 1 ? '' : 's'}`;

const SUBSET_WORDS = {
  top: `questions that need more than ${NEEDS_TOP} of the side`,
  low: `questions that need at most ${LOW_ENOUGH} of the side`,
  all: 'all questions',
};

/** What a comparison says, with its interval, and with its power where it says nothing. */
export function claim(comparison: Comparison, leastClaim: number): string {
  const { names, subset, mean, interval, overTrainings, adjustedP, verdict, perSeed, questions, measure } =
    comparison;
  const [a, b] = names;
  const subject = `${a[0].toUpperCase()}${a.slice(1)}`;
  const over = perSeed.length === 1 ? 'over images' : 'over trainings and images';
  const what = measure === 'recall' ? 'recall' : 'accuracy';
  const numbers = `${points(mean)} of ${what}, 95 % interval ${pointsWithin(interval)} ${over}, ${pText(adjustedP)} after Holm, ${questions} questions, ${trainings(perSeed.length)}`;
  if (verdict === 'shown') return `${subject} is above ${b} on ${SUBSET_WORDS[subset]}: ${numbers}.`;
  if (verdict === 'here')
    return `${subject} is above ${b} on ${SUBSET_WORDS[subset]} in the ${trainings(perSeed.length)} made here: ${numbers}; Student's interval over trainings alone, ${pointsWithin(overTrainings)}, is too wide to say so of trainings in general.`;
  if (verdict === 'opposite')
    return `Against the expectation, ${a} is below ${b} on ${SUBSET_WORDS[subset]}: ${numbers}. This does not reproduce.`;
  const least = leastClaim > 0 && Math.abs(mean) < leastClaim && adjustedP < 0.05;
  const why = least
    ? `differences under ${(100 * leastClaim).toFixed(0)} points are not claimed at this size`
    : `this design finds a difference of 10 points with a chance of ${percent(comparison.power, 0)}${perSeed.length === 1 ? ', other trainings left aside' : ''}`;
  return `That ${a} is above ${b} on ${SUBSET_WORDS[subset]} is not shown: ${numbers}; ${why}.`;
}

/** The order of the primary endpoint, as far as it is told. */
export function primarySentence({ comparisons }: Analysis): string {
  const steps = comparisons.filter(({ id }) => ['ps3-s2', 's2-anyres', 'anyres-low'].includes(id));
  if (steps.length < 3) return 'The primary comparison has not been computed.';
  const held = steps.filter(({ verdict }) => verdict === 'shown' || verdict === 'here');
  const broken = steps.filter(({ verdict }) => verdict === 'opposite');
  const order = 'PS3 > S² > AnyRes > low-res';
  const named = (some: readonly Comparison[]): string =>
    some.map(({ names: [a, b] }) => `${a} > ${b}`).join(' and ');
  const rest = steps.filter((step) => !held.includes(step) && !broken.includes(step));
  if (held.length === 3) return `The order ${order} at equal tokens holds in all three steps.`;
  const parts = [
    held.length > 0 ? `${named(held)} holds` : 'none of its steps holds',
    ...(broken.length > 0 ? [`${named(broken)} is the other way round`] : []),
    ...(rest.length > 0 ? [`${named(rest)} is not shown`] : []),
  ];
  return `The order ${order} at equal tokens does not reproduce as a whole: ${parts.join(', ')}.`;
}

/** Whether the advantage of PS3 vanishes where low resolution is enough. */
export function controlSentence({ control }: Analysis): string {
  const low = control.find(({ id }) => id === 'easy');
  const top = control.find(({ id }) => id === 'hard');
  if (!low || !top) return 'The negative control has not been computed.';
  const easy = `${low.questions} questions about ${low.images} other scenes, whose objects have 14 px at low resolution`;
  const numbers = `${points(low.mean)} (${pointsWithin(low.interval)}) against ${points(top.mean)} (${pointsWithin(top.interval)}) where the top of the ladder is needed`;
  const [a, b] = low.interval;
  const isSmall = a > -0.1 && b < 0.1;
  if (isSmall) return `On ${easy}, PS3 and low-res are within 10 points of each other: ${numbers}.`;
  if (low.mean >= 0.1 && a > 0)
    return `On ${easy}, the advantage of PS3 over low-res does not vanish: ${numbers}.`;
  return `Whether the advantage of PS3 over low-res vanishes on ${easy}, is not decided: ${numbers}.`;
}

/** Flatness of the cost, as an equivalence test. */
export function growthSentence(growth: readonly Growth[]): string {
  const more = growth.slice(1);
  const [first] = growth;
  if (!first || more.length === 0) return 'Cost at a constant budget has not been measured.';
  const largest = more[more.length - 1];
  const one = ({ sidePx, time }: Growth): string =>
    `${sidePx} px ${time.ratio.toFixed(2)} (${time.interval.map((value) => value.toFixed(2)).join(' to ')})`;
  const flat = more.every(({ time }) => time.isEquivalent);
  const outside = more.filter(({ time }) => time.interval[0] > 1.1 || time.interval[1] < 0.9);
  const flops = `Operations grow by ${(100 * (largest.flopsRatio - 1)).toFixed(1)} % and memory by ${(100 * (largest.peakRatio - 1)).toFixed(0)} % from ${first.sidePx} to ${largest.sidePx} px at a fixed budget of patches`;
  const times = `time relative to ${first.sidePx} px, with 90 % intervals: ${more.map(one).join(', ')}`;
  if (flat) return `${flops}; ${times}; all within 0.9 to 1.1: the cost is flat.`;
  if (outside.length > 0)
    return `${flops}; ${times}; the time is not flat to within 10 % at ${outside.map(({ sidePx }) => `${sidePx} px`).join(', ')}.`;
  return `${flops}; ${times}; whether the time is flat to within 10 % is not decided.`;
}

/** What encoding every patch would cost, counted here and by the formula at the published size. */
export function naiveSentence({ costs }: Pick<StudyCells, 'costs'>): string {
  const naive = costs.filter(({ name }) => name === 'naive').at(-1);
  const own = naive && costs.find(({ name, sidePx }) => name === 'constant' && sidePx === naive.sidePx);
  const counted =
    naive && own
      ? `A tower over all patches of ${naive.sidePx} px does ${(naive.flops / own.flops).toFixed(1)} times the counted operations of PS3 with one look of the same image`
      : 'The naive encoding has not been measured';
  const [one, six] = [naiveOverPS3(1), naiveOverPS3(6)].map((ratio) => ratio.toFixed(0));
  return `${counted}. At the published size (SO400M, 3780 px) the formula gives ${one} times for one look of 2560 patches and ${six} times for six; the paper states 79 times for pre-training, without the derivation.`;
}

/** What is best of budgets or mixes. */
export function bestSentence(
  what: string,
  rows: readonly { readonly label: string; readonly mean: number | undefined }[],
): string {
  const known = rows.flatMap(({ label, mean }) => (mean === undefined ? [] : [{ label, mean }]));
  if (known.length < 2) return `${what} has not been computed.`;
  const best = known.reduce((a, b) => (b.mean > a.mean ? b : a));
  const least = known.reduce((a, b) => (b.mean < a.mean ? b : a));
  return `${what}: from ${percent(least.mean)} with ${least.label} to ${percent(best.mean)} with ${best.label}; differences between neighbours are not tested.`;
}

/** Equal steps are not equal operations: how many more PS3's had. */
function trainingCost({ arms }: StudyCells): string[] {
  const flopsOf = (name: string): number | undefined =>
    arms.find(({ arm }) => arm === name)?.trained.stepFlops;
  const ps3 = flopsOf('ps3');
  const others = [
    ['S²', flopsOf('s2 112')],
    ['AnyRes', flopsOf('anyres 112')],
    ['low-res', flopsOf('low-res')],
  ] as const;
  if (ps3 === undefined || others.some(([, flops]) => flops === undefined)) return [];
  const ratios = others.map(([name, flops]) => `${(ps3 / flops!).toFixed(1)} times those of ${name}`);
  return [
    `Equal steps are not equal operations: a step of PS3, its selection among it, has ${ratios.join(', ')}.`,
  ];
}

/** What stays a limit of the study whatever its numbers. */
export function limits(cells: StudyCells): string[] {
  const { size, questions } = cells;
  const images = new Set(questions.map(({ image }) => image)).size;
  const seeds = new Set(cells.arms.map(({ seed }) => seed)).size;
  return [
    `This is a scale model: a tower of width 64 and depth 3 that sees 56, 112 and 224 px, trained here on composed scenes for ${size.towersSteps} + ${size.steps} steps (ablations ${size.ablationSteps}); nothing of it is a number of the published models.`,
    `${questions.length} questions about ${images} images with photographs that no training shows; ${trainings(seeds)} of the main arms, of ${size.seeds} planned.`,
    'A question needs the smallest share of the side at which its object has 14 px, a patch of the tower: a convention about these towers that was fixed beforehand, not a measured acuity.',
    `Low resolution sees ${LOW_SHARE} of the side; ${questions.filter(({ needs }) => needs <= LOW_SHARE).length} of the questions need no more, so the negative control has scenes of its own, with larger objects than any scene of the trainings. It was added after the first run.`,
    'Data-matched baselines took the same captions, batches, steps and optimizer from the same towers; the row "towers" is training-free. PS3 has no training-free row, since what selects patches would be random.',
    ...trainingCost(cells),
    'Top-down selection is told the four options, and neither the box nor the answer; the box says afterwards which of the selected tokens are pooled.',
    ...(size.leastClaim > 0
      ? [`Differences under ${(100 * size.leastClaim).toFixed(0)} points are not claimed at this size.`]
      : []),
  ];
}
