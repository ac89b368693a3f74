import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { openCharsmap } from '../../ps3/model/text/charsmap.ts';
import { readSentencePiece } from '../../ps3/model/text/sentencepiece_file.ts';
import { Tokenizer } from '../../ps3/model/text/tokenizer.ts';
import { TokenizerError } from '../../ps3/model/text/tokenizer_error.ts';
import { fixtureBytes } from '../harness.ts';

type Case = [text: string, ids: number[]];
const wanted: Record<'unigram' | 'bpe' | 'spelt', Case[]> = JSON.parse(
  new TextDecoder().decode(await fixtureBytes('ps3/sentencepiece.json')),
);
const models = {
  unigram: await fixtureBytes('ps3/unigram.model'),
  bpe: await fixtureBytes('ps3/bpe.model'),
};
const KINDS = ['unigram', 'bpe'] as const;
const L = 64;

const open = (sentencepieceModel: Uint8Array, contextLength = L): Tokenizer =>
  Tokenizer.fromFiles({ sentencepieceModel, contextLength });

/** SigLIP's rule: cut so that EOS stays last, fill up on the right. */
function padded(ids: readonly number[], eosId: number, padId: number): number[] {
  const cut = [...ids.slice(0, L - 1), eosId];
  return [...cut, ...new Array<number>(L - cut.length).fill(padId)];
}

for (const kind of KINDS)
  test(`sentencepiece: ${kind} ids are SentencePiece’s on every line, from the model and from its JSON`, () => {
    const tokenizer = open(models[kind]);
    const files = JSON.parse(JSON.stringify(tokenizer));
    const again = Tokenizer.fromFiles({
      tokenizerJson: files['tokenizer.json'],
      tokenizerConfig: files['tokenizer_config.json'],
      contextLength: L,
    });
    const cases = wanted[kind];
    assert.ok(cases.length > 140 && cases.some(([, ids]) => ids.length > L));
    for (const { eosId, padId, encode } of [tokenizer, again].map((from) => ({
      eosId: from.eosId,
      padId: from.padId,
      encode: (text: string) => [...from.encode([text])],
    })))
      for (const [text, ids] of cases)
        assert.equal(encode(text), padded(ids, eosId, padId), JSON.stringify(text));
  });

test('sentencepiece: a SigLIP model ends and pads with </s>, a Gemma model ends with <eos> and pads with <pad>', () => {
  const siglip = open(models.unigram, 4);
  assert.equal([siglip.vocabSize, siglip.eosId, siglip.padId], [600, 1, 1]);
  const gemma = open(models.bpe, 4);
  assert.equal([gemma.vocabSize, gemma.eosId, gemma.padId], [800, 1, 0]);
  const [, ids] = wanted.bpe.find(([text]) => text === 'a photo of a cat')!;
  assert.equal([...gemma.encode(['', 'a photo of a cat'])], [1, 0, 0, 0, ...ids.slice(0, 3), 1]);
});

test('sentencepiece: the name of a control piece spelt in other characters becomes that piece, unlike there', () => {
  // @huggingface/tokenizers, as the Rust tokenizers do, looks for all pieces in what the table of characters returns;
  // SentencePiece leaves control pieces out. ASCII punctuation is deleted before, so only other characters get so far.
  const tokenizer = open(models.unigram, 4);
  const [[spelt, ids]] = wanted.spelt;
  assert.is(ids.includes(0), false);
  assert.equal([...tokenizer.encode([spelt])], [ids[0], ids[1], 0, 1]);
});

test('sentencepiece: a character table replaces the longest key, and keeps what it does not know', () => {
  const replace = openCharsmap(readSentencePiece(models.unigram).normalization.charsmap);
  assert.is(replace(''), '');
  assert.is(replace('q qz qzq → \u0301a\u0301 x\u200d😀'), 'q cat catq to \u0301á x\u200d😀');
  assert.is(replace('\u0000\u0001\ufeff\ud800'), '\u0000  '); // a lone surrogate is U+FFFD in UTF-8
});

// An encoder of protocol buffers for the models below, apart from the reader.
const varint = (n: number): number[] => (n < 128 ? [n] : [(n & 127) | 128, ...varint(n >>> 7)]);
const number = (field: number, value: number): number[] => [...varint(field << 3), ...varint(value)];
const bytes = (field: number, value: ArrayLike<number>): number[] => [
  ...varint((field << 3) | 2),
  ...varint(value.length),
  ...Array.from(value),
];
const text = (field: number, value: string): number[] => bytes(field, new TextEncoder().encode(value));
const float = (field: number, value: number): number[] => [
  ...varint((field << 3) | 5),
  ...new Uint8Array(new Float32Array([value]).buffer),
];
const piece = (name: string, score: number, type?: number): number[] =>
  bytes(1, [...text(1, name), ...float(2, score), ...(type ? number(3, type) : [])]);
const specials = [...piece('<unk>', 0, 2), ...piece('</s>', 0, 3)];
const model = (pieces: number[], training: number[] = [], normalization: number[] = []): Uint8Array =>
  Uint8Array.from([...specials, ...pieces, ...bytes(2, training), ...bytes(3, normalization)]);
