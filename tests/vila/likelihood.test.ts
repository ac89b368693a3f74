// Scores of answers: those of the official code's logits, with and without a cache.
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openSafetensors } from '../../engine/index.ts';
import { vilaImages, vilaOf } from '../../ps3/app/verify_vila.ts';
import { answerIds } from '../../ps3/vila/likelihood.ts';
import { tinyTokenizer } from '../app/tiny_vila.ts';
import { engine } from '../harness.ts';

const at = (path: string): string => fileURLToPath(new URL(`../fixtures/${path}`, import.meta.url));
const tokenizer = await tinyTokenizer();

/** log softmax(row)[id], in float64. */
function logProbability(row: ArrayLike<number>, id: number): number {
  const values = Array.from(row);
  const most = Math.max(...values);
  return row[id] - most - Math.log(values.reduce((sum, value) => sum + Math.exp(value - most), 0));
}

test('answerIds: the answer and what ends it, as training labels them', () => {
  const [end] = [tokenizer.idOf('<|im_end|>')!];
  assert.equal(answerIds(tokenizer, ' red '), [...tokenizer.encode('red'), end]);
  assert.equal(answerIds(tokenizer, ''), [end]);
});

test('VilaModel.likelihoods: the mean over tokens of what the official logits say', async () => {
  await using file = await openSafetensors(at('vila-hd-tiny.safetensors'));
  using model = await vilaOf(engine, file, { tokenizer });
  using scope = engine.scope();
  using seen = model.glance(await vilaImages(engine, file, scope));
  const question = file.metadata.question.replaceAll('<image>\n', '');
  using look = await model.lookFor(question, seen);
  const options = ['', 'red', 'a green star', '7'];
  const scores = await model.likelihoods(question, options, look);
  assert.is(scores.length, 4);

  // An empty answer is the token that ends it, whose probability stands in the last row of the official logits.
  const V = model.language.config.vocabSize;
  const official = await file.f32('top_down.logits');
  const want = logProbability(official.subarray(-V), tokenizer.idOf('<|im_end|>')!);
  assert.ok(Math.abs(scores[0] - want) < 1e-4, `${scores[0]} for ${want}`);

  // The others by the whole text without a cache.
  const asked = Array.from(await file.f32('in.input_ids'));
  for (const [i, option] of options.entries()) {
    const ids = answerIds(tokenizer, option);
    const all = [...asked, ...ids];
    const logits = await model
      .logits(
        model.embed(
          all,
          look.blocks.map((block) => block.in(scope)),
        ),
      )
      .data();
    const rows = logits.length / V;
    const own = ids.map((id, t) => {
      const row = rows - 1 - ids.length + t;
      return logProbability(logits.subarray(row * V, (row + 1) * V), id);
    });
    const mean = own.reduce((sum, value) => sum + value, 0) / own.length;
    assert.ok(Math.abs(scores[i] - mean) < 1e-4, `${option}: ${scores[i]} for ${mean}`);
  }
  const { liveTensors } = engine.stats();
  await model.likelihoods('Hello', ['yes', 'no'], undefined);
  assert.is(engine.stats().liveTensors, liveTensors, 'nothing is left');
});

test.run();
