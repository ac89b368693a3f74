// Texts that go on: greedy ones against the reference's tokens, drawn ones against the float64 twin.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { noGrad, type SafetensorsFile } from '../../engine/index.ts';
import { fillLanguage } from '../../ps3/language/checkpoint.ts';
import { parseLanguageConfig } from '../../ps3/language/config.ts';
import { LanguageModel } from '../../ps3/language/language_model.ts';
import { storedParts } from '../../ps3/language/parameters.ts';
import { trainTokenizer } from '../../ps3/language/train_tokenizer.ts';
import { engine } from '../harness.ts';
import { words } from '../reference/random.ts';
import { candidates, draw } from '../reference/sample_tokens.ts';
import { fixture, messageOf, SHAPES } from './fixture.ts';

async function modelOf(file: SafetensorsFile): Promise<LanguageModel> {
  const config = parseLanguageConfig(JSON.parse(file.metadata.llm_config));
  const model = LanguageModel.allocate(engine, config);
  await fillLanguage(model.parameters, storedParts(config), [file], { prefix: 'weights.' });
  return model;
}

/** The prompts of a file, the tokens that the reference goes on with, and their log-probabilities by its logits. */
async function referenceOf(
  file: SafetensorsFile,
): Promise<{ prompts: number[][]; tokens: number[][]; logProbs: number[][] }> {
  const [B, T] = file.tensors.get('in.input_ids')!.shape;
  const [ids, mask] = [await file.f32('in.input_ids'), await file.f32('in.attention_mask')];
  const prompts: number[][] = [];
  const tokens: number[][] = [];
  const logProbs: number[][] = [];
  for (let b = 0; b < B; b++) {
    prompts.push([...ids.subarray(b * T, (b + 1) * T)].filter((_, t) => mask[b * T + t] === 1));
    tokens.push([...(await file.f32(`decode.${b}.tokens`))]);
    const logits = await file.f32(`decode.${b}.logits`);
    const V = logits.length / tokens[b].length;
    logProbs.push(
      tokens[b].map((id, t) => {
        const row = [...logits.subarray(t * V, (t + 1) * V)];
        return row[id] - Math.log(row.reduce((sum, logit) => sum + Math.exp(logit), 0));
      }),
    );
  }
  return { prompts, tokens, logProbs };
}

for (const name of SHAPES)
  test(`LanguageModel.generate: ${name} goes on with the reference's tokens, alone and in a batch`, async () => {
    await using file = await fixture(name);
    using model = await modelOf(file);
    const { prompts, tokens, logProbs } = await referenceOf(file);
    const before = engine.stats();
    const all = await model.generateAll(prompts, { maxTokens: tokens[0].length });
    assert.equal(
      all.map(({ ids }) => ids),
      tokens,
    );
    assert.ok(all.every(({ ending }) => ending === 'length'));
    for (const [b, prompt] of prompts.entries()) {
      const ids: number[] = [];
      for await (const { id, logProb } of model.generate(prompt, { maxTokens: 6, logProbs: true })) {
        assert.ok(Math.abs(logProb! - logProbs[b][ids.length]) < 1e-4, `${logProb}`);
        ids.push(id);
      }
      assert.equal(ids, tokens[b]);
    }
    assert.is(engine.stats().liveTensors, before.liveTensors, 'no tensor is left over');
  });

test('LanguageModel.generateAll: a text ends with a stop id, which is no part of it, and the others go on', async () => {
  await using file = await fixture('twelve-on-four');
  using model = await modelOf(file);
  const { prompts, tokens } = await referenceOf(file);
  const stop = tokens[1][3];
  const want = tokens.map((row) => (row.includes(stop) ? row.slice(0, row.indexOf(stop)) : row));
  assert.ok(
    want.some((row) => row.length === tokens[0].length),
    'another row goes on',
  );
  const got = await model.generateAll(prompts, { maxTokens: tokens[0].length, stopIds: [stop] });
  assert.equal(
    got.map(({ ids }) => ids),
    want,
  );
  assert.equal(
    got.map(({ ending }) => ending),
    tokens.map((row) => (row.includes(stop) ? 'stop' : 'length')),
  );
});

