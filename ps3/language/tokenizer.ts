// Text to token ids and back by byte-level BPE, as GPT-2 and Qwen have it, with conversations and their labels.
import { Tokenizer as HubTokenizer } from '@huggingface/tokenizers';
import { expectKeys } from '../../engine/index.ts';
import type { JsonFile } from '../model/text/tokenizer.ts';
import { TokenizerError } from '../model/text/tokenizer_error.ts';
import { tokenBytes } from './byte_level.ts';
import { CHAT_TEMPLATE, type ChatMessage, ChatTemplate } from './chat.ts';
import { IGNORED } from './labels.ts';
import { type AddedToken, addedToken } from './tokenizer_json.ts';

/** Files of the hub that a language model's tokenizer is made from, as text or parsed. */
export interface LanguageTokenizerFiles {
  /** `tokenizer.json`: vocabulary, merges and added tokens. */
  readonly tokenizerJson: JsonFile;
  /** `tokenizer_config.json`: names of special tokens, and `chat_template`. */
  readonly tokenizerConfig?: JsonFile;
  /** `generation_config.json`: `eos_token_id`. */
  readonly generationConfig?: JsonFile;
  /** `chat_template.jinja`, where it is a file of its own. */
  readonly chatTemplate?: string;
}

/** A conversation in tokens. */
export interface EncodedChat {
  /** [T] */
  readonly ids: Int32Array<ArrayBuffer>;
  /** [T], the ids of answers and of the token that ends each, `IGNORED` elsewhere. */
  readonly labels: Int32Array<ArrayBuffer>;
}

type Json = Record<string, unknown>;

/** Turns texts and conversations into ids, and ids into text. */
export class LanguageTokenizer {
  /** Ids that end an answer: `eos_token`, those of generation_config.json, and the token behind an answer in the template. */
  readonly stopIds: readonly number[];
  /** The id that fills up short rows: `pad_token`, else the first stop token, else 0. */
  readonly padId: number;
  readonly #hub: HubTokenizer;
  readonly #json: Json;
  readonly #config: Json;
  /** Whether the files have a chat template; where they have none, Qwen's is taken. */
  readonly hasChatTemplate: boolean;
  readonly #chat: ChatTemplate;
  readonly #added: ReadonlyMap<number, string>;
  readonly #bytes = new Map<number, Uint8Array<ArrayBuffer>>();

  /** @throws TokenizerError for files that are no byte-level BPE, or whose template is none */
  static fromFiles(files: LanguageTokenizerFiles): LanguageTokenizer {
    return new LanguageTokenizer(files);
  }

  private constructor(files: LanguageTokenizerFiles) {
    const json = parse('tokenizer.json', files.tokenizerJson);
    const given = parse('tokenizer_config.json', files.tokenizerConfig ?? {});
    const own = files.chatTemplate ?? chatTemplateOf(given);
    this.hasChatTemplate = own !== undefined;
    const template = own ?? CHAT_TEMPLATE;
    const config: Json = own === undefined ? given : { ...given, chat_template: own };
    const kind = [(json.model as Json | undefined)?.type, (json.decoder as Json | undefined)?.type].join();
    if (kind !== 'BPE,ByteLevel')
      throw new TokenizerError(
        `LanguageTokenizer.fromFiles: tokenizer.json must be byte-level BPE, got a model and a decoder of types ${kind}.`,
      );
    this.#json = json;
    this.#config = config;
    try {
      this.#hub = new HubTokenizer({ added_tokens: [], ...json }, config);
    } catch (cause) {
      throw new TokenizerError(`LanguageTokenizer.fromFiles: tokenizer.json must be loadable, got ${cause}.`);
    }
    this.#added = new Map(
      ((json.added_tokens ?? []) as AddedToken[]).map(({ id, content }) => [id, content]),
    );
    const named = Object.fromEntries(
      ['bos_token', 'eos_token', 'pad_token', 'unk_token'].map((key) => [key, contentOf(config[key])]),
    );
    this.#chat = new ChatTemplate(template, named);
    const generation = parse('generation_config.json', files.generationConfig ?? {});
    const ids = [this.#idOf(named.eos_token), ...[generation.eos_token_id].flat(), this.#endOfAnswer()];
    this.stopIds = [...new Set(ids.filter((id) => typeof id === 'number'))];
    this.padId = this.#idOf(named.pad_token) ?? this.stopIds[0] ?? 0;
  }