const cat = [...piece('▁', -3), ...piece('▁cat', -1), ...piece('s', -2)];

test('sentencepiece: without fields, a model is a unigram model with a blank in front; unknown fields do not matter', () => {
  const plain = Uint8Array.from([...specials, ...cat]);
  assert.equal([...open(plain, 5).encode(['cats  cat'])], [3, 4, 3, 1, 1]);
  const more = model(cat, [...number(3, 1), ...number(99, 2 ** 31), ...text(98, 'a'), ...float(97, 1)]);
  assert.equal([...open(more, 5).encode(['cats  cat'])], [3, 4, 3, 1, 1]);
});

test('sentencepiece: EOS is the piece that the model names', () => {
  const named = model([...cat, ...piece('[end]', 0, 3)], number(42, 5));
  assert.equal([...open(named, 3).encode(['cat'])], [3, 5, 5]);
  const { single } = open(named).toJSON()['tokenizer.json'].post_processor as { single: unknown[] };
  assert.equal(single[1], { SpecialToken: { id: '[end]', type_id: 0 } });
});

test('sentencepiece: a unigram model without a blank in front', () => {
  const bare = model([...cat, ...piece('c', -4), ...piece('at', -4)], [], number(3, 0));
  assert.equal([...open(bare, 4).encode(['cat cat'])], [5, 6, 3, 1]);
});

test('sentencepiece: what is no model is refused in one sentence', () => {
  const refuse = (broken: Uint8Array, message: RegExp): void =>
    assert.throws(
      () => open(broken),
      (error: Error) => error instanceof TokenizerError && message.test(error.message),
      String(message),
    );
  const ascii = (content: string) => new TextEncoder().encode(content);
  refuse(new Uint8Array(), /must hold pieces, got none in 0 bytes\./);
  refuse(ascii('{"model": {}}'), /must be a protocol buffer, got tag 123 at byte 0\./);
  refuse(ascii('version https://git-lfs.github.com/spec/v1'), /must be a protocol buffer, got tag 118 at/);
  refuse(ascii('<!doctype html>'), /must be a protocol buffer, got tag 60 at byte 0\./);
  refuse(models.bpe.subarray(0, 1000), /must end with a field, got a field of \d+ bytes at \d+ of 1000\./);
  refuse(Uint8Array.from([8, 255]), /must end with a field, got 2 bytes that end within an integer\./);
  refuse(new Uint8Array(20).fill(255), /must have integers of at most ten bytes, got /);
  refuse(Uint8Array.from(number(1, 7)), /must have bytes where it must, got a number\./);
  refuse(Uint8Array.from(bytes(1, bytes(1, [0xff]))), /must have texts in UTF-8, got /);
  refuse(model(piece('', 0)), /every piece a text and a finite score, got "" and 0 for piece 2\./);
  refuse(model(piece('a', Number.NaN)), /a finite score, got "a" and NaN for piece 2\./);
  refuse(model([...cat, ...piece('s', 0)]), /the pieces of a SentencePiece model must differ, got /);
  refuse(Uint8Array.from(cat), /must have one unknown piece, got 0 among 3 pieces\./);
  refuse(model(cat, number(3, 3)), /must be of type 1, unigram, or 2, BPE, got type 3\./);
  refuse(model(cat, number(24, 1)), /must have blanks in front of words, got blanks behind them\./);
  refuse(model(cat, [], number(5, 0)), /must write blanks as ▁, got blanks as they are\./);
  refuse(model(cat, [], bytes(2, [4, 0, 0])), /a character table must hold a trie and texts, got /);
  refuse(model(cat, number(35, 1)), /a unigram model must have no byte fallback/);
  refuse(model(piece('a', 0, 4)), /unigram model must have types 1, 2, 3, got "a" of type 4\./);
  refuse(
    model(piece('a', 0, 5), number(3, 2)),
    /BPE model must have types 1, 2, 3, 4, 6, got "a" of type 5\./,
  );
  refuse(model(piece('a', 0, 4), number(3, 2)), /puts a blank in front must have no user-defined pieces/);
});

for (const kind of KINDS)
  test(`sentencepiece: 300 damaged ${kind} models are refused by a TokenizerError or encode`, () => {
    let state = 7;
    const below = (n: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * n);
    };
    const counts = { refused: 0, read: 0 };
    for (let round = 0; round < 300; round++) {
      const damaged = models[kind].slice(0, below(3) ? models[kind].length : below(models[kind].length));
      for (let i = below(4); i >= 0; i--) damaged[below(damaged.length)] = below(256);
      try {
        open(damaged).encode(['qz café 東京 2024 → 😀']);
        counts.read++;
      } catch (error) {
        assert.instance(error, TokenizerError, `round ${round}: ${error}`);
        counts.refused++;
      }
    }
    assert.ok(counts.refused > 60 && counts.read > 6, JSON.stringify(counts));
  });

test.run();
