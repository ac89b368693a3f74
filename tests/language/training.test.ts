// Training on conversations: what counts in the loss, and that answers are learnt with their ends.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { AdamW, backward, mul } from '../../engine/index.ts';
import { packBatch, padBatch } from '../../ps3/language/batch.ts';
import type { ChatMessage } from '../../ps3/language/chat.ts';
import { IGNORED } from '../../ps3/language/labels.ts';
import { LanguageModel } from '../../ps3/language/language_model.ts';
import type { EncodedChat } from '../../ps3/language/tokenizer.ts';
import { trainTokenizer } from '../../ps3/language/train_tokenizer.ts';
import { compare, engine, TOLERANCE } from '../harness.ts';
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

test('packBatch: texts are put where there is room, the longest first', () => {
  const text = (...ids: number[]): EncodedChat => ({
    ids: Int32Array.from(ids),
    labels: Int32Array.from(ids),
  });
  const texts = [text(1, 2), text(3, 4, 5), text(6, 7, 8, 9, 10, 11), text(12), text(13, 14)];
  const { ids, labels, shape, sequences, sequencesShape } = packBatch(texts, { padId: 0, rowLength: 5 });
  const _ = IGNORED;
  assert.equal([...ids], [6, 7, 8, 9, 10, 3, 4, 5, 1, 2, 13, 14, 12, 0, 0]);
  assert.equal([...labels], [_, 7, 8, 9, 10, _, 4, 5, _, 2, _, 14, _, _, _]);
  assert.equal(shape, [3, 5]);
  assert.equal([...sequences], [0, 5, 5, 0, 3, 5, 0, 2, 3]);
  assert.equal(sequencesShape, [3, 3]);
  assert.throws(
    () => packBatch(texts, { padId: 0, rowLength: 0 }),
    /^packBatch: rowLength must be a positive integer, got 0/,
  );
});

for (const checkpointLayers of [false, true])
  test(`LanguageModel.loss: packed texts have the loss and the gradients of each alone${checkpointLayers ? ', with checkpoints' : ''}`, async () => {
    using model = LanguageModel.create(engine, sizes, 2, { tokenizer, initialStd: 0.2 });
    model.checkpointLayers = checkpointLayers;
    model.parameters.enableGradients();
    const texts = [...encoded, tokenizer.encodeChat(chat('3', 'three, at last'))];
    const gradients = async (): Promise<Float32Array[]> =>
      Promise.all(model.parameters.names.map((name) => model.parameters.get(name).grad!.data()));
    // One by one, each loss times its share of the labels: gradients add up.
    const counts = texts.map(({ labels }) => labels.filter((label) => label !== IGNORED).length);
    const all = counts.reduce((sum, count) => sum + count);
    let want = 0;
    for (const [i, text] of texts.entries()) {
      using scope = engine.scope();
      const shape = [1, text.ids.length];
      const [ids, labels] = [text.ids, text.labels].map((x) => engine.tensor(x, shape, { scope }));
      const loss = mul(model.loss(ids, labels), counts[i] / all);
      backward(loss);
      want += (await loss.data())[0];
    }
    const alone = await gradients();
    model.parameters.zeroGradients();
    using scope = engine.scope();
    const rowLength = texts.reduce((sum, { ids }) => sum + ids.length, 3);
    const packed = packBatch(texts, { padId: tokenizer.padId, rowLength });
    assert.is(packed.shape[0], 1);
    const [ids, labels] = [packed.ids, packed.labels].map((x) => engine.tensor(x, packed.shape, { scope }));
    const sequences = engine.tensor(packed.sequences, packed.sequencesShape, { scope });
    const loss = model.loss(ids, labels, { sequences });
    backward(loss);
    compare('loss', await loss.data(), [want]);
    for (const [i, gradient] of (await gradients()).entries())
      compare(model.parameters.names[i], gradient, alone[i], TOLERANCE.grad);
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
