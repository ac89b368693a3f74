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
    const images = Array.from({ length: 4 }, (_, place) => sampler.batch(4 * epoch + place))
      .flat()
      .map((draw) => draw.image);
    assert.is(new Set(images).size, 20);
  }
});

test('sampler: a batch depends on the number of its step, not on those drawn before', () => {
  const sampler = new Sampler(annotations, OPTIONS);
  const expected = Array.from({ length: 13 }, (_, step) => sampler.batch(step));
  for (const step of [12, 0, 4, 3, 4, 7, 1])
    for (const any of [sampler, new Sampler(annotations, OPTIONS)])
      assert.equal(any.batch(step), expected[step], `batch ${step}`);
});

test('sampler: a seed gives the draws that earlier runs were made with', () => {
  // Caption, which names its image, and crop; 2 batches of 3 an epoch, the seventh image waits.
  const first = [
    ['g2 5 0 95 96', 'a1 1 1 98 97', 'a4 4 1 94 98'],
    ['g3 2 1 96 99', 'a0 2 0 96 98', 'b6 0 3 100 97'],
    ['b1 0 3 96 97', 'a2 0 4 100 92', 'b3 5 5 95 95'],
    ['g4 1 1 98 98', 'a0 1 1 91 99', 'b6 0 6 100 94'],
    ['a6 6 1 91 99', 'g1 0 2 99 96', 'a3 0 0 97 96'],
    ['a5 0 0 95 97', 'b4 0 0 100 98', 'b0 0 4 98 93'],
  ];
  const seven = Array.from({ length: 7 }, (_, i): SquareAnnotation => {
    const boxes: SquareAnnotation['boxes'] = [
      [10, 20, 60, 70],
      [30, 5, 90, 50],
    ];
    return { side: 100, boxes, captions: [`a${i}`, `b${i}`], globalCaption: `g${i}` };
  });
  const sampler = new Sampler(seven, { batchSize: 3, seed: 11, crop: 'pretraining' });
  first.forEach((batch, step) => {
    const draws = sampler
      .batch(step)
      .map(({ caption, crop }) => `${caption} ${Object.values(crop ?? {}).join(' ')}`);
    assert.equal(draws, batch, `batch ${step}`);
  });
});

test('sampler: seeds differ in order and draws, equal seeds do not', () => {
  const first = (seed: number) => new Sampler(annotations, { ...OPTIONS, seed }).batch(0);
  assert.equal(first(1), first(1));
  assert.is.not(JSON.stringify(first(1)), JSON.stringify(first(2)));
});

test('sampler: the caption belongs to the box, a global caption to the whole image', () => {
  const sampler = new Sampler(annotations, { batchSize: 23, seed: 2 });
  let globals = 0;
  for (let epoch = 0; epoch < 200; epoch++) {
    for (const { image, isGlobal, caption, captionIndex, boxes, allBoxes } of sampler.batch(epoch)) {
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
});

test.run();
