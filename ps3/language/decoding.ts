// Texts that go on with their keys and values kept: the prompts at once, then a token at a time by a captured step.
import {
  type Capture,
  concat,
  embedding,
  type KeyValueCache,
  noGrad,
  type SamplingOptions,
  Scope,
  sampleTokens,
  slice,
  type Tensor,
} from '../../engine/index.ts';
import type { LanguageCore } from './core.ts';

/** What is known of the next token of each text. */
interface Next extends Readonly<Record<string, Tensor>> {
  /** [B, V] */
  readonly logits: Tensor<'f32'>;
  /** [B], the tokens that were chosen. */
  readonly tokens: Tensor<'u32'>;
}

/** How texts go on. */
export interface DecodingOptions extends SamplingOptions {
  /** Ids of each prompt, for the penalty of repetitions; without them, only the tokens that were chosen count. */
  readonly seen?: readonly (readonly number[])[];
  /** Keys and values of each layer, [1, P, 2 G K], of tokens before those of every prompt. */
  readonly before?: readonly Tensor<'f32'>[];
}

/**
 * B texts that go on token by token. After the first token no buffer, bind group or pipeline is made: keys, values, the
 * number of tokens and the tokens themselves are written in place, and the step is replayed.
 */
export class Decoding implements Disposable {
  readonly #cache: KeyValueCache;
  readonly #step: Capture<Next>;
  readonly #scope = new Scope();
  #next: Next;

  /**
   * Reads the prompts.
   *
   * @param x        [B, T, D], embeddings of the prompts, but for what is kept of tokens before them, padded on the right
   * @param lengths  tokens of each prompt, those before included
   * @param most     tokens of a text at most, with its prompt
   */
  constructor(
    model: LanguageCore,
    x: Tensor<'f32'>,
    lengths: readonly number[],
    most: number,
    { seen: texts = [], before = [], ...sampling }: DecodingOptions = {},
  ) {
    const { engine } = model;
    const { width, vocabSize } = model.config;
    const B = lengths.length;
    const u32 = { dtype: 'u32', scope: this.#scope } as const;
    const ids = engine.zeros([B, 1], u32);
    const steps = engine.zeros([B], u32);
    const seen = engine.tensor(seenBits(texts, B, vocabSize), [B, Math.ceil(vocabSize / 32)], u32);
    const next = (h: Tensor<'f32'>): Next => {
      const logits = model.logits(h.reshape([B, width]), { isInference: true });
      const tokens = sampleTokens(logits, { ...sampling, steps, seen });
      ids.write(tokens);
      return { logits, tokens };
    };
    this.#cache = model.newCache({ batch: B, length: most });
    const cache = this.#cache;
    if (before.length > 0) cache.begin(before);
    const first = before.length > 0 ? before[0].shape[1] : 0;
    this.#next = noGrad(() => {
      using scope = new Scope();
      const h = readPrompts(model, x.in(scope), cache, first);
      const places = engine.tensor(
        Int32Array.from(lengths, (length) => length - first - 1),
        [B, 1],
        { scope },
      );
      const { logits, tokens } = next(embedding(h, places, { unique: true }));
      return { logits: logits.moveTo(this.#scope), tokens: tokens.moveTo(this.#scope) };
    });
    // Behind a shorter prompt are keys of padding, which its own tokens take the places of.
    cache.positions.write(Int32Array.from(lengths));
    this.#step = engine.capture((ids) => noGrad(() => next(model.decode(model.embed(ids), { cache }))), ids);
  }

  /** What the next token of each text was chosen by, [B, V]; overwritten by `advance`. */
  get logits(): Tensor<'f32'> {
    return this.#next.logits;
  }

  /** The next token of each text, [B]; overwritten by `advance`. */
  get tokens(): Tensor<'u32'> {
    return this.#next.tokens;
  }

  /** Goes on with `tokens`. */
  advance(): void {
    this.#step.replay();
    this.#next = this.#step.outputs;
  }

  /** Frees the cache and the step. */
  dispose(): void {
    this.#step.dispose();
    this.#scope.dispose();
    this.#cache.dispose();
  }

  /** As `dispose`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** A bit for each id that is in a text, [B, ceil(V / 32)], the lowest first. */
function seenBits(texts: DecodingOptions['seen'] & object, B: number, V: number): Uint32Array<ArrayBuffer> {
  const words = Math.ceil(V / 32);
  const bits = new Uint32Array(B * words);
  for (const [b, ids] of texts.entries()) for (const id of ids) bits[b * words + (id >> 5)] |= 1 << (id & 31);
  return bits;
}

/** Tokens of all texts that a pass over the prompts takes at a time. */
const PASS_TOKENS = 2048;

/** Hidden states of prompts, [B, T, D], whose keys and values are in the cache afterwards. @param first  place of their first tokens */
function readPrompts(
  model: LanguageCore,
  x: Tensor<'f32'>,
  cache: KeyValueCache,
  first: number,
): Tensor<'f32'> {
  const [B, T] = x.shape;
  const most = Math.max(1, Math.floor(PASS_TOKENS / B));
  if (T <= most) return model.decode(x, { cache, offset: first });
  const passes: Tensor<'f32'>[] = [];
  for (let start = 0; start < T; start += most) {
    const part = slice(x, { axis: 1, start, length: Math.min(most, T - start) });
    passes.push(model.decode(part, { cache, offset: first + start }));
    part.dispose();
  }
  return concat(passes, { axis: 1 });
}
