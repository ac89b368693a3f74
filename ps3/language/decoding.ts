// Texts that go on with their keys and values kept: the prompts at once, then a token at a time by a captured step.
import {
  argMax,
  type Capture,
  concat,
  embedding,
  type KeyValueCache,
  noGrad,
  Scope,
  slice,
  type Tensor,
} from '../../engine/index.ts';
import type { LanguageCore } from './core.ts';

/** What is known of the next token of each text. */
interface Next extends Readonly<Record<string, Tensor>> {
  /** [B, V] */
  readonly logits: Tensor<'f32'>;
  /** [B], the most probable tokens. */
  readonly best: Tensor<'u32'>;
}

/**
 * B texts that go on token by token. After the first token no buffer, bind group or pipeline is made: keys, values and the
 * number of tokens are written in place, and the step is replayed.
 */
export class Decoding implements Disposable {
  readonly #cache: KeyValueCache;
  /** [B, 1], what the step reads. */
  readonly #ids: Tensor<'u32'>;
  readonly #step: Capture<Next>;
  readonly #scope = new Scope();
  #next: Next;

  /**
   * Reads the prompts.
   *
   * @param x        [B, T, D], embeddings of the prompts, padded on the right
   * @param lengths  tokens of each prompt
   * @param most     tokens of a text at most, with its prompt
   */
  constructor(model: LanguageCore, x: Tensor<'f32'>, lengths: readonly number[], most: number) {
    const { engine } = model;
    const { width } = model.config;
    const B = lengths.length;
    const next = (h: Tensor<'f32'>): Next => {
      const logits = model.logits(h.reshape([B, width]), { isInference: true });
      return { logits, best: argMax(logits, { axis: 1 }) };
    };
    this.#cache = model.newCache({ batch: B, length: most });
    const cache = this.#cache;
    this.#ids = engine.zeros([B, 1], { dtype: 'u32' });
    this.#next = noGrad(() => {
      using scope = new Scope();
      const h = readPrompts(model, x.in(scope), cache);
      const places = engine.tensor(
        Int32Array.from(lengths, (length) => length - 1),
        [B, 1],
        { scope },
      );
      const { logits, best } = next(embedding(h, places, { unique: true }));
      return { logits: logits.moveTo(this.#scope), best: best.moveTo(this.#scope) };
    });
    // Behind a shorter prompt are keys of padding, which its own tokens take the places of.
    cache.positions.write(Int32Array.from(lengths));
    this.#step = engine.capture(
      (ids) => noGrad(() => next(model.decode(model.embed(ids), { cache }))),
      this.#ids,
    );
  }

  /** Logits of the next token of each text, [B, V]; overwritten by `push`. */
  get logits(): Tensor<'f32'> {
    return this.#next.logits;
  }

  /** The most probable next token of each text, [B]; overwritten by `push`. */
  get best(): Tensor<'u32'> {
    return this.#next.best;
  }

  /** Goes on with a token of each text. */
  push(tokens: readonly number[]): void {
    this.#ids.write(Uint32Array.from(tokens));
    this.#step.replay();
    this.#next = this.#step.outputs;
  }

  /** Frees the cache and the step. */
  dispose(): void {
    this.#step.dispose();
    this.#scope.dispose();
    this.#ids.dispose();
    this.#cache.dispose();
  }

  /** As `dispose`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Tokens of all texts that a pass over the prompts takes at a time. */
const PASS_TOKENS = 2048;

/** Hidden states of prompts, [B, T, D], whose keys and values are in the cache afterwards. */
function readPrompts(model: LanguageCore, x: Tensor<'f32'>, cache: KeyValueCache): Tensor<'f32'> {
  const [B, T] = x.shape;
  const most = Math.max(1, Math.floor(PASS_TOKENS / B));
  if (T <= most) return model.decode(x, { cache, offset: 0 });
  const passes: Tensor<'f32'>[] = [];
  for (let offset = 0; offset < T; offset += most) {
    const part = slice(x, { axis: 1, start: offset, length: Math.min(most, T - offset) });
    passes.push(model.decode(part, { cache, offset }));
    part.dispose();
  }
  return concat(passes, { axis: 1 });
}
