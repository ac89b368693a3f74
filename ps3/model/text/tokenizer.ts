import { Tokenizer as HubTokenizer } from '@huggingface/tokenizers';
import { expectKeys } from '../../../engine/index.ts';
import { TEXT_CLEANING, type TextCleaning, type TextConfig } from '../config/config.ts';
import { CLEAN, canonicalize } from './canonicalize.ts';
import { openCharsmap } from './charsmap.ts';
import { convertSentencePiece } from './sentencepiece.ts';
import { expectTokenizer as expect, TokenizerError } from './tokenizer_error.ts';

/** `tokenizer.json` or `tokenizer_config.json`, as text or parsed. */
export type JsonFile = string | Record<string, unknown>;

/** What a tokenizer is made from: one of `tokenizerJson` and `sentencepieceModel`, and the length of texts. */
export interface TokenizerFiles {
  /** vocabulary and segmentation, in the format of Hugging Face's `tokenizers` */
  tokenizerJson?: JsonFile;
  /** the same in SentencePiece's format: `spiece.model` or `tokenizer.model`, unigram or BPE */
  sentencepieceModel?: Uint8Array;
  /** names the special tokens; the vocabulary's `<eos>` or `</s>` is taken without it */
  tokenizerConfig?: JsonFile;
  /** L, tokens per text */
  contextLength: number;
  /** token that fills up short texts; by default as the files name it */
  padId?: number;
  /** token that ends a text; by default as the files name it */
  eosId?: number;
}

/**
 * Text to token ids by SigLIP's rules: canonicalise, segment, append EOS, truncate so that EOS stays last,
 * pad on the right. SigLIP pads with EOS itself, SigLIP 2 with `<pad>`; neither has a BOS or an attention mask.
 * Source: Zhai et al. 2023, arXiv:2303.15343; PS3Tokenizer of the reference implementation.
 */
export class Tokenizer {
  /** L, tokens per text; longer texts are cut, shorter ones padded. */
  readonly contextLength: number;
  /** Token that fills up short texts. */
  readonly padId: number;
  /** Token that ends a text. */
  readonly eosId: number;
  /** How texts are brought into form first. */
  readonly clean: TextCleaning;
  readonly #hub: HubTokenizer;
  readonly #json: Record<string, unknown>;
  readonly #config: Record<string, unknown>;

  /** @throws TokenizerError when a file is not what it should be, or no EOS can be found */
  static fromFiles(files: TokenizerFiles): Tokenizer {
    return new Tokenizer(files);
  }

