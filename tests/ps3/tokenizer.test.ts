import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { canonicalize } from '../../ps3/model/text/canonicalize.ts';
import { buildWordTokenizer, Tokenizer, vocabularyRepo } from '../../ps3/model/text/tokenizer.ts';
import { TokenizerError } from '../../ps3/model/text/tokenizer_error.ts';
import { fixtureBytes } from '../harness.ts';

const special = (id: number, content: string) => ({ id, content, special: true, normalized: false });

/** A T5-style unigram vocabulary as SigLIP's, small enough to segment by hand. */
const unigram = {
  added_tokens: [special(1, '</s>'), special(2, '<unk>')],
  normalizer: null,
  pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true },
  post_processor: {
    type: 'TemplateProcessing',
    single: [{ Sequence: { id: 'A', type_id: 0 } }, { SpecialToken: { id: '</s>', type_id: 0 } }],
    pair: [],
    special_tokens: { '</s>': { id: '</s>', ids: [1], tokens: ['</s>'] } },
  },
  decoder: null,
  model: {
    type: 'Unigram',
    unk_id: 2,
    vocab: [
      ['<pad>', 0],
      ['</s>', 0],
      ['<unk>', 0],
      ['▁a', -2],
      ['▁cat', -3],
      ['▁c', -4],
      ['at', -4],
      ['▁s', -4],
      ['▁', -5],
      ['s', -5],
    ],
  },
};

/** Gemma's kind of file: byte-pair merges, its own names, a BOS in the template that SigLIP 2 leaves out. */
const bpe = {
  added_tokens: [special(0, '<pad>'), special(1, '<eos>'), special(2, '<bos>'), special(3, '<unk>')],
  normalizer: { type: 'Replace', pattern: { String: ' ' }, content: '▁' },
  pre_tokenizer: null,
  post_processor: {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: '<bos>', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [],
    special_tokens: { '<bos>': { id: '<bos>', ids: [2], tokens: ['<bos>'] } },
  },
  decoder: null,
  model: {
    type: 'BPE',
    unk_token: '<unk>',
    vocab: {
      '<pad>': 0,
      '<eos>': 1,
      '<bos>': 2,
      '<unk>': 3,
      a: 4,
      c: 5,
      t: 6,
      '▁': 7,
      at: 8,
      cat: 9,
      '▁cat': 10,
    },
    merges: ['a t', 'c at', '▁ cat'],
  },
};

test('canonicalize: agrees with Python’s html, string and unicodedata', async () => {
  const file = new TextDecoder().decode(await fixtureBytes('ps3/canonicalize.json'));
  const cases: [string, string][] = JSON.parse(file);
  for (const [text, want] of cases) assert.is(canonicalize(text), want, JSON.stringify(text));
});

