// Texts that go on: token by token, one text as a stream or several at once.
import {
  argMax,
  embedding,
  expect,
  expectKeys,
  linear,
  noGrad,
  output,
  Scope,
  type Tensor,
} from '../../engine/index.ts';
import type { ChatMessage } from './chat.ts';
import { expectContext, type LanguageCore } from './core.ts';
import { expectSampling, isGreedy, SAMPLING_KEYS, Sampler, type SamplingOptions } from './sampling.ts';

/** What goes on: a text as it is, a conversation whose next turn is the assistant's, or token ids. */
export type Prompt = string | readonly ChatMessage[] | readonly number[];

/** How a text goes on, and when it ends. */
export interface GenerateOptions extends SamplingOptions {
  /** New tokens at most; default: as many as the context has room for. */
  readonly maxTokens?: number;
  /** Ids that end the text, and are no part of it; default: those of the tokenizer. */
  readonly stopIds?: readonly number[];
  /** An AbortSignal that ends it early: its reason is thrown. */
  readonly signal?: { throwIfAborted(): void };
}

const GENERATE_KEYS = { ...SAMPLING_KEYS, maxTokens: true, stopIds: true, signal: true } as const;

/** A token as it comes. */
export interface GeneratedToken {
  /** In the vocabulary. */
  readonly id: number;
  /** The characters that are complete with it; empty where the model has no tokenizer. */
  readonly text: string;
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
  const decoder = model.hasTokenizer ? model.tokenizer.decoder() : undefined;
  for await (const [id] of steps(op, model, [prompt], options)) {
    if (id === undefined) break;
    yield { id, text: decoder?.push(id) ?? '' };
  }
}

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
    tokens.forEach((id, b) => {
      if (id === undefined) hasEnded.add(b);
      else ids[b].push(id);
    });
  return ids.map((ids, b) => {
    const text = model.hasTokenizer ? model.tokenizer.decode(ids) : '';
    return { ids, text, ending: hasEnded.has(b) ? 'stop' : 'length' };
  });
}

/** The next token of each text, step by step; undefined for one that has ended. Ends with the last of them. */
async function* steps(
  op: string,
  model: LanguageCore,
  prompts: readonly Prompt[],
  options: GenerateOptions,
): AsyncGenerator<(number | undefined)[], void, undefined> {
  expectKeys(op, options, GENERATE_KEYS);
  const {
    maxTokens,
    stopIds = model.hasTokenizer ? model.tokenizer.stopIds : [],
    signal,
    ...sampling
  } = options;
  expectSampling(op, sampling);
  expect(prompts.length > 0, op, 'there must be a prompt', 'none');
  expect(
    maxTokens === undefined || (Number.isSafeInteger(maxTokens) && maxTokens >= 0),
    op,
    'maxTokens must be a whole number from 0',
    `${maxTokens}`,
  );
  const rows = prompts.map((prompt) => idsOf(op, model, prompt));
  const longest = Math.max(...rows.map((row) => row.length));
  expectContext(op, model.config, longest + 1);
  const room = model.config.contextLength - longest;
  const samplers = isGreedy(sampling) ? undefined : rows.map((_, b) => new Sampler(sampling, b));
  const ended = new Set<number>();
  for (let step = 0; step < Math.min(maxTokens ?? room, room); step++) {
    signal?.throwIfAborted();
    const next = await nextTokens(model, rows, step, samplers);
    const tokens = next.map((id, b) => {
      if (ended.has(b) || stopIds.includes(id)) ended.add(b);
      else rows[b].push(id);
      return ended.has(b) ? undefined : id;
    });
    yield tokens;
    if (ended.size === rows.length) return;
  }
}

/** The next token of every row. */
async function nextTokens(
  model: LanguageCore,
  rows: readonly number[][],
  step: number,
  samplers: readonly Sampler[] | undefined,
): Promise<number[]> {
  using scope = new Scope();
  const logits = noGrad(() => lastLogits(model, rows, scope));
  if (!samplers) return [...(await argMax(logits, { axis: 1 }).data())];
  const V = model.config.vocabSize;
  const numbers = await logits.data();
  return samplers.map((sampler, b) => sampler.next(numbers.subarray(b * V, (b + 1) * V), rows[b], step));
}

/** Logits after the last token of every row, [B, V]. */
function lastLogits(model: LanguageCore, rows: readonly number[][], scope: Scope): Tensor<'f32'> {
  const B = rows.length;
  const T = Math.max(...rows.map((row) => row.length));
  const ids = new Int32Array(B * T);
  rows.forEach((row, b) => {
    ids.set(row, b * T);
  });
  const upload = (numbers: Int32Array<ArrayBuffer>, shape: readonly number[]): Tensor => {
    const tensor = output([model.head], shape, 'i32').moveTo(scope);
    tensor.write(numbers);
    return tensor;
  };
  const h = model.decode(model.embed(upload(ids, [B, T])));
  const last = embedding(
    h,
    upload(
      Int32Array.from(rows, (row) => row.length - 1),
      [B, 1],
    ),
    { unique: true },
  );
  return linear(last.reshape([B, model.config.width]), model.head);
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
