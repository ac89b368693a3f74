// The study's statistics against textbook values, closed forms and hand computation.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  clusterBootstrap,
  equivalence,
  holm,
  mcnemar,
  power,
  type Scored,
  signFlip,
  tInterval,
  twoLevelBootstrap,
  wilson,
} from '../../../bench/study/statistics.ts';
import { Random } from '../../../engine/index.ts';

function near(got: number, want: number, tolerance: number, what: string): void {
  assert.ok(Math.abs(got - want) <= tolerance, `${what}: got ${got}, want ${want}`);
}

/** Values of clusters of some size, one number each. */
const clustersOf = (values: readonly number[], size = 1): Scored[] =>
  values.flatMap((value, cluster) => Array.from({ length: size }, () => ({ cluster, value })));

test('wilson: Newcombe 1998, table I: 81 of 263 is 0.2553 to 0.3662, 15 of 148 is 0.0624 to 0.1605', () => {
  for (const [right, n, low, high] of [
    [81, 263, 0.2553, 0.3662],
    [15, 148, 0.0624, 0.1605],
    [0, 20, 0, 0.1611],
    [1, 29, 0.0061, 0.1718],
  ]) {
    const [a, b] = wilson(right, n);
    near(a, low, 5e-5, `${right} of ${n}, low`);
    near(b, high, 5e-5, `${right} of ${n}, high`);
  }
});

test('tInterval: quantiles of the printed table, 12.706 of one degree of freedom and 2.776 of four', () => {
  const two = tInterval([0, 2]); // standard error 1
  near((two.interval[1] - two.interval[0]) / 2, 12.7062, 1e-4, 'one degree');
  const five = tInterval([1, 2, 3, 4, 5]); // standard error sqrt(2.5 / 5)
  near(five.interval[1] - 3, 2.77645 * Math.sqrt(0.5), 1e-4, 'four degrees');
  assert.equal(tInterval([1]).interval, [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY]);
});

test('mcnemar: binomial tails by hand', () => {
  near(mcnemar(0, 5), 2 / 32, 1e-12, '0 against 5');
  near(mcnemar(1, 5), (2 * (1 + 6)) / 64, 1e-12, '1 against 5');
  assert.is(mcnemar(3, 3), 1);
  assert.is(mcnemar(0, 0), 1);
});

test('holm: steps by hand', () => {
  const got = holm([0.01, 0.04, 0.03, 0.005]);
  [0.03, 0.06, 0.06, 0.02].forEach((want, i) => {
    near(got[i], want, 1e-12, `p ${i}`);
  });
  assert.equal(holm([0.9, 0.8]), [1, 1]);
});

test('signFlip: exact below 20 clusters, whatever their size', () => {
  // All of 5 clusters agree: 2 of 32 patterns are as far.
  assert.is(signFlip(clustersOf([1, 2, 1, 3, 1], 2)), 2 / 32);
  // Sums 3, -1: |2| or more in the patterns 3 - 1, 3 + 1 and their opposites, all 4.
  assert.is(signFlip(clustersOf([3, -1])), 1);
  // Sums 1, 1, 1, -1: of 16 patterns, |2| or more are all but those with two of each sign, 6.
  assert.is(signFlip(clustersOf([1, 1, 1, -1])), 10 / 16);
  assert.is(signFlip(clustersOf([0, 0])), 1);
});

test('signFlip: by draws from 20 clusters on, as the binomial says', () => {
  // 25 signs of size 1, 19 of them +: |sum| >= 13 is P(k <= 6 or k >= 19) of a fair coin.
  const values = Array.from({ length: 25 }, (_, i) => (i < 19 ? 1 : -1));
  near(signFlip(clustersOf(values)), mcnemar(6, 19), 0.004, '19 of 25');
});

test('clusterBootstrap: the standard error of independent questions is s / sqrt n, of copies it is no smaller', () => {
  const random = new Random(3, 0);
  const values = Array.from({ length: 60 }, () => random.normal());
  const middle = values.reduce((a, b) => a + b) / 60;
  const s = Math.sqrt(values.reduce((sum, v) => sum + (v - middle) ** 2, 0) / 60);
  const single = clusterBootstrap(clustersOf(values));
  near(single.standardError, s / Math.sqrt(60), 0.004, 'independent');
  const copies = clusterBootstrap(clustersOf(values, 4));
  near(copies.standardError, single.standardError, 1e-12, 'four copies of each in a cluster');
  assert.is(copies.questions, 240);
  near(single.percentile[1] - middle, (1.96 * s) / Math.sqrt(60), 0.03, 'the percentile interval is normal');
  near(single.bca[0], single.percentile[0], 0.05, 'without skew both agree');
});

test('clusterBootstrap: BCa moves towards the long tail of skewed data', () => {
  const values = Array.from({ length: 30 }, (_, i) => (i < 27 ? 0 : 10));
  const { percentile, bca } = clusterBootstrap(clustersOf(values));
  assert.ok(bca[0] >= percentile[0] && bca[1] > percentile[1], `${percentile} and ${bca}`);
  const same = clusterBootstrap(clustersOf([1, 1, 1]));
  assert.equal(same.bca, [1, 1]);
});

test('twoLevelBootstrap: trainings that differ widen the interval', () => {
  const random = new Random(4, 0);
  const values = Array.from({ length: 80 }, () => random.normal());
  const shifted = (by: number): Scored[] => clustersOf(values.map((value) => value + by));
  const alike = twoLevelBootstrap([shifted(0), shifted(0)], { draws: 2000 });
  const apart = twoLevelBootstrap([shifted(-1), shifted(1)], { draws: 2000 });
  near(alike.mean, apart.mean, 1e-9, 'means');
  assert.ok(apart.standardError > 3 * alike.standardError);
  // Variance of the mean of two draws of +-1 is 1/2.
  near(apart.standardError ** 2, 0.5 + alike.standardError ** 2, 0.06, 'variances add up');
});

test('equivalence: of ratios within 0.9 and 1.1, and only with enough of them', () => {
  assert.ok(equivalence([1.01, 0.99, 1.02, 0.98, 1]).isEquivalent);
  assert.not(equivalence([1.3, 0.8, 1]).isEquivalent, 'too spread to tell');
  assert.not(equivalence([1.5, 1.51, 1.49, 1.5]).isEquivalent, 'too slow');
  near(equivalence([2, 0.5, 2, 0.5]).ratio, 1, 1e-12, 'geometric mean');
});

test('power: the spec’s 234 questions for 10 points of 30 % discordant pairs is 80 %', () => {
  // The standard error of a paired difference d with a share q of discordant pairs is sqrt((q - d²) / n).
  near(power(0.1, Math.sqrt((0.3 - 0.01) / 234)), 0.8, 0.015, '10 points');
  near(power(0.05, Math.sqrt((0.25 - 0.0025) / 783)), 0.8, 0.015, '5 points');
  near(power(0, 0.1), 0.05, 1e-4, 'nothing to find');
});

test.run();
