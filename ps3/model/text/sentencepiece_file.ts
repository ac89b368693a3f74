// SentencePiece's model file, `spiece.model` or `tokenizer.model`: a protocol buffer, of which this is read:
//
//   ModelProto   1 pieces { 1 text, 2 score, 3 type }
//                2 training { 3 model type, 24 blanks at the ends of words, 35 byte fallback, 42 id of EOS }
//                3 normalization { 2 character table, 3 blank in front, 4 remove extra blanks, 5 blanks become ▁ }
//
// Source: sentencepiece_model.proto of github.com/google/sentencepiece; protobuf.dev/programming-guides/encoding.
import { expectTokenizer } from './tokenizer_error.ts';

/** How a model segments; words and characters, 3 and 4, are not read. */
export const MODEL_TYPE = { unigram: 1, bpe: 2 } as const;

/** What a piece is; an unused one is in the file and never found. */
export const PIECE_TYPE = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** A token; its id is its place. */
export interface Piece {
  text: string;
  /** log probability of a unigram model's piece; of BPE's, the higher the earlier it is put together */
  score: number;
  /** one of PIECE_TYPE */
  type: number;
}

/** How the model segments. */
export interface Training {
  /** one of MODEL_TYPE */
  type: number;
  /** unknown characters become one piece per byte */
  hasByteFallback: boolean;
  eosId: number;
}

/** What happens to a text before. */
export interface Normalization {
  /** see charsmap.ts; empty for none */
  charsmap: Uint8Array;
  /** a blank is put in front */
  hasPrefix: boolean;
  /** runs of blanks become one, those at the ends go */
  removesExtraBlanks: boolean;
}

/** A model file's contents. */
export interface SentencePieceModel {
  pieces: Piece[];
  training: Training;
  normalization: Normalization;
}

/** @throws TokenizerError for bytes that are no model, or one of words or characters */
export function readSentencePiece(bytes: Uint8Array): SentencePieceModel {
  const pieces: Piece[] = [];
  let training = readTraining(new Uint8Array());
  let normalization = readNormalization(new Uint8Array());
  for (const [field, value] of fieldsOf(bytes)) {
    if (field === 1) pieces.push(readPiece(asBytes(value), pieces.length));
    if (field === 2) training = readTraining(asBytes(value));
    if (field === 3) normalization = readNormalization(asBytes(value));
  }
  expect(pieces.length > 0, 'hold pieces', `none in ${bytes.length} bytes`);
  return { pieces, training, normalization };
}

function readPiece(bytes: Uint8Array, id: number): Piece {
  const piece = { text: '', score: 0, type: PIECE_TYPE.normal as number };
  for (const [field, value] of fieldsOf(bytes)) {
    if (field === 1) piece.text = asText(value);
    if (field === 2) piece.score = asFloat(value);
    if (field === 3) piece.type = asNumber(value);
  }
  const { text, score } = piece;
  expect(
    text !== '' && Number.isFinite(score),
    'give every piece a text and a finite score',
    `${JSON.stringify(text)} and ${score} for piece ${id}`,
  );
  return piece;
}

function readTraining(bytes: Uint8Array): Training {
  const training = { type: MODEL_TYPE.unigram as number, hasByteFallback: false, eosId: 2 };
  for (const [field, value] of fieldsOf(bytes)) {
    if (field === 3) training.type = asNumber(value);
    if (field === 24) expect(asNumber(value) === 0, 'have blanks in front of words', 'blanks behind them');
    if (field === 35) training.hasByteFallback = asNumber(value) !== 0;
    if (field === 42) training.eosId = asNumber(value);
  }
  const { type } = training;
  expect(
    type === MODEL_TYPE.unigram || type === MODEL_TYPE.bpe,
    'be of type 1, unigram, or 2, BPE',
    `type ${type}`,
  );
  return training;
}

function readNormalization(bytes: Uint8Array): Normalization {
  const normalization = { charsmap: new Uint8Array(), hasPrefix: true, removesExtraBlanks: true };
  for (const [field, value] of fieldsOf(bytes)) {
    if (field === 2) normalization.charsmap = new Uint8Array(asBytes(value));
    if (field === 3) normalization.hasPrefix = asNumber(value) !== 0;
    if (field === 4) normalization.removesExtraBlanks = asNumber(value) !== 0;
    if (field === 5) expect(asNumber(value) !== 0, 'write blanks as ▁', 'blanks as they are');
  }
  return normalization;
}

/** The low 32 bits of an integer, bytes, or four or eight bytes of a number. */
type Value = number | Uint8Array | DataView;

/** The fields of a message in their order, by number. */
function* fieldsOf(bytes: Uint8Array): Generator<[field: number, value: Value]> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      expect(at < bytes.length, 'end with a field', `${bytes.length} bytes that end within an integer`);
      const byte = bytes[at++];
      if (shift < 32) value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
    expect(false, 'have integers of at most ten bytes', `a longer one before byte ${at}`);
  };
  const skip = (sizeBytes: number): number => {
    expect(
      at + sizeBytes <= bytes.length,
      'end with a field',
      `a field of ${sizeBytes} bytes at ${at} of ${bytes.length}`,
    );
    at += sizeBytes;
    return at - sizeBytes;
  };
  while (at < bytes.length) {
    const start = at;
    const tag = varint();
    const [field, wireType] = [tag >>> 3, tag & 7];
    expect(
      field > 0 && [0, 1, 2, 5].includes(wireType),
      'be a protocol buffer',
      `tag ${tag} at byte ${start}`,
    );
    if (wireType === 0) yield [field, varint()];
    else if (wireType === 2) {
      const sizeBytes = varint();
      const begin = skip(sizeBytes);
      yield [field, bytes.subarray(begin, begin + sizeBytes)];
    } else {
      const sizeBytes = wireType === 1 ? 8 : 4;
      yield [field, new DataView(bytes.buffer, view.byteOffset + skip(sizeBytes), sizeBytes)];
    }
  }
}

function asNumber(value: Value): number {
  expect(typeof value === 'number', 'have integers where it must', 'something else');
  return value;
}

function asBytes(value: Value): Uint8Array {
  expect(value instanceof Uint8Array, 'have bytes where it must', 'a number');
  return value;
}

function asFloat(value: Value): number {
  expect(value instanceof DataView && value.byteLength === 4, 'have scores in f32', 'something else');
  return value.getFloat32(0, true);
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function asText(value: Value): string {
  try {
    return UTF8.decode(asBytes(value));
  } catch (cause) {
    if (cause instanceof TypeError) expect(false, 'have texts in UTF-8', cause.message);
    throw cause;
  }
}

function expect(condition: boolean, rule: string, got: string): asserts condition {
  expectTokenizer(condition, `a SentencePiece model must ${rule}`, got);
}