test('canonicalize: is idempotent and leaves no ASCII punctuation, upper case or double space', () => {
  const all = Array.from({ length: 0x3100 }, (_, i) => String.fromCharCode(i)).join(' _.');
  const once = canonicalize(all);
  assert.is(canonicalize(once), once);
  assert.not.match(once, /[!-/:-@[-`{-~A-Z]|\s\s|^\s|\s$/);
});

test('tokenizer: SigLIP’s rules append </s>, pad with it and keep it last when truncating', () => {
  const tokenizer = Tokenizer.fromFiles({ tokenizerJson: unigram, contextLength: 5 });
  assert.equal([tokenizer.padId, tokenizer.eosId, tokenizer.vocabSize], [1, 1, 10]);
  const ids = tokenizer.encode(['A  CAT!', 'a cat a cat a cat', '', 'cats, s']);
  assert.equal([...ids.subarray(0, 5)], [3, 4, 1, 1, 1]);
  assert.equal([...ids.subarray(5, 10)], [3, 4, 3, 4, 1]);
  assert.equal([...ids.subarray(10, 15)], [1, 1, 1, 1, 1]);
  assert.equal([...ids.subarray(15, 20)], [4, 9, 7, 1, 1]);
});

test('tokenizer: a text that spells a special token does not become one', () => {
  const tokenizer = Tokenizer.fromFiles({ tokenizerJson: unigram, contextLength: 3 });
  assert.equal([...tokenizer.encode(['</s>'])], [7, 1, 1]);
});

test('tokenizer: SigLIP 2’s vocabulary gets <eos>, is padded with <pad> and has no BOS', () => {
  const tokenizer = Tokenizer.fromFiles({ tokenizerJson: JSON.stringify(bpe), contextLength: 6 });
  assert.equal([tokenizer.padId, tokenizer.eosId], [0, 1]);
  assert.equal([...tokenizer.encode(['CAT cat'])], [9, 10, 1, 0, 0, 0]);
  assert.equal([...tokenizer.encode(['cat dog'])].slice(0, 2), [9, 7]);
});

test('tokenizer: <eos> ends texts even where </s> is a piece, as Gemma’s for struck-out text', () => {
  const model = { ...bpe.model, vocab: { ...bpe.model.vocab, '</s>': 11 } };
  const tokenizer = Tokenizer.fromFiles({ tokenizerJson: { ...bpe, model }, contextLength: 3 });
  assert.equal([tokenizer.padId, tokenizer.eosId], [0, 1]);
});

test('tokenizer: the configuration’s special tokens count, explicit ids more', () => {
  const tokenizerConfig = { eos_token: { content: '<unk>' }, pad_token: '<bos>' };
  const configured = Tokenizer.fromFiles({ tokenizerJson: bpe, tokenizerConfig, contextLength: 4 });
  assert.equal([...configured.encode(['cat'])], [9, 3, 2, 2]);
  const explicit = Tokenizer.fromFiles({
    tokenizerJson: bpe,
    tokenizerConfig,
    contextLength: 4,
    padId: 0,
    eosId: 1,
  });
  assert.equal([...explicit.encode(['cat'])], [9, 1, 0, 0]);
});

test('tokenizer: a word tokenizer numbers words by frequency, then by code unit', () => {
  const captions = ['a dog, a cat', 'The DOG', 'über_cat 7', 'constructor'];
  const tokenizer = buildWordTokenizer(captions, { contextLength: 8 });
  const { vocab } = tokenizer.toJSON()['tokenizer.json'].model as { vocab: Record<string, number> };
  const byId = Object.entries(vocab).sort(([, a], [, b]) => a - b);
  assert.equal(
    byId.map(([word]) => word),
    ['<pad>', '</s>', '<unk>', 'a', 'cat', 'dog', '7', 'constructor', 'the', 'über'],
  );
  assert.is(tokenizer.vocabSize, 10);
  assert.equal([...tokenizer.encode(['The dog: a unicorn; 7 über'])], [8, 5, 3, 2, 6, 9, 1, 1]);
  assert.equal(
    JSON.stringify(buildWordTokenizer([...captions].reverse(), { contextLength: 8 })),
    JSON.stringify(tokenizer),
  );
});

test('tokenizer: a word tokenizer keeps the most frequent words when limited', () => {
  const tokenizer = buildWordTokenizer(['b b a'], { contextLength: 4, maxWords: 1 });
  assert.equal([...tokenizer.encode(['a b'])], [2, 3, 1, 1]);
});

test('tokenizer: stored files give the same ids again, with or without the configuration', () => {
  const tokenizer = buildWordTokenizer(['a small boat on a lake'], { contextLength: 6 });
  const files = JSON.parse(JSON.stringify(tokenizer));
  const texts = ['a boat', 'a whale on a lake'];
  for (const tokenizerConfig of [files['tokenizer_config.json'], undefined]) {
    const tokenizerJson = files['tokenizer.json'];
    const again = Tokenizer.fromFiles({ tokenizerJson, tokenizerConfig, contextLength: 6 });
    assert.equal(again.encode(texts), tokenizer.encode(texts));
  }
  assert.is(files['tokenizer_config.json'].context_length, 6);
  assert.is(files['tokenizer_config.json'].clean, 'canonicalize');
});

test('tokenizer: the vocabulary is where the tokenizer’s configuration says, else where the model’s does', () => {
  const siglip = 'timm/ViT-B-16-SigLIP';
  const siglip2 = 'timm/ViT-SO400M-14-SigLIP2-378';
  const published = { tokenizer_name: siglip2, context_length: 64, clean: 'canonicalize' };
  assert.is(vocabularyRepo(published, { tokenizerName: siglip }), siglip2);
  assert.is(vocabularyRepo(JSON.stringify(published), { tokenizerName: null }), siglip2);
  assert.is(vocabularyRepo({}, { tokenizerName: siglip }), siglip);
  assert.is(vocabularyRepo({ tokenizer_name: null }, { tokenizerName: siglip }), siglip);
  assert.is(vocabularyRepo({}, { tokenizerName: null }), undefined);
  const own = buildWordTokenizer(['a boat'], { contextLength: 6 }).toJSON()['tokenizer_config.json'];
  assert.is(vocabularyRepo(own, { tokenizerName: siglip }), undefined);
  for (const tokenizer_name of ['', 'SigLIP', '../secrets', 'a/b/c', 'https://a/b', '../..', 3])
    assert.throws(
      () => vocabularyRepo({ tokenizer_name }, { tokenizerName: null }),
      (error: Error) =>
        error instanceof TokenizerError &&
        /tokenizer_name must be "." or owner\/name, got /.test(error.message),
    );
});

test('tokenizer: broken files say what is missing', () => {
  const open = (tokenizerJson: string | Record<string, unknown>, contextLength = 4) => {
    Tokenizer.fromFiles({ tokenizerJson, contextLength });
  };
  const fails = (call: () => void, message: RegExp) =>
    assert.throws(call, (error: Error) => error instanceof TokenizerError && message.test(error.message));
  fails(() => open('{'), /Tokenizer.fromFiles: tokenizer.json must be JSON, got SyntaxError/);
  fails(() => open('3'), /tokenizer.json must be an object, got 3/);
  fails(() => open({}), /tokenizer.json must have a model, got undefined/);
  fails(() => open({ model: { type: 'BPE' } }), /tokenizer.json must be loadable, got /);
  const bytes = new Uint8Array([1]);
  fails(() => Tokenizer.fromFiles({ contextLength: 4 }), /files must hold one of .*, got neither/);
  fails(
    () => Tokenizer.fromFiles({ contextLength: 4, tokenizerJson: unigram, sentencepieceModel: bytes }),
    /files must hold one of tokenizerJson and sentencepieceModel, got both/,
  );
  fails(() => open(unigram, 0), /contextLength must be a positive integer, got 0/);
  const nothing = { ...unigram, added_tokens: [], model: { ...bpe.model, vocab: { a: 0 }, merges: [] } };
  fails(() => open(nothing), /the vocabulary must hold <eos> or <\/s>, got neither. Pass eosId/);
});

test('tokenizer: a token without an id is an error, not id 0', () => {
  const model = { type: 'WordLevel', vocab: { '</s>': 1, cat: 2 } };
  const tokenizerJson = { ...unigram, added_tokens: [], pre_tokenizer: { type: 'WhitespaceSplit' }, model };
  const tokenizer = Tokenizer.fromFiles({ tokenizerJson, contextLength: 4 });
  assert.throws(() => tokenizer.encode(['cat dog']), /every token must be in the vocabulary, got "dog"/);
});

test.run();