  /** V, one more than the largest id: the rows that an embedding needs. */
  get vocabSize(): number {
    let largest = -1;
    for (const id of this.#hub.get_vocab(true).values()) largest = Math.max(largest, id);
    return largest + 1;
  }

  /**
   * Ids of a text; added tokens, such as `<|im_end|>`, are recognised in it.
   *
   * @throws TokenizerError for bytes that the vocabulary lacks
   */
  encode(text: string): number[] {
    const { ids, tokens } = this.#hub.encode(text, { add_special_tokens: false });
    const missing = ids.indexOf(undefined as never);
    if (missing >= 0)
      throw new TokenizerError(
        `LanguageTokenizer.encode: every token must be in the vocabulary, got ${JSON.stringify(tokens[missing])}.`,
      );
    return ids;
  }

  /**
   * The text of ids.
   *
   * @param options.keepSpecial  writes added tokens too; default false
   */
  decode(ids: Iterable<number>, options: { readonly keepSpecial?: boolean } = {}): string {
    const stream = this.decoder(options);
    let text = '';
    for (const id of ids) text += stream.push(id);
    return text + stream.end();
  }

  /** Decodes token by token: a character that several tokens make up comes with the last of them. */
  decoder(options: { readonly keepSpecial?: boolean } = {}): TokenDecoder {
    expectKeys('LanguageTokenizer.decode', options, { keepSpecial: true });
    const { keepSpecial = false } = options;
    const utf8 = new TextDecoder();
    return {
      push: (id) => {
        const special = this.#added.get(id);
        if (special === undefined) return utf8.decode(this.#bytesOf(id), { stream: true });
        return keepSpecial ? utf8.decode() + special : '';
      },
      end: () => utf8.decode(),
    };
  }

  /** The id of a token, such as `<|im_end|>`; undefined where there is none. */
  idOf(token: string): number | undefined {
    return this.#idOf(token);
  }

  /** A conversation as the template writes it. @throws TokenizerError for what the template refuses */
  renderChat(
    messages: readonly ChatMessage[],
    options: { readonly generationPrompt?: boolean } = {},
  ): string {
    return this.#chat.render(messages, options);
  }

  /**
   * A conversation in tokens, with labels for `LanguageModel.loss`: the tokens of each answer and the special token behind it.
   *
   * @throws TokenizerError for a template that does not repeat answers as they are
   */
  encodeChat(messages: readonly ChatMessage[]): EncodedChat {
    const { text, spans } = this.#chat.answers(messages);
    const ids = this.encode(text);
    const labels = new Int32Array(ids.length).fill(IGNORED);
    const places = spans.map(({ start, end }) => [
      this.#byteLength(text.slice(0, start)),
      this.#byteLength(text.slice(0, end)),
    ]);
    let at = 0;
    ids.forEach((id, i) => {
      const end = at + this.#bytesOf(id).length;
      const isSpecial = this.#added.has(id);
      for (const [first, last] of places)
        if ((at >= first && end <= last) || (at === last && isSpecial)) labels[i] = id;
      at = end;
    });
    return { ids: Int32Array.from(ids), labels };
  }

  /** The same vocabulary with more special tokens, which get the next free ids; those that are there already stay. */
  withTokens(contents: readonly string[]): LanguageTokenizer {
    let id = this.vocabSize;
    const added = contents
      .filter((content) => this.#idOf(content) === undefined)
      .map((content) => addedToken({ id: id++, content }));
    const before = (this.#json.added_tokens ?? []) as AddedToken[];
    return new LanguageTokenizer({
      tokenizerJson: { ...this.#json, added_tokens: [...before, ...added] },
      tokenizerConfig: this.#config,
      generationConfig: { eos_token_id: this.stopIds },
    });
  }

  /** The files to store beside the weights, by name. */
  toJSON(): Readonly<Record<string, Record<string, unknown>>> {
    const { stopIds, padId } = this;
    return {
      'tokenizer.json': this.#json,
      'tokenizer_config.json': { tokenizer_class: 'PreTrainedTokenizerFast', ...this.#config },
      'generation_config.json': { eos_token_id: [...stopIds], pad_token_id: padId },
    };
  }

  #idOf(token: string | undefined): number | undefined {
    return token === undefined ? undefined : this.#hub.token_to_id(token);
  }

  /** UTF-8 of a token. @throws TokenizerError for an id beyond the vocabulary */
  #bytesOf(id: number): Uint8Array<ArrayBuffer> {
    const known = this.#bytes.get(id);
    if (known) return known;
    const token = this.#hub.id_to_token(id);
    const special = this.#added.get(id);
    const bytes = special === undefined ? token && tokenBytes(token) : new TextEncoder().encode(special);
    if (!bytes)
      throw new TokenizerError(`LanguageTokenizer: an id must be one of the vocabulary's, got ${id}.`);
    this.#bytes.set(id, bytes);
    return bytes;
  }

  /** Bytes of a text as its tokens have them, that is, normalised. */
  #byteLength(text: string): number {
    return new TextEncoder().encode(this.#hub.normalizer?.normalize(text) ?? text).length;
  }

  /** The special token behind an answer in the template, if there is one. */
  #endOfAnswer(): number | undefined {
    const answer = 'An answer to be found again.';
    const text = this.#chat.render([
      { role: 'user', content: 'A question.' },
      { role: 'assistant', content: answer },
    ]);
    const end = text.indexOf(answer) + answer.length;
    const [id] = end < answer.length ? [] : this.encode(text.slice(end));
    return this.#added.has(id) ? id : undefined;
  }
}

/** Turns ids into text one by one. */
export interface TokenDecoder {
  /** The characters that are complete with this token. */
  push(id: number): string;
  /** What is left: a replacement character where one was cut. */
  end(): string;
}

function parse(name: string, file: JsonFile): Json {
  try {
    const value: unknown = typeof file === 'string' ? JSON.parse(file) : file;
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Json;
  } catch (cause) {
    throw new TokenizerError(
      `LanguageTokenizer.fromFiles: ${name} must be JSON, got ${(cause as Error).message}.`,
    );
  }
  throw new TokenizerError(
    `LanguageTokenizer.fromFiles: ${name} must be an object, got ${JSON.stringify(file)}.`,
  );
}

/** A special token is a text, or an object with one. */
function contentOf(token: unknown): string | undefined {
  const content = typeof token === 'object' && token !== null ? (token as Json).content : token;
  return typeof content === 'string' ? content : undefined;
}

/** `chat_template` is a text, or a list of named ones. */
function chatTemplateOf({ chat_template: template }: Json): string | undefined {
  if (typeof template === 'string') return template;
  const list = Array.isArray(template) ? (template as { name?: string; template?: string }[]) : [];
  return (list.find(({ name }) => name === 'default') ?? list[0])?.template;
}
