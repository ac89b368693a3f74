// Made-up images with questions, as `ps3 data vqa game` makes them.
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openFolder } from '../../ps3/data/folder.ts';
import { vqaSources } from '../../ps3/data/vqa/run.ts';
import { temporaryFolder } from './fixture.ts';

test('vqaSources: a made-up image has questions with answers about its texts, and without about its captions', async () => {
  const out = join(temporaryFolder('vqa-pages'), 'game');
  const run = { source: 'game', out, count: 1, questions: 5, seed: 3 };
  const { answered, questions: count } = await vqaSources(run);
  const [{ width, height, questions = [], captions, boxes }] = await openFolder(out);
  assert.equal([width, height, questions.length], [3840, 2160, count]);
  assert.is(answered, 5);
  for (const { question, answer, boxes: places } of questions) {
    if (answer !== undefined) {
      assert.is(places.length, 1);
      assert.is(questions.filter((other) => other.question === question).length, 1);
      continue;
    }
    const about = captions.flatMap((caption, i) =>
      question.toLowerCase().endsWith(caption.toLowerCase().replace(/^(the|an?) |[.!?]+$/g, ''))
        ? [boxes[i]]
        : [],
    );
    assert.ok(
      about.length > 0 && places.every((box) => about.some((other) => `${other}` === `${box}`)),
      question,
    );
  }
  assert.is((await vqaSources(run)).kept, 1);
  assert.equal((await openFolder(out))[0].questions, questions);
});

test.run();
