// What the study's numbers are judged by. The unit is a question, the cluster its image; a training is a level of its own.
import jStat from 'jstat';
import { Random } from '../../engine/index.ts';

/** An interval around an estimate. */
export type Interval = readonly [low: number, high: number];

/** One number per question: what it scored, or a difference of two scores; and which image it is about. */
export interface Scored {
  readonly cluster: number;
  readonly value: number;
}

/** Quantile of the standard normal distribution. */
const z = (p: number): number => jStat.normal.inv(p, 0, 1);
/** Its distribution function. */
const phi = (x: number): number => jStat.normal.cdf(x, 0, 1);

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/**
 * Interval of a proportion.
 *
 *   (p + z²/2n ± z sqrt(p (1 - p) / n + z²/4n²)) / (1 + z²/n)
 *
 * Source: Wilson 1927.
 */
export function wilson(right: number, n: number, confidence = 0.95): Interval {
  const q = z(0.5 + confidence / 2);
  const p = right / n;
  const middle = p + q ** 2 / (2 * n);
  const half = q * Math.sqrt((p * (1 - p)) / n + q ** 2 / (4 * n ** 2));
  const divisor = 1 + q ** 2 / n;
  return [Math.max(0, (middle - half) / divisor), Math.min(1, (middle + half) / divisor)];
}

/** Sums and counts of values by cluster. */
function byCluster(values: readonly Scored[]): { sums: number[]; counts: number[] } {
  const places = new Map<number, number>();
  const [sums, counts]: [number[], number[]] = [[], []];
  for (const { cluster, value } of values) {
    const at = places.get(cluster) ?? places.size;
    places.set(cluster, at);
    sums[at] = (sums[at] ?? 0) + value;
    counts[at] = (counts[at] ?? 0) + 1;
  }
  return { sums, counts };
}

/** A mean over questions with intervals from draws of images. */
export interface Bootstrap {
  readonly mean: number;
  /** Standard deviation of the draws. */
  readonly standardError: number;
  readonly percentile: Interval;
  /** Bias-corrected and accelerated. */
  readonly bca: Interval;
  readonly questions: number;
  readonly clusters: number;
}

/** How many draws, and which. */
export interface DrawOptions {
  /** Default 10,000. */
  readonly draws?: number;
  /** Default 1. */
  readonly seed?: number;
  /** Default 0.95. */
  readonly confidence?: number;
}

/**
 * Bootstrap by cluster of the mean over questions.
 *
 *   BCa: quantiles at phi(z0 + (z0 + z_a) / (1 - a (z0 + z_a))), z0 from the share of draws below the mean,
 *   a = sum (m - m_i)³ / 6 (sum (m - m_i)²)^1.5 of the means m_i without cluster i
 *
 * Source: Efron & Tibshirani 1993, chapters 13 and 14.
 */
export function clusterBootstrap(values: readonly Scored[], options: DrawOptions = {}): Bootstrap {
  const { draws = 10_000, seed = 1, confidence = 0.95 } = options;
  const { sums, counts } = byCluster(values);
  const n = sums.length;
  const all = mean(values.map(({ value }) => value));
  const random = new Random(seed, 0x57a7);
  const means = Array.from({ length: draws }, () => {
    let [sum, count] = [0, 0];
    for (let i = 0; i < n; i++) {
      const at = random.integer(n);
      sum += sums[at];
      count += counts[at];
    }
    return sum / count;
  }).sort((a, b) => a - b);
  const quantile = (p: number): number =>
    means[Math.min(draws - 1, Math.max(0, Math.round(p * (draws - 1))))];
  const tail = (1 - confidence) / 2;
  const percentile: Interval = [quantile(tail), quantile(1 - tail)];
  const [total, count] = [sums.reduce((a, b) => a + b, 0), counts.reduce((a, b) => a + b, 0)];
  const without = sums.map((sum, i) => (total - sum) / (count - counts[i]));
  const middle = mean(without);
  const cubes = without.reduce((sum, m) => sum + (middle - m) ** 3, 0);
  const squares = without.reduce((sum, m) => sum + (middle - m) ** 2, 0);
  const a = squares === 0 || n < 2 ? 0 : cubes / (6 * squares ** 1.5);
  const below = means.filter((m) => m < all).length + means.filter((m) => m === all).length / 2;
  const z0 = z(Math.min(1 - 0.5 / draws, Math.max(0.5 / draws, below / draws)));
  const moved = (p: number): number => phi(z0 + (z0 + z(p)) / (1 - a * (z0 + z(p))));
  const bca: Interval =
    squares === 0 || n < 2 ? percentile : [quantile(moved(tail)), quantile(moved(1 - tail))];
  const drawn = mean(means);
  const standardError = Math.sqrt(means.reduce((sum, m) => sum + (m - drawn) ** 2, 0) / (draws - 1));
  return { mean: all, standardError, percentile, bca, questions: values.length, clusters: n };
}

/** Below so many clusters with a difference, all signs are gone through. */
const EXACT_CLUSTERS = 20;

/**
 * Two-sided p of differences that could as well have the other sign, cluster by cluster: the share of sign patterns whose
 * sum is at least as far from 0. Exact below 20 clusters; else of 10,000 patterns, the observed one among them.
 *
 * Source: Good 2005, Permutation, Parametric and Bootstrap Tests, sign-flip test of paired data.
 */
