import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Sampler, type SamplerOptions, type SquareAnnotation } from '../../ps3/data/sampler.ts';

const annotations: SquareAnnotation[] = Array.from({ length: 23 }, (_, i) => ({
  side: 100,
  boxes: Array.from({ length: 1 + (i % 4) }, (_, j) => [j, i, j + 20, i + 10]),
  captions: Array.from({ length: 1 + (i % 4) }, (_, j) => `thing ${i} ${j}`),
  globalCaption: i % 5 === 0 ? undefined : `image ${i}`,
}));
const OPTIONS: SamplerOptions = { batchSize: 5, seed: 11, crop: 'pretraining' };

test('sampler: a batch holds each image once, an epoch no image twice', () => {
  const sampler = new Sampler(annotations, OPTIONS);
  assert.is(sampler.batchesPerEpoch, 4);
  for (let epoch = 0; epoch < 3; epoch++) {
    const images = Array.from({ length: 4 }, () => sampler.next())
      .flat()
      .map((draw) => draw.image);
    assert.is(new Set(images).size, 20);
    assert.is(sampler.state().epoch, epoch);
  }
});

test('sampler: a restored state continues as if nothing had happened', () => {
  const whole = new Sampler(annotations, OPTIONS);
  const expected = Array.from({ length: 13 }, () => whole.next());
  for (const stop of [0, 1, 4, 7, 12]) {
    const before = new Sampler(annotations, OPTIONS);
    for (let i = 0; i < stop; i++) before.next();
    const state = JSON.parse(JSON.stringify(before.state()));
    const after = new Sampler(annotations, OPTIONS);
    after.restore(state);
    for (let i = stop; i < 13; i++)
      assert.equal(after.next(), expected[i], `stopped after ${stop}, batch ${i}`);
  }
});

test('sampler: seeds differ in order and draws, equal seeds do not', () => {
  const first = (seed: number) => new Sampler(annotations, { ...OPTIONS, seed }).next();
  assert.equal(first(1), first(1));
  assert.is.not(JSON.stringify(first(1)), JSON.stringify(first(2)));
});

test('sampler: the caption belongs to the box, a global caption to the whole image', () => {
  const sampler = new Sampler(annotations, { batchSize: 23, seed: 2 });
  let globals = 0;
  for (let epoch = 0; epoch < 200; epoch++) {
    for (const { image, isGlobal, caption, captionIndex, boxes, allBoxes } of sampler.next()) {
      const truth = annotations[image];
      assert.equal(allBoxes, truth.boxes);
      if (isGlobal) {
        globals++;
        assert.is(caption, truth.globalCaption);
        assert.equal(boxes, [[0, 0, 100, 100]]);
      } else {
        assert.is(caption, truth.captions[captionIndex]);
        assert.equal(boxes, [truth.boxes[captionIndex]]);
      }
    }
  }
  // 18 of 23 images have both kinds; 3,600 draws at 0.25 have a standard deviation of 26.
  assert.ok(Math.abs(globals - 900) < 130, `${globals} global captions of 3600`);
});

test('sampler: impossible options are refused with their values', () => {
  assert.throws(() => new Sampler(annotations, { batchSize: 24, seed: 1 }), /within 1 to 23 images.*got 24/);
  assert.throws(
    () => new Sampler(annotations, { batchSize: 2, seed: 1, globalProbability: 1.5 }),
    /got 1\.5/,
  );
  const bare: SquareAnnotation = { side: 10, boxes: [], captions: [], globalCaption: undefined };
  assert.throws(() => new Sampler([bare], { batchSize: 1, seed: 1 }), /none for image 0/);
  assert.throws(
    () => new Sampler(annotations, OPTIONS).restore({ epoch: 0, cursor: 3 }),
    /got epoch 0, cursor 3/,
  );
});

test.run();
