// The measures of evaluation on cases small enough to count by hand, and against closed forms.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  classFeatures,
  fillTemplates,
  meanPerClass,
  placeOf,
} from '../../ps3/train/evaluation/classification.ts';
import { ImageBootstrap } from '../../ps3/train/evaluation/intervals.ts';
import { type BoxRecord, protocolsOf } from '../../ps3/train/evaluation/protocols.ts';
import { median, ranksOf } from '../../ps3/train/evaluation/retrieval.ts';
import {
  coverageOf,
  isInside,
  pointOf,
  selectionRanks,
  sizeOf,
} from '../../ps3/train/evaluation/selection.ts';
import { compare } from '../harness.ts';

/** Quantile of a binomial share: the smallest k / n with P(X <= k) at least `share`. */
function binomialQuantile(n: number, p: number, share: number): number {
  let probability = (1 - p) ** n;
  let below = probability;
  let k = 0;
  while (below < share) {
    probability *= ((n - k) / (k + 1)) * (p / (1 - p));
    below += probability;
    k++;
  }
  return k / n;
}

test('intervals: of one answer per image they are the quantiles of a binomial', () => {
  const bootstrap = new ImageBootstrap(20, 1);
  const answers = Array.from({ length: 20 }, (_, image) => ({ image, value: Number(image < 8) }));
  const { mean, low, high, count } = bootstrap.estimate(answers)!;
  assert.equal([mean, count], [0.4, 20]);
  assert.equal([low, high], [binomialQuantile(20, 0.4, 0.025), binomialQuantile(20, 0.4, 0.975)]);
  assert.equal([low, high], [0.2, 0.6]);
});

test('intervals: images whose answers agree say no more with many boxes than with one', () => {
  const one = Array.from({ length: 20 }, (_, image) => ({ image, value: Number(image < 8) }));
  const seven = one.flatMap((answer) => Array.from({ length: 7 }, () => answer));
  const [a, b] = [one, seven].map((answers) => new ImageBootstrap(20, 3).estimate(answers)!);
  assert.equal([a.mean, a.low, a.high], [b.mean, b.low, b.high]);
  assert.is(b.count, 140);
  assert.is(new ImageBootstrap(20, 3).estimate([]), undefined);
});

test('intervals: images with different numbers of boxes weigh by their boxes', () => {
  // Two images: draws are (0, 0), (0, 1) twice, (1, 1): means 1, (3 + 0) / 4 and 0.
  const answers = [0, 0, 0, 1].map((image) => ({ image, value: Number(image === 0) }));
  const estimate = new ImageBootstrap(2, 5).estimate(answers)!;
  assert.equal([estimate.mean, estimate.low, estimate.high], [0.75, 0, 1]);
});

test('retrieval: ranks count wrong candidates that score as high, and any right one is enough', () => {
  const scores = [
    [0.9, 0.5, 0.1, 0.5],
    [0.2, 0.7, 0.8, 0.7],
    [0.3, 0.3, 0.3, 0.3],
    [1, 1, 1, 1],
  ];
  const right = [[0], [1, 3], [2], []];
  const task = {
    rows: 4,
    columns: 4,
    score: (row: number, column: number) => scores[row][column],
    isRight: (row: number, column: number) => right[row].includes(column),
  };
  assert.equal([...ranksOf(task)].slice(0, 3), [1, 2, 4]);
  assert.ok(Number.isNaN(ranksOf(task)[3]), 'nothing is right');
  // Without the third candidate the second row's is first.
  const isCandidate = (_: number, column: number) => column !== 2;
  assert.equal([...ranksOf({ ...task, isCandidate })].slice(0, 3), [1, 1, 4]);
  assert.equal([median([3, 1, 2]), median([4, 1, 2, 3])], [2, 2.5]);
});

test('selection: a box is small below one low-res patch and large above four', () => {
  // Patches of 28 px: 27 of 756.
  assert.is(sizeOf([0, 0, 27, 28], 756, 27), 'small');
  assert.is(sizeOf([0, 0, 28, 28], 756, 27), 'medium');
  assert.is(sizeOf([0, 0, 56, 56], 756, 27), 'medium');
  assert.is(sizeOf([0, 0, 56, 57], 756, 27), 'large');
});

test('selection: coverage of a box by two scales, counted by hand', () => {
  // Order of the coarse scale: patches 1, 2 (tie to the lower index), 3, 0. Of the fine one: 7, 6, ... 0.
  const ranks = [selectionRanks([0.1, 0.9, 0.5, 0.5]), selectionRanks([1, 2, 3, 4, 5, 6, 7, 8])];
  assert.equal([...ranks[0]], [3, 0, 1, 2]);
  const cells = [Uint8Array.of(0, 1, 0, 1), Uint8Array.of(0, 0, 0, 0, 1, 0, 0, 1)];
  const { recall, precision, hit, area } = coverageOf(ranks, cells, [0, 0.125, 0.25, 0.5, 1]);
  // At a half, two of four (1, 2) and four of eight (7, 6, 5, 4) are taken.
  assert.equal(recall, [0, 1 / 2, 1 / 2, 3 / 4, 1]);
  assert.equal(precision, [0, 2 / 2, 2 / 3, 3 / 6, 4 / 12]);
  assert.equal(hit, [0, 1, 1, 1, 1]);
  const areas = [1 - 0.5 / 4, 1 - 2.5 / 4, 1 - 3.5 / 8, 1 - 0.5 / 8];
  compare('area', [area], [areas.reduce((a, b) => a + b) / 4]);
});

