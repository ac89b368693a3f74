// SentencePiece's models in the format of Hugging Face's `tokenizers`.
import {
  MODEL_TYPE,
  type Normalization,
  PIECE_TYPE,
  type Piece,
  readSentencePiece,
} from './sentencepiece_file.ts';
import { expectTokenizer } from './tokenizer_error.ts';

/** What a model file says in the files of Hugging Face's format. */
export interface ConvertedModel {
  readonly tokenizerJson: Record<string, unknown>;
  readonly tokenizerConfig: Record<string, unknown>;
}

/**
 * Converts a unigram or BPE model.
 *
 * @throws TokenizerError for bytes that are no such model, and for what the format cannot express
 */
export function convertSentencePiece(bytes: Uint8Array): ConvertedModel {
  const { pieces, training, normalization } = readSentencePiece(bytes);
  const unknown = pieces.filter(({ type }) => type === PIECE_TYPE.unknown);
  expectTokenizer(
    unknown.length === 1,
    'a SentencePiece model must have one unknown piece',
    `${unknown.length} among ${pieces.length} pieces`,
  );
  expectTokenizer(
    new Set(pieces.map(({ text }) => text)).size === pieces.length,
    'the pieces of a SentencePiece model must differ',
    'repeated ones',
  );
  const { hasPrefix } = normalization;
  const eos = pieces[training.eosId]?.type === PIECE_TYPE.control ? pieces[training.eosId].text : undefined;
  return {
    tokenizerConfig: { eos_token: eos, unk_token: unknown[0].text },
    tokenizerJson: {
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: addedTokens(pieces),
      normalizer: { type: 'Sequence', normalizers: normalizers(normalization) },
      pre_tokenizer: hasPrefix
        ? { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: false }
        : null,
      post_processor: eos === undefined ? null : template(eos, training.eosId),
      decoder: null,
      model:
        training.type === MODEL_TYPE.unigram
          ? unigram(pieces, training.hasByteFallback)
          : bytePairs(pieces, training.hasByteFallback, hasPrefix),
    },
  };
}

/** A text or two, then EOS: what other programs append; Tokenizer does it itself. */
function template(eos: string, id: number) {
  const text = (name: string) => ({ Sequence: { id: name, type_id: 0 } });
  const end = { SpecialToken: { id: eos, type_id: 0 } };
  return {
    type: 'TemplateProcessing',
    single: [text('A'), end],
    pair: [text('A'), text('B'), end],
    special_tokens: { [eos]: { id: eos, ids: [id], tokens: [eos] } },
  };
}

function addedTokens(pieces: readonly Piece[]) {
  return pieces.flatMap(({ text, type }, id) => {
    const special = type === PIECE_TYPE.control || type === PIECE_TYPE.unknown;
    if (!special && type !== PIECE_TYPE.userDefined) return [];
    const whole = { single_word: false, lstrip: false, rstrip: false };
    return [{ id, content: text, ...whole, normalized: !special, special }];
  });
}

function normalizers({ charsmap, hasPrefix, removesExtraBlanks }: Normalization) {
  const replace = (pattern: string, content: string) => {
    return { type: 'Replace', pattern: { Regex: pattern }, content };
  };
  return [
    ...(charsmap.length > 0 ? [{ type: 'Precompiled', precompiled_charsmap: toBase64(charsmap) }] : []),
    // SentencePiece takes a literal ▁ at the end for a blank.
    ...(removesExtraBlanks ? [replace(' {2,}', ' '), replace('\\A +|[ ▁]+\\z', '')] : []),
    ...(hasPrefix ? [] : [{ type: 'Replace', pattern: { String: ' ' }, content: '▁' }]),
  ];
}

/** Pieces and the logarithms of their probabilities. */
function unigram(pieces: readonly Piece[], hasByteFallback: boolean) {
  expectTokenizer(!hasByteFallback, 'a unigram model must have no byte fallback', 'one');
  expectTypes('unigram', pieces, [PIECE_TYPE.normal, PIECE_TYPE.unknown, PIECE_TYPE.control]);
  return {
    type: 'Unigram',
    unk_id: pieces.findIndex(({ type }) => type === PIECE_TYPE.unknown),
    vocab: pieces.map(({ text, score }) => [text, score]),
    byte_fallback: false,
  };
}

/** Byte-pair encoding: SentencePiece keeps what pairs become; the pairs are all ways to put a piece together of two. */
function bytePairs(pieces: readonly Piece[], hasByteFallback: boolean, hasPrefix: boolean) {
  expectTypes('BPE', pieces, [
    PIECE_TYPE.normal,
    PIECE_TYPE.unknown,
    PIECE_TYPE.control,
    PIECE_TYPE.userDefined,
    PIECE_TYPE.byte,
  ]);
  expectTokenizer(
    !hasPrefix || pieces.every(({ type }) => type !== PIECE_TYPE.userDefined),
    'a BPE model that puts a blank in front must have no user-defined pieces',
    'some',
  );
  const normal = pieces.filter(({ type }) => type === PIECE_TYPE.normal);
  const parts = new Set(normal.map(({ text }) => text));
  const merges = normal
    .toSorted((a, b) => b.score - a.score)
    .flatMap(({ text }) => splits(text).filter((pair) => pair.every((part) => parts.has(part))));
  return {
    type: 'BPE',
    dropout: null,
    unk_token: pieces.find(({ type }) => type === PIECE_TYPE.unknown)!.text,
    continuing_subword_prefix: null,
    end_of_word_suffix: null,
    fuse_unk: true,
    byte_fallback: hasByteFallback,
    vocab: Object.fromEntries(pieces.map(({ text }, id) => [text, id])),
    merges,
  };
}

/** All ways to cut a text in two between characters. */
function splits(text: string): [string, string][] {
  const pairs: [string, string][] = [];
  let at = 0;
  for (const character of text) {
    if (at > 0) pairs.push([text.slice(0, at), text.slice(at)]);
    at += character.length;
  }
  return pairs;
}

function expectTypes(model: string, pieces: readonly Piece[], types: readonly number[]): void {
  const other = pieces.find(({ type }) => !types.includes(type));
  if (other)
    expectTokenizer(
      false,
      `the pieces of a ${model} model must have types ${types.join(', ')}`,
      `${JSON.stringify(other.text)} of type ${other.type}`,
    );
}

function toBase64(bytes: Uint8Array): string {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
}