test('LanguageModel.generate: a signal, a break and the end of the context end it', async () => {
  await using file = await fixture('one-kv');
  using model = await modelOf(file);
  const before = engine.stats();
  const controller = new AbortController();
  const seen: number[] = [];
  const message = await messageOf(async () => {
    for await (const { id } of model.generate([1, 2, 3], { signal: controller.signal })) {
      seen.push(id);
      if (seen.length === 2) controller.abort(new Error('enough'));
    }
  });
  assert.equal([message, seen.length], ['enough', 2]);
  for await (const { id } of model.generate([1, 2, 3])) {
    assert.is(id, seen[0]);
    break;
  }
  const { contextLength } = model.config;
  const long = Array.from({ length: contextLength - 2 }, (_, i) => i % 61);
  const [{ ids, ending }] = await model.generateAll([long]);
  assert.equal([ids.length, ending], [2, 'length']);
  assert.is(engine.stats().liveTensors, before.liveTensors, 'no tensor is left over');
  const refusals: [() => Promise<unknown>, string][] = [
    [
      () => model.generateAll([[...long, 1, 1]]),
      `LanguageModel.generateAll: a text must have at most the ${contextLength} tokens`,
    ],
    [() => model.generateAll([]), 'LanguageModel.generateAll: there must be a prompt'],
    [() => model.generateAll([[]]), 'a prompt must have a token'],
    [() => model.generateAll([[61]]), 'an id must be within the vocabulary of 61, got 61'],
    [() => model.generateAll([[1]], { temperature: -1 }), 'temperature must be at least 0, got -1'],
    [() => model.generateAll([[1]], { topP: 0 }), 'topP must be in (0, 1]'],
    [() => model.generateAll([[1]], { topK: 0 }), 'topK must be a whole number from 1'],
    [() => model.generateAll(['text']), 'LanguageModel.tokenizer: the model must have a tokenizer'],
    [() => model.generate([1], { heat: 1 } as object).next(), 'LanguageModel.generate'],
  ];
  for (const [refused, part] of refusals) {
    const message = await messageOf(refused);
    assert.ok(message.includes(part), `${part} in: ${message}`);
  }
});

test('LanguageModel.generate: conversations go through the template, and text comes in whole characters', async () => {
  const tokenizer = trainTokenizer(['']);
  using model = LanguageModel.create(engine, { width: 16, layers: 1, heads: 2 }, 3, { tokenizer });
  const messages = [{ role: 'user', content: 'é?' }];
  const options = { maxTokens: 24, temperature: 1.5, seed: 7, stopIds: [] };
  let text = '';
  for await (const token of model.generate(messages, options)) text += token.text;
  const ids = tokenizer.encode(tokenizer.renderChat(messages, { generationPrompt: true }));
  const [again] = await model.generateAll([ids], options);
  assert.ok(again.text.startsWith(text) && again.text.length - text.length <= 1, 'but for a cut character');
  const [other] = await model.generateAll([ids], { ...options, seed: 8 });
  assert.not.equal(other.ids, again.ids);
});

test('LanguageModel.generate: ids of rows that pad the embedding have no text', async () => {
  const tokenizer = trainTokenizer(['']);
  const { vocabSize } = tokenizer;
  const sizes = { width: 16, layers: 1, heads: 2, vocabSize: 4 * vocabSize };
  using model = LanguageModel.create(engine, sizes, 3, { tokenizer });
  const options = { maxTokens: 24, temperature: 1.5, seed: 7, stopIds: [] };
  const ids: number[] = [];
  for await (const { id, text } of model.generate([5], options)) {
    ids.push(id);
    if (id >= vocabSize) assert.is(text, '');
  }
  assert.ok(ids.some((id) => id >= vocabSize) && ids.some((id) => id < vocabSize), `${ids}`);
  const [all] = await model.generateAll([[5]], options);
  assert.equal(all.ids, ids);
  assert.is(all.text, tokenizer.decode(ids.filter((id) => id < vocabSize)));
});

test('LanguageModel.generate: each token is the one that the twin draws from the logits of the whole text', async () => {
  const V = 90;
  using model = LanguageModel.create(engine, { vocabSize: V, width: 32, layers: 1, heads: 4 }, 3);
  const prompts = [[5, 17], [40]];
  const sampling = { temperature: 0.05, topK: 60, topP: 0.95, repetitionPenalty: 1.5, seed: 4 };
  const answers = await model.generateAll(prompts, { ...sampling, maxTokens: 8, stopIds: [] });
  let compared = 0;
  for (const [b, { ids }] of answers.entries())
    for (const [step, id] of ids.entries()) {
      const text = [...prompts[b], ...ids.slice(0, step)];
      using input = engine.tensor(Uint32Array.from(text), [1, text.length]);
      using logits = noGrad(() => model.forward(input));
      const last = [...(await logits.data())].slice(-V);
      const kept = candidates(last, { ...sampling, penalty: sampling.repetitionPenalty }, new Set(text));
      const want = draw(kept, words(2 * step + 1, sampling.seed, b)[2 * step] / 2 ** 32);
      if (want.margin < 1e-4) continue;
      compared++;
      assert.is(id, want.id, `text ${b}, step ${step}`);
    }
  assert.ok(compared > 12, `${compared} compared`);
  assert.ok(new Set(answers.flatMap(({ ids }) => ids)).size > 5, 'they are not all the same');
});

test.run();
