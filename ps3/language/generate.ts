// Texts that go on: token by token, one text as a stream or several at once.
import {
  expect,
  expectSampling,
  noGrad,
  type SamplingOptions,
  Scope,
  type Tensor,
} from '../../engine/index.ts';
import type { ChatMessage } from './chat.ts';
import { expectContext, type LanguageCore } from './core.ts';
import { Decoding, type DecodingOptions } from './decoding.ts';

/** What goes on: a text as it is, a conversation whose next turn is the assistant's, or token ids. */
export type Prompt = string | readonly ChatMessage[] | readonly number[];

/** How a text goes on, and when it ends. */
export interface GenerateOptions extends SamplingOptions {
  /** New tokens at most, as far as the context has room for them; default 512. Memory is made for them at the start. */
  readonly maxTokens?: number;
  /** Ids that end the text, and are no part of it; default: those of the tokenizer. */
  readonly stopIds?: readonly number[];
  /** An AbortSignal that ends it early: its reason is thrown. */
  readonly signal?: { throwIfAborted(): void };
  /** Whether a stream's tokens come with their log-probabilities, for which all logits are read back; default false. */
  readonly logProbs?: boolean;
}

/** New tokens where nobody says how many. */
const MAX_TOKENS = 512;

const GENERATE_KEYS = { maxTokens: true, stopIds: true, signal: true, logProbs: true } as const;

/** A token as it comes. */
export interface GeneratedToken {
  /** In the vocabulary. */
  readonly id: number;
  /** The characters that are complete with it; empty where the model has no tokenizer. */
  readonly text: string;
  /** Log-probability, before temperature and penalty; with `logProbs`. */
  readonly logProb?: number;
}

/** A whole answer. */
export interface Generated {
  /** Without the id that ended it. */
  readonly ids: readonly number[];
  /** Empty where the model has no tokenizer. */
  readonly text: string;
  /** Whether a stop id ended it, or there was no room for more. */
  readonly ending: 'stop' | 'length';
}

/** One text goes on, as a stream. @param op  for messages */
export async function* generate(
  op: string,
  model: LanguageCore,
  prompt: Prompt,
  options: GenerateOptions,
): AsyncGenerator<GeneratedToken, void, undefined> {
  yield* streamed(model, steps(op, model, [prompt], options));
}

/** The tokens of the first text, with their characters, until it has ended. */
export async function* streamed(
  model: LanguageCore,
  steps: AsyncIterable<readonly (Chosen | undefined)[]>,
): AsyncGenerator<GeneratedToken, void, undefined> {
  const decoder = model.hasTokenizer ? model.tokenizer.decoder() : undefined;
  const tokens = tokensOf(model);
  for await (const [chosen] of steps) {
    if (!chosen) break;
    yield { ...chosen, text: decoder && chosen.id < tokens ? decoder.push(chosen.id) : '' };
  }
}

/** Ids from here on name rows that pad an embedding, and no token: they have no text, as in the reference. */
const tokensOf = (model: LanguageCore): number => (model.hasTokenizer ? model.tokenizer.vocabSize : 0);

/** Several texts go on together, until the last has ended. @param op  for messages */
export async function generateAll(
  op: string,
  model: LanguageCore,
  prompts: readonly Prompt[],
  options: GenerateOptions,
): Promise<Generated[]> {
  const ids: number[][] = prompts.map(() => []);
  const hasEnded = new Set<number>();
  for await (const tokens of steps(op, model, prompts, options))
    tokens.forEach((chosen, b) => {
      if (chosen) ids[b].push(chosen.id);
      else hasEnded.add(b);
    });
  const known = tokensOf(model);
  return ids.map((ids, b) => {
    const text = known > 0 ? model.tokenizer.decode(ids.filter((id) => id < known)) : '';
    return { ids, text, ending: hasEnded.has(b) ? 'stop' : 'length' };
  });
}

/** The next token of each text, step by step; undefined for one that has ended. Ends with the last of them. */
async function* steps(
  op: string,
  model: LanguageCore,
  prompts: readonly Prompt[],
  options: GenerateOptions,
): AsyncGenerator<(Chosen | undefined)[], void, undefined> {
  expect(prompts.length > 0, op, 'there must be a prompt', 'none');
  const rows = prompts.map((prompt) => idsOf(op, model, prompt));
  const lengths = rows.map((row) => row.length);
  const T = Math.max(...lengths);
  const ids = new Uint32Array(rows.length * T);
  rows.forEach((row, b) => {
    ids.set(row, b * T);
  });
  const embedded = (scope: Scope): Tensor<'f32'> =>
    model.embed(model.engine.tensor(ids, [rows.length, T], { scope }));
  yield* goOn(op, model, { embedded, lengths, seen: rows }, options);
}

