// Training of byte-level BPE vocabularies of Qwen's construction, for small models.
// Sennrich, Haddow & Birch 2016, arXiv:1508.07909; on bytes: Radford et al. 2019.
import { expect, expectKeys } from '../../engine/index.ts';
import { ALPHABET, CHARACTERS } from './byte_level.ts';
import { LanguageTokenizer } from './tokenizer.ts';
import { byteLevelJson, WORDS } from './tokenizer_json.ts';

/** WORDS for JavaScript, where a group has no flags of its own. */
const PATTERN = new RegExp(
  WORDS.replace(/\(\?i:([^)]*)\)/, (_, list: string) => eitherCase(list)),
  'gu',
);

function eitherCase(list: string): string {
  return `(?:${list.replace(/[a-z]/g, (letter) => `[${letter}${letter.toUpperCase()}]`)})`;
}

/** What a vocabulary is trained to. */
export interface TrainTokenizerOptions {
  /**
   * V: 256 bytes, the special tokens, and merges up to this; fewer where no pair is left that occurs twice. Default: no
   * merges, a token for each byte.
   */
  readonly vocabSize?: number;
  /** Added after the merges, in this order. Default: `<|endoftext|>`, `<|im_start|>`, `<|im_end|>`. */
  readonly specialTokens?: readonly string[];
}

const SPECIAL = ['<|endoftext|>', '<|im_start|>', '<|im_end|>'];

/**
 * Trains a byte-level BPE vocabulary: the most frequent pair of neighbours within words becomes a token, again and again; of
 * equally frequent pairs the one that occurs first. `toJSON` gives the tokenizer.json that `@huggingface/tokenizers` reads.
 *
 * @throws ShapeError when vocabSize has no room for bytes and special tokens
 */
export function trainTokenizer(
  texts: Iterable<string>,
  options: TrainTokenizerOptions = {},
): LanguageTokenizer {
  expectKeys('trainTokenizer', options, { vocabSize: true, specialTokens: true });
  const { specialTokens = SPECIAL } = options;
  const fewest = ALPHABET.length + specialTokens.length;
  const { vocabSize = fewest } = options;
  expect(
    Number.isSafeInteger(vocabSize) && vocabSize >= fewest,
    'trainTokenizer',
    `vocabSize must have room for 256 bytes and ${specialTokens.length} special tokens`,
    `${vocabSize}`,
  );
  const tokens = [...ALPHABET];
  const merges = learnMerges(wordsOf(texts), tokens, vocabSize - fewest);
  const padding = specialTokens.includes('<|endoftext|>') ? '<|endoftext|>' : specialTokens[0];
  return LanguageTokenizer.fromFiles({
    tokenizerJson: byteLevelJson(
      Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges,
      specialTokens.map((content, i) => {
        return { id: tokens.length + i, content };
      }),
    ),
    tokenizerConfig: {
      eos_token: specialTokens.find((token) => token === '<|im_end|>') ?? padding,
      pad_token: padding,
    },
  });
}

/** A word of the texts as ids of its tokens, and how often it occurs. */
interface Word {
  ids: number[];
  count: number;
}

/** Words in the order in which they occur first. */
function wordsOf(texts: Iterable<string>): Word[] {
  const idOf = new Map(ALPHABET.map((character, id) => [character, id]));
  const encoder = new TextEncoder();
  const words = new Map<string, Word>();
  for (const text of texts)
    for (const word of text.normalize('NFC').match(PATTERN) ?? []) {
      const known = words.get(word);
      if (known) known.count++;
      else
        words.set(word, {
          ids: Array.from(encoder.encode(word), (byte) => idOf.get(CHARACTERS[byte])!),
          count: 1,
        });
    }
  return [...words.values()];
}

/** Pairs of neighbours: how often each occurs, and in which words. */
class Pairs {
  readonly #words: readonly Word[];
  readonly #counts = new Map<string, number>();
  readonly #places = new Map<string, Set<number>>();

  constructor(words: readonly Word[]) {
    this.#words = words;
    for (let word = 0; word < words.length; word++) this.add(word, 1);
  }

  /** Counts the pairs of a word in, or with -1 out. */
  add(word: number, sign: 1 | -1): void {
    const { ids, count } = this.#words[word];
    for (let i = 1; i < ids.length; i++) {
      const pair = `${ids[i - 1]} ${ids[i]}`;
      this.#counts.set(pair, (this.#counts.get(pair) ?? 0) + sign * count);
      const places = this.#places.get(pair) ?? new Set();
      this.#places.set(pair, places);
      if (sign > 0) places.add(word);
      else places.delete(word);
    }
  }

  /** The most frequent pair and the words that have it; undefined where none occurs twice. */
  best(): { pair: [number, number]; words: number[] } | undefined {
    let most = 1;
    for (const count of this.#counts.values()) most = Math.max(most, count);
    if (most < 2) return undefined;
    let first: { pair: string; word: number; at: number } | undefined;
    for (const [pair, count] of this.#counts) {
      if (count !== most) continue;
      const word = [...this.#places.get(pair)!].reduce((a, b) => Math.min(a, b));
      if (first && word > first.word) continue;
      const at = placeIn(this.#words[word].ids, pair);
      if (!first || word < first.word || at < first.at) first = { pair, word, at };
    }
    const [a, b] = first!.pair.split(' ').map(Number);
    return { pair: [a, b], words: [...this.#places.get(first!.pair)!] };
  }
}

/** Where a pair is in a word. */
function placeIn(ids: readonly number[], pair: string): number {
  const [a, b] = pair.split(' ').map(Number);
  return ids.findIndex((id, i) => id === a && ids[i + 1] === b);
}

/** Learns up to `count` merges, each as its two tokens, and appends what they make to `tokens`. */
function learnMerges(words: readonly Word[], tokens: string[], count: number): [string, string][] {
  const pairs = new Pairs(words);
  const merges: [string, string][] = [];
  while (merges.length < count) {
    const best = pairs.best();
    if (!best) break;
    const [a, b] = best.pair;
    const made = tokens.length;
    merges.push([tokens[a], tokens[b]]);
    tokens.push(tokens[a] + tokens[b]);
    for (const word of best.words) {
      pairs.add(word, -1);
      words[word].ids = merged(words[word].ids, a, b, made);
      pairs.add(word, 1);
    }
  }
  return merges;
}

/** Ids with every a, b from the left on made one. */
function merged(ids: readonly number[], a: number, b: number, made: number): number[] {
  const result: number[] = [];
  for (let i = 0; i < ids.length; i++) {
    const isPair = ids[i] === a && ids[i + 1] === b;
    result.push(isPair ? made : ids[i]);
    if (isPair) i++;
  }
  return result;
}