  private constructor(files: TokenizerFiles) {
    const { contextLength, padId, eosId } = files;
    expect(
      Number.isInteger(contextLength) && contextLength > 0,
      'contextLength must be a positive integer',
      contextLength,
    );
    this.contextLength = contextLength;
    const { tokenizerJson, tokenizerConfig } = readFiles(files);
    const { clean = 'canonicalize', context_length = contextLength } = tokenizerConfig;
    const known = TEXT_CLEANING.find((name) => name === clean);
    expect(known !== undefined, 'tokenizer_config.json: clean must be "canonicalize" or "lower"', clean);
    this.clean = known;
    expect(
      context_length === contextLength,
      `tokenizer_config.json: context_length must be the text tower's, ${contextLength}`,
      context_length,
    );
    this.#json = tokenizerJson;
    this.#config = tokenizerConfig;
    this.#hub = openHubTokenizer(this.#json, this.#config);
    const idOf = (token: unknown) => {
      const content =
        typeof token === 'object' && token !== null && 'content' in token ? token.content : token;
      return typeof content === 'string' ? this.#hub.token_to_id(content) : undefined;
    };
    // Gemma has both: its </s> ends struck-out text.
    const eos = eosId ?? idOf(this.#config.eos_token) ?? idOf('<eos>') ?? idOf('</s>');
    expect(eos !== undefined, 'the vocabulary must hold <eos> or </s>', 'neither', 'Pass eosId.');
    this.eosId = eos;
    const gemmaPad = eos === idOf('<eos>') ? idOf('<pad>') : undefined;
    this.padId = padId ?? idOf(this.#config.pad_token) ?? gemmaPad ?? eos;
  }

  /** V, one more than the largest id: the rows an embedding table needs. */
  get vocabSize(): number {
    return this.#hub.model?.vocab.length ?? 0;
  }

  /** The words of the vocabulary in the order of their ids; undefined where it has pieces of words. */
  get words(): string[] | undefined {
    const { model, added_tokens } = this.#json as {
      model?: { type?: string; vocab?: Readonly<Record<string, number>> };
      added_tokens?: readonly { readonly content: string }[];
    };
    if (model?.type !== 'WordLevel' || !model.vocab) return undefined;
    const special = new Set(added_tokens?.map(({ content }) => content));
    const words = Object.entries(model.vocab).filter(([word]) => !special.has(word));
    return words.sort(([, a], [, b]) => a - b).map(([word]) => word);
  }

  /** Words of a text that a vocabulary of words lacks; none where it has pieces of words. */
  unknownWords(text: string): string[] {
    const known = this.words && new Set(this.words);
    return known
      ? CLEAN[this.clean](text)
          .split(' ')
          .filter((word) => word && !known.has(word))
      : [];
  }

  /**
   * Encodes n texts.
   *
   * @returns ids [n, L] row-major, every row with EOS after the text's tokens
   * @throws TokenizerError for a token that the vocabulary lacks when it has no unknown token either
   */
  encode(texts: readonly string[]): Int32Array<ArrayBuffer> {
    return this.encodeCounted(texts).ids;
  }

  /**
   * Encodes n texts as `encode` does.
   *
   * @returns ids [n, L], and how many tokens each text has with its EOS: more than L where it is cut
   */
  encodeCounted(texts: readonly string[]): { ids: Int32Array<ArrayBuffer>; counts: Int32Array } {
    const L = this.contextLength;
    const ids = new Int32Array(texts.length * L).fill(this.padId);
    const counts = new Int32Array(texts.length);
    texts.forEach((text, row) => {
      const { ids: found, tokens } = this.#hub.encode(CLEAN[this.clean](text), { add_special_tokens: false });
      counts[row] = found.length + 1;
      const n = Math.min(found.length, L - 1);
      for (let i = 0; i < n; i++) {
        if (found[i] === undefined)
          throw new TokenizerError(
            `Tokenizer.encode: every token must be in the vocabulary, got ${JSON.stringify(tokens[i])}.`,
          );
        ids[row * L + i] = found[i];
      }
      ids[row * L + n] = this.eosId;
    });
    return { ids, counts };
  }

  /** The two files to store beside the weights, by file name. */
  toJSON(): { 'tokenizer.json': Record<string, unknown>; 'tokenizer_config.json': Record<string, unknown> } {
    const content = (id: number) => this.#hub.id_to_token(id);
    return {
      'tokenizer.json': this.#json,
      'tokenizer_config.json': {
        // The reference's PS3Tokenizer reads these three; "." is the folder it is started in.
        tokenizer_name: '.',
        ...this.#config,
        clean: this.clean,
        context_length: this.contextLength,
        eos_token: content(this.eosId),
        pad_token: content(this.padId),
      },
    };
  }
}

function parse(name: string, file: unknown): Record<string, unknown> {
  let value: unknown = file;
  try {
    if (typeof file === 'string') value = JSON.parse(file);
  } catch (cause) {
    expect(false, `${name} must be JSON`, cause);
  }
  expect(
    typeof value === 'object' && value !== null && !Array.isArray(value),
    `${name} must be an object`,
    value,
  );
  return value as Record<string, unknown>;
}

function readFiles({ tokenizerJson, sentencepieceModel, tokenizerConfig = {} }: TokenizerFiles) {
  const config = parse('tokenizer_config.json', tokenizerConfig);
  expect(
    (tokenizerJson === undefined) !== (sentencepieceModel === undefined),
    'files must hold one of tokenizerJson and sentencepieceModel',
    tokenizerJson === undefined ? 'neither' : 'both',
  );
  if (!sentencepieceModel)
    return { tokenizerJson: parse('tokenizer.json', tokenizerJson), tokenizerConfig: config };
  const converted = convertSentencePiece(sentencepieceModel);
  return { ...converted, tokenizerConfig: { ...converted.tokenizerConfig, ...config } };
}

function openHubTokenizer(json: Record<string, unknown>, config: Record<string, unknown>): HubTokenizer {
  const model = json.model;
  expect(typeof model === 'object' && model !== null, 'tokenizer.json must have a model', model);
  // A word-level model looks for its unknown token in the configuration, where the file format does not put it.
  const unknown =
    'unk_token' in model && typeof model.unk_token === 'string' ? { unk_token: model.unk_token } : {};
  try {
    const hub = new HubTokenizer({ added_tokens: [], ...json }, { ...unknown, ...config });
    useCharsmaps(hub.normalizer);
    return hub;
  } catch (cause) {
    if (cause instanceof TokenizerError) throw cause;
    expect(false, 'tokenizer.json must be loadable', cause);
  }
}

/** What the library makes of `normalizer`: a sequence has parts, a table of characters its bytes in base64. */
interface HubNormalizer {
  normalizers?: (HubNormalizer | null)[];
  charsmap?: string | null;
  normalize(text: string): string;
}

/** The library puts NFKC in the place of every table of characters; here the tables themselves come back. */
function useCharsmaps(normalizer: HubNormalizer | null): void {
  if (!normalizer) return;
  normalizer.normalizers?.forEach(useCharsmaps);
  if (!normalizer.charsmap) return;
  const table = atob(normalizer.charsmap);
  normalizer.normalize = openCharsmap(Uint8Array.from(table, (byte) => byte.charCodeAt(0)));
}

/**
 * The repository of the hub that holds a checkpoint's vocabulary, as in `timm/ViT-B-16-SigLIP`: the one that
 * `tokenizer_config.json` names, else the one of `text_config`; undefined when it is in the checkpoint's own folder.
 *
 * @throws TokenizerError for a name that is none
 */
export function vocabularyRepo(
  tokenizerConfig: JsonFile,
  { tokenizerName }: Pick<TextConfig, 'tokenizerName'>,
): string | undefined {
  const name = parse('tokenizer_config.json', tokenizerConfig).tokenizer_name ?? tokenizerName ?? '.';
  if (name === '.') return undefined;
  expect(
    typeof name === 'string' && /^\w[\w.-]*\/\w[\w.-]*$/.test(name),
    'tokenizer_name must be "." or owner/name',
    JSON.stringify(name),
  );
  return name;
}

/**
 * A tokenizer of words that knows more of them: the ids of those it knows stay, the others of `captions` follow, frequent ones first.
 *
 * @returns  undefined where there are none, or the tokenizer has pieces of words
 */
export function extendWordTokenizer(
  tokenizer: Tokenizer,
  captions: readonly string[],
): Tokenizer | undefined {
  const unknown = tokenizer.unknownWords(captions.join(' '));
  if (unknown.length === 0) return undefined;
  const files = tokenizer.toJSON();
  const json = files['tokenizer.json'] as { model: { vocab: Readonly<Record<string, number>> } };
  const added = wordsByFrequency(unknown).map((word, i) => [word, tokenizer.vocabSize + i]);
  const vocab = { ...json.model.vocab, ...Object.fromEntries(added) };
  return Tokenizer.fromFiles({
    tokenizerJson: { ...json, model: { ...json.model, vocab } },
    tokenizerConfig: files['tokenizer_config.json'],
    contextLength: tokenizer.contextLength,
  });
}

/** Each once, frequent ones first, equally frequent ones in code unit order. */
function wordsByFrequency(words: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  return [...counts].sort(([a, na], [b, nb]) => nb - na || (a < b ? -1 : 1)).map(([word]) => word);
}

/** How `buildWordTokenizer` encodes. */
export interface WordTokenizerOptions {
  /** L, tokens per text. */
  readonly contextLength: number;
  /** Keeps only this many words; the others become `<unk>`. Default: all. */
  readonly maxWords?: number;
}

/**
 * A tokenizer whose tokens are the words of `captions`, for small models trained on few words.
 *
 * Ids: 0 `<pad>` (unused), 1 `</s>` for EOS and padding as in SigLIP, 2 `<unk>`, from 3 on the words, frequent
 * ones first, equally frequent ones in code unit order. The same captions always give the same ids.
 *
 * @throws ShapeError for unknown options, TokenizerError for a contextLength that is no positive integer
 */
export function buildWordTokenizer(captions: readonly string[], options: WordTokenizerOptions): Tokenizer {
  expectKeys('buildWordTokenizer', options, { contextLength: true, maxWords: true });
  const { contextLength, maxWords = Number.POSITIVE_INFINITY } = options;
  const all = captions.flatMap((caption) => canonicalize(caption).split(' ').filter(Boolean));
  const words = wordsByFrequency(all).slice(0, maxWords);
  const special = ['<pad>', '</s>', '<unk>'];
  const eos = { SpecialToken: { id: '</s>', type_id: 0 } };
  const first = { Sequence: { id: 'A', type_id: 0 } };
  return Tokenizer.fromFiles({
    contextLength,
    tokenizerJson: {
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: special.map((content, id) => {
        return {
          id,
          content,
          single_word: false,
          lstrip: false,
          rstrip: false,
          normalized: false,
          special: true,
        };
      }),
      normalizer: null,
      // Not `Whitespace`: its \w+ is Unicode in Rust and ASCII in JavaScript.
      pre_tokenizer: { type: 'WhitespaceSplit' },
      post_processor: {
        type: 'TemplateProcessing',
        single: [first, eos],
        pair: [first, { Sequence: { id: 'B', type_id: 0 } }, eos],
        special_tokens: { '</s>': { id: '</s>', ids: [1], tokens: ['</s>'] } },
      },
      decoder: null,
      model: {
        type: 'WordLevel',
        vocab: Object.fromEntries([...special, ...words].map((word, id) => [word, id])),
        unk_token: '<unk>',
      },
    },
    tokenizerConfig: {
      tokenizer_class: 'PreTrainedTokenizerFast',
      model_max_length: contextLength,
      unk_token: '<unk>',
      eos_token: '</s>',
      pad_token: '</s>',
    },
  });
}