/** Prompts that are embedded. */
export interface Start {
  /** [B, T, D], made in a scope; padded on the right. Without the tokens that are `before`. */
  readonly embedded: (scope: Scope) => Tensor<'f32'>;
  /** As of `DecodingOptions`. */
  readonly before?: readonly Tensor<'f32'>[];
  /** Tokens of each prompt. */
  readonly lengths: readonly number[];
  /** Ids of each prompt, for the penalty of repetitions. */
  readonly seen: readonly (readonly number[])[];
}

/** A token without its characters. */
type Chosen = Omit<GeneratedToken, 'text'>;

/** As `generate`, of several prompts that are embedded: the next token of each, undefined for one that has ended. */
export async function* goOn(
  op: string,
  model: LanguageCore,
  { embedded, before, lengths, seen }: Start,
  options: GenerateOptions,
): AsyncGenerator<(Chosen | undefined)[], void, undefined> {
  expectOptions(op, options);
  const { maxTokens = MAX_TOKENS, stopIds: given, signal, logProbs, ...sampling } = options;
  const stopIds = given ?? (model.hasTokenizer ? model.tokenizer.stopIds : []);
  const longest = Math.max(...lengths);
  expectContext(op, model.config, longest + 1);
  const most = Math.min(model.config.contextLength, longest + maxTokens);
  const ended = new Set<number>();
  if (most === longest) return;
  signal?.throwIfAborted();
  using decoding = start(model, embedded, lengths, most, { ...sampling, seen, before });
  for (let step = 0; ; step++) {
    const [tokens, logits] = await Promise.all([
      decoding.tokens.data(),
      logProbs ? decoding.logits.data() : undefined,
    ]);
    const next = [...tokens];
    next.forEach((id, b) => {
      if (stopIds.includes(id)) ended.add(b);
    });
    const V = model.config.vocabSize;
    yield next.map((id, b) => {
      if (ended.has(b)) return undefined;
      return logits ? { id, logProb: logProbOf(logits.subarray(b * V, (b + 1) * V), id) } : { id };
    });
    if (ended.size === lengths.length || longest + step + 1 >= most) return;
    signal?.throwIfAborted();
    decoding.advance();
  }
}

/** log softmax(logits)[id] */
function logProbOf(logits: Float32Array, id: number): number {
  const most = logits.reduce((a, b) => Math.max(a, b));
  const sum = logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0);
  return logits[id] - most - Math.log(sum);
}

function start(
  model: LanguageCore,
  embedded: Start['embedded'],
  lengths: readonly number[],
  most: number,
  options: DecodingOptions,
): Decoding {
  using scope = new Scope();
  return noGrad(() => new Decoding(model, embedded(scope), lengths, most, options));
}

/** @throws ShapeError for options that are unknown or out of range */
function expectOptions(op: string, options: GenerateOptions): void {
  expectSampling(op, options, GENERATE_KEYS);
  const { maxTokens = 0 } = options;
  const isCount = Number.isSafeInteger(maxTokens) && maxTokens >= 0;
  expect(isCount, op, 'maxTokens must be a whole number from 0', `${maxTokens}`);
}

function idsOf(op: string, model: LanguageCore, prompt: Prompt): number[] {
  const ids = isIds(prompt)
    ? [...prompt]
    : model.tokenizer.encode(
        typeof prompt === 'string' ? prompt : model.tokenizer.renderChat(prompt, { generationPrompt: true }),
      );
  expect(ids.length > 0, op, 'a prompt must have a token', 'none');
  const wrong = ids.find((id) => !(Number.isSafeInteger(id) && id >= 0 && id < model.config.vocabSize));
  expect(
    wrong === undefined,
    op,
    `an id must be within the vocabulary of ${model.config.vocabSize}`,
    `${wrong}`,
  );
  return ids;
}

function isIds(prompt: Prompt): prompt is readonly number[] {
  return typeof prompt === 'object' && typeof prompt[0] !== 'object';
}