test('selection: the area is 1/2 over all patches, and near 1 and 0 for the first and the last', () => {
  const ranks = [Uint32Array.from({ length: 1000 }, (_, i) => i)];
  const only = (patch: number) => [Uint8Array.from({ length: 1000 }, (_, i) => Number(i === patch))];
  assert.is(coverageOf(ranks, [new Uint8Array(1000).fill(1)], []).area, 0.5);
  assert.is(coverageOf(ranks, only(0), []).area, 0.9995);
  compare('last', [coverageOf(ranks, only(999), []).area], [0.0005]);
});

test('pointing: the highest point of an enlarged map is the middle of its cell', () => {
  const cells = [0.1, 0.2, 0.3, 0.9, 0.3, 0.9, 0, 0, 0];
  const map = Array.from({ length: 36 }, (_, i) => cells[3 * Math.floor(i / 12) + Math.floor((i % 6) / 2)]);
  const point = pointOf(map, 6, 6);
  assert.equal(point, [1 / 6, 1 / 2]);
  assert.ok(isInside(point, [15, 45, 16, 46], 90));
  assert.not.ok(isInside(point, [16, 45, 17, 46], 90), 'left edge');
  assert.not.ok(isInside(point, [10, 40, 15, 46], 90), 'right edge is exclusive');
});

test('classification: classes are the normalised means of normalised templates', () => {
  assert.equal(fillTemplates(['a {}', '{} or {}'], 'key'), ['a key', 'key or key']);
  const features = Float32Array.of(3, 0, 0, 5, 0, -2, 0, -7);
  compare('features', classFeatures(features, 2, 2), [Math.SQRT1_2, Math.SQRT1_2, 0, -1]);
  assert.is(placeOf([0.5, 0.9, 0.5], 2), 3, 'of equal ones the lower index is first');
  assert.is(placeOf([0.5, 0.9, 0.5], 0), 2);
  assert.is(meanPerClass([0, 0, 0, 2], [true, true, false, false]), 1 / 3);
});

/** Sums of a few numbers in float64. */
const DOUBLE = { abs: 1e-15, rel: 1e-15 };

/** A box of caption `caption` in image `image` whose feature has these cosines with the captions. */
function box(image: number, caption: number, scores: number[]): BoxRecord {
  const row = Float32Array.from(scores);
  const coverage = { recall: [0, 0, 0, 1], precision: [0, 0, 0, 1], hit: [0, 0, 0, 1], area: 0.5 };
  return {
    image,
    caption,
    size: caption === 0 ? 'small' : 'large',
    scores: { predicted: row, topDown: row, teacherForced: row.map((score) => -score), lowRes: row },
    coverage: { bottomUp: coverage, topDown: { ...coverage, area: 0.75 } },
    points: { bottomUp: 0, topDown: Number(image === 0) },
    area: 0.1,
  };
}

test('protocols: retrieval among all, other images and the image’s own, counted by hand', () => {
  // Image 0 shows captions 0 and 1, image 1 shows 1 and 2; caption 1 is in both.
  const boxes = [
    box(0, 0, [0.5, 0.6, 0.1]),
    box(0, 1, [0.4, 0.7, 0.2]),
    box(1, 1, [0.9, 0.3, 0.1]),
    box(1, 2, [0.8, 0.2, 0.3]),
  ];
  const { local, regions, selection, pointing, global } = protocolsOf(new ImageBootstrap(2, 1), 2, boxes, []);
  const { all, otherImages, sameImage } = local!.predicted;
  const means = (ways: typeof all | undefined, way: 'imageToText' | 'textToImage') => {
    const { recall1, recall5, reciprocalRank, medianRank } = ways![way];
    return [recall1.mean, recall5.mean, reciprocalRank.mean, medianRank];
  };
  // Ranks of the own caption: 2, 1, 2, 2.
  compare(
    'all imageToText',
    means(all, 'imageToText'),
    [1 / 4, 1, (1 / 2 + 1 + 1 / 2 + 1 / 2) / 4, 2],
    DOUBLE,
  );
  // Caption 0 ranks its box third; caption 1 has 0.7 before 0.6; caption 2 has 0.3 before all.
  compare('all textToImage', means(all, 'textToImage'), [3 / 4, 1, (1 / 3 + 3) / 4, 1], DOUBLE);
  // Image 0's wrong candidates are captions 1 and 2, image 1's are 0 and 1: only the last box loses one.
  compare(
    'otherImages imageToText',
    means(otherImages, 'imageToText'),
    [1 / 4, 1, (1 / 2 + 1 + 1 / 2 + 1 / 2) / 4, 2],
    DOUBLE,
  );
  // Caption 0's other box of its image is left out, which scored less anyway.
  compare(
    'otherImages textToImage',
    means(otherImages, 'textToImage'),
    [3 / 4, 1, (1 / 3 + 3) / 4, 1],
    DOUBLE,
  );
  // Own captions alone: 0.6 beats 0.5; right; right; right.
  compare('sameImage imageToText', means(sameImage, 'imageToText'), [3 / 4, 1, (1 / 2 + 3) / 4, 1], DOUBLE);
  // Own boxes alone: right; right; 0.3 against 0.2; 0.3 against 0.1.
  compare('sameImage textToImage', means(sameImage, 'textToImage'), [1, 1, 1, 1], DOUBLE);
  assert.equal([regions!.predicted.classes, regions!.predicted.top1.mean], [3, 1 / 4]);
  assert.is(regions!.predicted.meanPerClass, (0 + 1 / 2 + 0) / 3);
  assert.is(selection.topDown.all!.area.mean, 0.75);
  assert.is(selection.bottomUp.small!.area.count, 1);
  assert.is(selection.bottomUp.medium, undefined);
  assert.equal([pointing!.topDown.mean, pointing!.bottomUp.mean], [0.5, 0]);
  assert.is(global, undefined);
});

test.run();