export function signFlip(differences: readonly Scored[], options: DrawOptions = {}): number {
  const { draws = 10_000, seed = 1 } = options;
  const sums = byCluster(differences).sums.filter((sum) => sum !== 0);
  const observed = Math.abs(sums.reduce((a, b) => a + b, 0));
  const isAsFar = (sum: number): boolean => Math.abs(sum) >= observed - 1e-9;
  if (sums.length < EXACT_CLUSTERS) {
    let far = 0;
    for (let pattern = 0; pattern < 2 ** sums.length; pattern++)
      far += Number(isAsFar(sums.reduce((sum, value, i) => sum + ((pattern >> i) & 1 ? -value : value), 0)));
    return far / 2 ** sums.length;
  }
  const random = new Random(seed, 0xf11b);
  let far = 1;
  for (let draw = 1; draw < draws; draw++)
    far += Number(isAsFar(sums.reduce((sum, value) => sum + (random.uniform() < 0.5 ? -value : value), 0)));
  return far / draws;
}

/** Two-sided exact p of McNemar's test. @param b, c  pairs that only the one, and only the other has right */
export function mcnemar(b: number, c: number): number {
  const n = b + c;
  let [term, tail] = [0.5 ** n, 0];
  for (let k = 0; k <= Math.min(b, c); k++) {
    tail += term;
    term *= (n - k) / (k + 1);
  }
  return Math.min(1, 2 * tail);
}

/** Mean of few numbers, such as one per training, with Student's interval; of one number alone, an interval without end. */
export function tInterval(
  values: readonly number[],
  confidence = 0.95,
): { readonly mean: number; readonly interval: Interval } {
  const n = values.length;
  const middle = mean(values);
  if (n < 2) return { mean: middle, interval: [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY] };
  const variance = values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (n - 1);
  const half = jStat.studentt.inv(0.5 + confidence / 2, n - 1) * Math.sqrt(variance / n);
  return { mean: middle, interval: [middle - half, middle + half] };
}

/** p-values of a family, adjusted so that each may be compared with 0.05. Source: Holm 1979. */
export function holm(ps: readonly number[]): number[] {
  const order = ps.map((_, i) => i).sort((i, j) => ps[i] - ps[j]);
  const adjusted = ps.map(() => 0);
  let most = 0;
  order.forEach((place, rank) => {
    most = Math.max(most, Math.min(1, (ps.length - rank) * ps[place]));
    adjusted[place] = most;
  });
  return adjusted;
}

/** Ratios that a difference of no interest may have. */
export const EQUIVALENT: Interval = [0.9, 1.1];

/**
 * Whether a ratio is as good as 1: its 90 % interval is within 0.9 and 1.1, which is two one-sided tests at 5 %.
 *
 * @param ratios  one per repetition; their logarithms have Student's interval
 * Source: Schuirmann 1987.
 */
export function equivalence(ratios: readonly number[]): {
  readonly ratio: number;
  readonly interval: Interval;
  readonly isEquivalent: boolean;
} {
  const { mean: middle, interval } = tInterval(ratios.map(Math.log), 0.9);
  const [low, high] = interval.map(Math.exp);
  return {
    ratio: Math.exp(middle),
    interval: [low, high],
    isEquivalent: low >= EQUIVALENT[0] && high <= EQUIVALENT[1],
  };
}

/** Chance that a two-sided test at 5 % finds a true difference. */
export function power(difference: number, standardError: number): number {
  if (standardError === 0) return 1;
  const shift = Math.abs(difference) / standardError;
  return phi(shift - z(0.975)) + phi(-shift - z(0.975));
}

/**
 * Interval of the mean over trainings and questions, by draws of trainings and, within each, of images.
 *
 * @param trainings  the questions of each training
 */
export function twoLevelBootstrap(
  trainings: readonly (readonly Scored[])[],
  options: DrawOptions = {},
): Bootstrap {
  const { draws = 10_000, seed = 1, confidence = 0.95 } = options;
  const levels = trainings.map(byCluster);
  const random = new Random(seed, 0x2e7e);
  const means = Array.from({ length: draws }, () => {
    let all = 0;
    for (let t = 0; t < levels.length; t++) {
      const { sums, counts } = levels[random.integer(levels.length)];
      let [sum, count] = [0, 0];
      for (let i = 0; i < sums.length; i++) {
        const at = random.integer(sums.length);
        sum += sums[at];
        count += counts[at];
      }
      all += sum / count;
    }
    return all / levels.length;
  }).sort((a, b) => a - b);
  const tail = (1 - confidence) / 2;
  const interval: Interval = [
    means[Math.round(tail * (draws - 1))],
    means[Math.round((1 - tail) * (draws - 1))],
  ];
  const drawn = mean(means);
  const standardError = Math.sqrt(means.reduce((sum, m) => sum + (m - drawn) ** 2, 0) / (draws - 1));
  return {
    mean: mean(trainings.map((values) => mean(values.map(({ value }) => value)))),
    standardError,
    percentile: interval,
    bca: interval,
    questions: trainings[0].length,
    clusters: levels[0].sums.length,
  };
}
