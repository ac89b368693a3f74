// Texts that go on: greedy ones against the reference's tokens, drawn ones against probabilities computed by hand.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { SafetensorsFile } from '../../engine/index.ts';
import { fillLanguage } from '../../ps3/language/checkpoint.ts';
import { parseLanguageConfig } from '../../ps3/language/config.ts';
import { LanguageModel } from '../../ps3/language/language_model.ts';
import { storedParts } from '../../ps3/language/parameters.ts';
import { Sampler, type SamplingOptions } from '../../ps3/language/sampling.ts';
import { trainTokenizer } from '../../ps3/language/train_tokenizer.ts';
import { engine } from '../harness.ts';
import { fixture, messageOf, SHAPES } from './fixture.ts';

async function modelOf(file: SafetensorsFile): Promise<LanguageModel> {
  const config = parseLanguageConfig(JSON.parse(file.metadata.llm_config));
  const model = LanguageModel.allocate(engine, config);
  await fillLanguage(model.parameters, storedParts(config), [file], { prefix: 'weights.' });
  return model;
}

/** The prompts of a file and the tokens that the reference goes on with. */
async function referenceOf(file: SafetensorsFile): Promise<{ prompts: number[][]; tokens: number[][] }> {
  const [B, T] = file.tensors.get('in.input_ids')!.shape;
  const [ids, mask] = [await file.f32('in.input_ids'), await file.f32('in.attention_mask')];
  const prompts: number[][] = [];
  const tokens: number[][] = [];
  for (let b = 0; b < B; b++) {
    prompts.push([...ids.subarray(b * T, (b + 1) * T)].filter((_, t) => mask[b * T + t] === 1));
    tokens.push([...(await file.f32(`decode.${b}.tokens`))]);
  }
  return { prompts, tokens };
}

for (const name of SHAPES)
  test(`LanguageModel.generate: ${name} goes on with the reference's tokens, alone and in a batch`, async () => {
    await using file = await fixture(name);
    using model = await modelOf(file);
    const { prompts, tokens } = await referenceOf(file);
    const before = engine.stats();
    const all = await model.generateAll(prompts, { maxTokens: tokens[0].length });
    assert.equal(
      all.map(({ ids }) => ids),
      tokens,
    );
    assert.ok(all.every(({ ending }) => ending === 'length'));
    for (const [b, prompt] of prompts.entries()) {
      const ids: number[] = [];
      for await (const { id } of model.generate(prompt, { maxTokens: tokens[b].length })) ids.push(id);
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

/** How often each token is drawn in many steps. */
function frequencies(logits: readonly number[], options: SamplingOptions, seen: number[] = []): number[] {
  const draws = 20_000;
  const sampler = new Sampler({ temperature: 1, ...options }, 0);
  const counts = logits.map(() => 0);
  for (let step = 0; step < draws; step++) counts[sampler.next(Float32Array.from(logits), seen, step)]++;
  return counts.map((count) => count / draws);
}

/** Within four standard deviations of the share of 20,000 draws. */
function near(got: number[], want: number[]): void {
  want.forEach((p, i) => {
    assert.ok(Math.abs(got[i] - p) <= 4 * Math.sqrt((p * (1 - p)) / 20_000), `${i}: ${got[i]}, not ${p}`);
  });
}

test('Sampler: tokens come as often as their probabilities say', () => {
  const p = [0.1, 0.4, 0.2, 0.3];
  const logits = p.map((x) => Math.log(x) + 5);
  near(frequencies(logits, {}), p);
  // Half the temperature squares probabilities: 0.01, 0.16, 0.04, 0.09 of 0.3.
  near(frequencies(logits, { temperature: 0.5 }), [1 / 30, 16 / 30, 4 / 30, 9 / 30]);
  near(frequencies(logits, { topK: 2 }), [0, 4 / 7, 0, 3 / 7]);
  near(frequencies(logits, { topP: 0.69 }), [0, 4 / 7, 0, 3 / 7]);
  near(frequencies(logits, { topP: 0.71 }), [0, 4 / 9, 2 / 9, 3 / 9]);
  near(frequencies(logits, { topP: 1e-9 }), [0, 1, 0, 0]);
  // Of equal ones at the cut the lower ids stay.
  near(
    frequencies([0, 1, 0, 0], { topK: 3 }),
    [1, Math.E, 1, 0].map((x) => x / (2 + Math.E)),
  );
  near(
    frequencies([0, 1, 0, 0], { topP: 0.6 }),
    [1, Math.E, 0, 0].map((x) => x / (1 + Math.E)),
  );
  // Among the first three, 4/9 + 3/9 reach 0.7.
  near(frequencies(logits, { topK: 3, topP: 0.7 }), [0, 4 / 7, 0, 3 / 7]);
});

test('Sampler: what was there is less probable, whatever the sign of its logit', () => {
  const e = Math.exp;
  const [a, b, c] = [e(1), e(-2), e(1)];
  near(
    frequencies([2, -1, 1], { repetitionPenalty: 2 }, [0, 1, 1]),
    [a, b, c].map((x) => x / (a + b + c)),
  );
  const greedy = new Sampler({ repetitionPenalty: 3 }, 0);
  assert.is(greedy.next(Float32Array.of(2, -1, 1), [0], 0), 2);
  assert.is(greedy.next(Float32Array.of(2, -1, 1), [], 0), 0);
  assert.is(new Sampler({}, 0).next(Float32Array.of(1, 3, 3), [], 0), 1);
});

test('Sampler: a token depends on seed, text and number of the step alone', () => {
  const logits = Array.from({ length: 50 }, (_, i) => Math.sin(i));
  const at = (seed: number, stream: number, step: number): number =>
    new Sampler({ temperature: 1, seed }, stream).next(Float32Array.from(logits), [], step);
  const steps = Array.from({ length: 30 }, (_, step) => step);
  const forwards = steps.map((step) => at(1, 0, step));
  assert.equal(
    steps
      .toReversed()
      .map((step) => at(1, 0, step))
      .toReversed(),
    forwards,
  );
  assert.not.equal(
    steps.map((step) => at(1, 1, step)),
    forwards,
  );
  assert.not.equal(
    steps.map((step) => at(2, 0, step)),
    forwards,
  );
});

test.run();
