// Which groups of patches are complete, by hand.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { completeGroups } from '../../ps3/vila/projector.ts';
import { imageCount, partsOf, questionPlace } from '../../ps3/vila/sequence.ts';

const NOWHERE = 0xffffffff;

test('completeGroups: all four patches, in the order in which they were taken', () => {
  const taken = [
    [1, 1, 0, 1],
    [1, 1, 1, 1],
    [0, 1, 1, 1],
    [1, 0, 1, 1],
  ].flat();
  const { index, patches } = completeGroups(taken, [4, 4], 2);
  assert.equal([...index], [0, 3]);
  // Ranks: row 0 has 0 1 . 2, row 1 3 4 5 6, row 2 . 7 8 9, row 3 10 . 11 12.
  assert.equal([...patches], [0, 1, 3, 4, 8, 9, 11, 12]);
});

test('completeGroups: a group at the border needs only the patches that there are', () => {
  const taken = [
    [0, 1, 1],
    [1, 1, 1],
    [1, 1, 1],
  ].flat();
  const { index, patches } = completeGroups(taken, [3, 3], 2);
  assert.equal([...index], [1, 2, 3]);
  assert.equal([...patches.subarray(0, 4)], [1, NOWHERE, 4, NOWHERE]);
  assert.equal([...patches.subarray(4, 8)], [5, 6, NOWHERE, NOWHERE]);
  assert.equal([...patches.subarray(8)], [7, NOWHERE, NOWHERE, NOWHERE]);
  assert.equal([...completeGroups([0, 0, 0, 0], [2, 2], 2).index], []);
});

test('partsOf and questionPlace: images in a text, and the end of the last question', () => {
  const ids = [9, 7, 7, 3, 4];
  assert.equal(partsOf(ids, 7), [{ ids: [9] }, { image: 0 }, { image: 1 }, { ids: [3, 4] }]);
  assert.equal(partsOf([], 7), []);
  assert.is(imageCount(ids, 7), 2);
  // Two turns of the user, each followed by 5 6.
  assert.is(questionPlace([1, 2, 5, 6, 8, 3, 4, 5, 6], [5, 6]), 6);
  assert.is(questionPlace([1, 2, 3], [5, 6]), 2);
});

test.run();
