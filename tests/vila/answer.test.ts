// Questions as the official code renders them, and answers as it gives them; a second question about the same image.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openSafetensors } from '../../engine/index.ts';
import { setting } from '../../ps3/app/comparison.ts';
import { vilaImages, vilaOf } from '../../ps3/app/verify_vila.ts';
import { LanguageTokenizer } from '../../ps3/language/tokenizer.ts';
import { questionIds } from '../../ps3/vila/answer.ts';
import type { VilaModel } from '../../ps3/vila/vila.ts';
import type { Seen, VilaLook } from '../../ps3/vila/vila_types.ts';
import { engine } from '../harness.ts';

const at = (path: string): string => fileURLToPath(new URL(`../fixtures/${path}`, import.meta.url));

interface Conversation {
  readonly messages: readonly (readonly [who: string, said: string])[];
  readonly prompt_ids?: readonly number[];
}
const tiny = JSON.parse(await readFile(at('language/tokenizer-tiny.json'), 'utf8')) as {
  tokenizer_json: Record<string, unknown>;
  chat_template: string;
  conversations: readonly Conversation[];
};
const tokenizer = LanguageTokenizer.fromFiles({
  tokenizerJson: tiny.tokenizer_json,
  tokenizerConfig: { chat_template: tiny.chat_template, eos_token: '<|im_end|>', pad_token: '[PAD]' },
});

/** What was generated, token by token. */
async function generated(model: VilaModel, question: string, look?: VilaLook): Promise<number[]> {
  const ids: number[] = [];
  for await (const { id } of model.answer(question, look, { maxTokens: 8, stopIds: [] })) ids.push(id);
  return ids;
}

/** The answer after two looks, as numbers that differ where any logit does, and what it costs from the question on. */
async function answered(
  model: VilaModel,
  question: string,
  seen: Seen,
): Promise<{ numbers: number[]; flops: number }> {
  engine.submit();
  const before = engine.stats().flops;
  using look = await model.lookFor(question, seen, { looks: 2 });
  const numbers = await model.likelihoods(question, ['Yes', 'No, not at all'], look);
  for await (const { id, logProb } of model.answer(question, look, {
    maxTokens: 8,
    stopIds: [],
    logProbs: true,
  }))
    numbers.push(id, logProb!);
  engine.submit();
  return { numbers, flops: engine.stats().flops - before };
}

for (const name of ['vila-hd-tiny', 'vila-hd-tiny-two'])
  test(`${name}: a question is rendered, looked for and answered as by the official code`, async () => {
    await using file = await openSafetensors(at(`${name}.safetensors`));
    const ids = Array.from(await file.f32('in.input_ids'));
    const [images] = file.tensors.get('in.image')!.shape;
    const asked = file.metadata.question.replaceAll('<image>\n', '');
    assert.equal(questionIds(tokenizer, asked, images), ids, 'images stand before');
    assert.equal(
      questionIds(tokenizer, ` ${file.metadata.question}\n`, images),
      ids,
      'or where they are named',
    );

    using model = await vilaOf(engine, file, { tokenizer });
    using scope = engine.scope();
    using seen = model.glance(await vilaImages(engine, file, scope));
    const { liveTensors, liveBytes } = engine.stats();
    {
      using first = await model.lookFor(asked, seen);
      await generated(model, asked, first);
    }
    const after = engine.stats();
    const kept = seen.prefix!.layers;
    assert.equal(
      [after.liveTensors - kept.length, after.liveBytes - kept.reduce((sum, { size }) => sum + 4 * size, 0)],
      [liveTensors, liveBytes],
      'a question leaves what further ones begin with, and nothing else',
    );
    using look = await model.lookFor(asked, seen);
    for (const [i, map] of look.vision!.selectionMaps.entries())
      assert.equal(await map.data(), await file.f32(`top_down.selection_maps.${i}`));
    const want = Array.from(await file.f32('top_down.generated_tokens'));
    const got = await generated(model, asked, look);
    // The official answer never takes the token that ends it.
    const [stop] = setting<{ stop: number[] }>(file, 'token_ids').stop;
    const ended = got.indexOf(stop);
    assert.equal(got.slice(0, ended < 0 ? 8 : ended), want.slice(0, ended < 0 ? 8 : ended));
    assert.ok(got.length === 8 && ended !== 0, `${got}`);

    // A second question about what was glanced at has the bits of one that comes first, and reads less.
    const other = 'Where is the moon?';
    const further = await answered(model, other, seen);
    using anew = model.glance(await vilaImages(engine, file, scope));
    const first = await answered(model, other, anew);
    assert.equal(further.numbers, first.numbers);
    // Products alone have two operations for each weight and token.
    const { parameters } = model.language;
    const sizes = parameters.names
      .filter((name) => name.endsWith('proj.weight'))
      .map((name) => parameters.get(name).size);
    const least = 2 * anew.prefix!.length * sizes.reduce((a, b) => a + b);
    assert.ok(first.flops - further.flops > least, `${further.flops} after ${first.flops}, less by ${least}`);
    // A conversation that begins otherwise reads its own beginning.
    const conversation = [
      { role: 'user', content: 'Hello' },
      { role: 'assistant', content: 'Hi' },
      { role: 'user', content: `${'<image>\n'.repeat(images)}${other}` },
    ];
    using later = await model.lookFor(conversation, seen);
    assert.ok(later.prefix!.length > anew.prefix!.length);
    assert.is((await model.likelihoods(conversation, ['Yes'], later)).length, 1);
    const misspelt = { maxToken: 3 } as object;
    const refused = await model
      .answer('Hello', undefined, misspelt)
      .next()
      .catch((error: Error) => error.message);
    assert.match(String(refused), /^VilaModel\.answer: .*maxToken/);
    assert.is((await generated(model, 'Hello')).length, 8, 'a question about no image');
  });

test('questionIds: further turns, and a name for an image in a later one', () => {
  const ids = questionIds(
    tokenizer,
    [
      { role: 'user', content: 'Hello' },
      { role: 'assistant', content: 'Hi' },
      { role: 'user', content: 'What is on <image>?' },
    ],
    1,
  );
  const text = tokenizer.decode(ids, { keepSpecial: true });
  assert.ok(text.includes('user\nHello<|im_end|>') && text.includes('What is on <image>?'), text);
  assert.ok(text.endsWith('<|im_start|>assistant\n'), text);
});

test.run();
