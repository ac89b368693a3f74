// Training on conversations: what counts in the loss, and that answers are learnt with their ends.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { AdamW, backward } from '../../engine/index.ts';
import { padBatch } from '../../ps3/language/batch.ts';
import type { ChatMessage } from '../../ps3/language/chat.ts';
import { IGNORED } from '../../ps3/language/labels.ts';
import { LanguageModel } from '../../ps3/language/language_model.ts';
import type { EncodedChat } from '../../ps3/language/tokenizer.ts';
import { trainTokenizer } from '../../ps3/language/train_tokenizer.ts';
import { engine } from '../harness.ts';
import { messageOf } from './fixture.ts';

const chat = (question: string, answer: string): ChatMessage[] => [
  { role: 'system', content: 'S' },
  { role: 'user', content: question },
  { role: 'assistant', content: answer },
];
const CHATS = [chat('1', 'one\ntwo.'), chat('22', 'no')];
const tokenizer = trainTokenizer(['']);
const encoded = CHATS.map((messages) => tokenizer.encodeChat(messages));
const sizes = { width: 32, layers: 2, heads: 4, kvHeads: 2 };

async function lossOf(model: LanguageModel, texts: readonly EncodedChat[]): Promise<number> {
  const { ids, labels, shape } = padBatch(texts, { padId: tokenizer.padId });
  using scope = engine.scope();
  const loss = model.loss(engine.tensor(ids, shape, { scope }), engine.tensor(labels, shape, { scope }));
  return (await loss.data())[0];
}

test('padBatch: rows are padded on the right, and cut', () => {
  const text = (...ids: number[]): EncodedChat => {
    return { ids: Int32Array.from(ids), labels: Int32Array.from(ids, (id) => (id > 5 ? id : IGNORED)) };
  };
  const texts = [text(7, 3, 9), text(8)];
  const { ids, labels, shape } = padBatch(texts, { padId: 1 });
  assert.equal([...ids], [7, 3, 9, 8, 1, 1]);
  assert.equal([...labels], [7, IGNORED, 9, 8, IGNORED, IGNORED]);
  assert.equal(shape, [2, 3]);
  assert.equal([...padBatch(texts, { padId: 1, contextLength: 2 }).ids], [7, 3, 8, 1]);
  assert.throws(() => padBatch([], { padId: 1 }), /padBatch: there must be a text, got none/);
});

test('LanguageModel.loss: a padded batch has the mean over all labels of its rows', async () => {
  using model = LanguageModel.create(engine, sizes, 2, { tokenizer });
  const counts = encoded.map(({ labels }) => labels.filter((label) => label !== IGNORED).length);
  const alone = [await lossOf(model, [encoded[0]]), await lossOf(model, [encoded[1]])];
  const want = (counts[0] * alone[0] + counts[1] * alone[1]) / (counts[0] + counts[1]);
  const got = await lossOf(model, encoded);
  assert.ok(Math.abs(got - want) < 1e-5 * want, `${got}, not ${want}`);
  // Nothing is known: the loss is that of equal chances among 259 tokens.
  assert.ok(Math.abs(got - Math.log(259)) < 0.2, `${got}`);
});

test('LanguageModel.loss: blocks that run again in backward give the same bits', async () => {
  const gradients = async (checkpointLayers: boolean): Promise<Float32Array[]> => {
    using model = LanguageModel.create(engine, sizes, 2, { tokenizer });
    model.checkpointLayers = checkpointLayers;
    model.parameters.enableGradients();
    const { ids, labels, shape } = padBatch(encoded, { padId: tokenizer.padId });
    using scope = engine.scope();
    backward(model.loss(engine.tensor(ids, shape, { scope }), engine.tensor(labels, shape, { scope })));
    const all = model.parameters.names.map((name) => model.parameters.get(name).grad!.data());
    return await Promise.all(all);
  };
  assert.equal(await gradients(true), await gradients(false));
});

test('LanguageModel: answers of a few conversations are learnt, with their line breaks and their ends', async () => {
  using model = LanguageModel.create(engine, sizes, 2, { tokenizer });
  using optimizer = new AdamW(model.parameters, { lr: 1e-2 });
  const { ids, labels, shape } = padBatch(encoded, { padId: tokenizer.padId });
  using idsTensor = engine.tensor(ids, shape);
  using labelsTensor = engine.tensor(labels, shape);
  using step = engine.capture(
    (ids, labels) => {
      const loss = model.loss(ids, labels);
      backward(loss);
      optimizer.step();
      return loss;
    },
    idsTensor,
    labelsTensor,
  );
  for (let i = 0; i < 120; i++) step.replay();
  const [loss] = await step.outputs.data();
  assert.ok(loss < 0.1, `${loss}`);
  const answers = await model.generateAll(
    CHATS.map((messages) => messages.slice(0, 2)),
    { maxTokens: 20 },
  );
  assert.equal(
    answers.map(({ text, ending }) => [text, ending]),
    [
      ['one\ntwo.', 'stop'],
      ['no', 'stop'],
    ],
  );
});

test('LanguageModel.loss: ids and labels of different shapes are refused', async () => {
  using model = LanguageModel.create(engine, sizes, 2, { tokenizer });
  using a = engine.tensor(new Int32Array(6), [2, 3]);
  using b = engine.tensor(new Int32Array(6), [3, 2]);
  const message = await messageOf(async () => model.loss(a, b));
  assert.match(
    message,
    /^LanguageModel.loss: ids and labels must be \[B, T\] .*, got ids \[2,3\] and labels \[3,2\]/,
  );
});

test.run();
