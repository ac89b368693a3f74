import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { median, medianDeviation } from '../../engine/device/statistics.ts';
import { throws } from '../harness.ts';

test('median: the middle sample, or the mean of both middle ones', () => {
  assert.is(median([7]), 7);
  assert.is(median([9, 1, 4]), 4);
  assert.is(median([10, 1, 4, 2]), 3);
});

test('median: leaves the samples in their order', () => {
  const samples = [3, 1, 2];
  median(samples);
  assert.equal(samples, [3, 1, 2]);
});

test('median: numbers are ordered as numbers', () => {
  assert.is(median([10, 9, 100]), 10);
});

test('median: says that there is no sample', () => {
  throws(() => median([]), /must be at least one sample, got none/);
});

test('medianDeviation: one sample out of line does not move it', () => {
  assert.is(medianDeviation([1, 2, 3, 4, 5]), 1);
  assert.is(medianDeviation([1, 2, 3, 4, 5000]), 1);
  assert.is(medianDeviation([2, 2, 2]), 0);
});

test.run();
