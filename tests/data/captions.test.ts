import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Random } from '../../engine/index.ts';
import { type CaptionOptions, processCaptions } from '../../ps3/data/captions.ts';
import { Sampler, type SamplerOptions } from '../../ps3/data/sampler.ts';
import { fixtureUrl } from '../harness.ts';

interface Case {
  captions: string[];
  options: CaptionOptions;
  /** Multiples of 2^-24, in the order of their use. */
  numbers: number[];
  want: string;
}

test('captions: what Python makes of them by the same random numbers', () => {
  const cases = JSON.parse(readFileSync(fixtureUrl('ps3/captions.json'), 'utf8')) as Case[];
  assert.ok(cases.length > 60);
  for (const { captions, options, numbers, want } of cases) {
    const left = [...numbers];
    const random = { integer: (n: number) => Math.floor((left.shift()! / 2 ** 24) * n) };
    assert.is(processCaptions(captions, options, random), want, JSON.stringify([captions, options]));
    assert.is(left.length, 0, 'all numbers are used');
  }
});

test('captions: runs begin at one of the first three sentences, and every length is as likely', () => {
  const counts = new Map<string, number>();
  const random = new Random(3);
  for (let trial = 0; trial < 6000; trial++) {
    const kept = processCaptions(['A. B. C. D.'], { clean: false, sentenceMasking: true }, random);
    counts.set(kept, (counts.get(kept) ?? 0) + 1);
  }
  const chances = { A: 4, B: 3, C: 2 }; // lengths that are left from each start
  const runs = ['A.', 'A. B.', 'A. B. C.', 'A. B. C. D.', 'B.', 'B. C.', 'B. C. D.', 'C.', 'C. D.'];
  assert.equal([...counts.keys()].sort(), runs);
  for (const [kept, count] of counts) {
    const wanted = 6000 / 3 / chances[kept[0] as keyof typeof chances];
    assert.ok(Math.abs(count - wanted) < 4 * Math.sqrt(wanted), `${kept}: ${count}, want about ${wanted}`);
  }
});

test('sampler: captions are processed after everything else is drawn, and not at all without options', () => {
  const caption = 'The image is a close-up of a mug. It is red. There is no text visible.';
  const boxes: [number, number, number, number][] = [[10, 20, 60, 70]];
  const annotations = Array.from({ length: 8 }, () => ({
    ...{ side: 100, boxes, captions: [caption], globalCaption: caption },
  }));
  const options: SamplerOptions = { batchSize: 8, seed: 5, crop: 'pretraining' };
  const plain = new Sampler(annotations, options).batch(0);
  const captions = { clean: true, sentenceMasking: true };
  const processed = new Sampler(annotations, { ...options, captions }).batch(0);
  assert.equal(
    processed.map((draw) => ({ ...draw, caption })),
    plain,
  );
  const shown = new Set(processed.map((draw) => draw.caption));
  for (const text of shown)
    assert.ok(['a mug.', 'It is red.', 'a mug. It is red.'].includes(text), `got ${text}`);
  assert.ok(shown.size > 1, 'samples have runs of their own');
});

test.run();
