// The keys and values of the tokens so far, for decoding token by token.
import source from '../../shaders/kv_cache.wgsl' with { type: 'text' };
import { expect, expectDType, expectKeys } from '../gpu/errors.ts';
import type { Gpu } from '../gpu/gpu.ts';
import { type Define, kernel } from '../gpu/kernel.ts';
import type { Target } from '../gpu/target.ts';
import { output, outputLike, run } from '../tensor/dispatch.ts';
import { show } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { attention } from './attention/attention.ts';
import { unpackHeads } from './attention/operands.ts';
import { stridedPlace } from './copy.ts';
import { fill } from './fill.ts';

/** kv_attend: invocations of a head, 8 of which fill a SIMD register of a CPU. */
const INVOCATIONS = { cpu: 8, gpu: 64 } as const;
/** The largest head that the registers of an invocation hold beside the sums. */
const LARGEST_HEAD = 128;

/**
 * Constants of the one kernel that rotates, writes and attends; undefined where several do. lavapipe, 14 heads of 64
 * on 2 over 60, 500 and 2000 tokens: 0.2, 1.1 and 3.9 ms, by several 0.7, 1.4 and 4.1. Not measured on a GPU.
 */
function planToken({ kind }: Target, T: number, K: number): Define | undefined {
  if (T !== 1 || K % 4 !== 0 || K > LARGEST_HEAD) return undefined;
  const HEAD_VECS = K / 4;
  const SHARE = [8, 4, 2, 1].find((share) => HEAD_VECS % share === 0)!;
  return { WG: INVOCATIONS[kind], HEAD_VECS, SHARE, UNROLLED: kind === 'cpu' };
}

const attendKernel = kernel(source, 'kv_attend');
const appendKernel = kernel(source, 'kv_append');
const advanceKernel = kernel(source, 'kv_advance');

/** What a `KeyValueCache` has room for. */
export interface KeyValueCacheSizes {
  /** Layers of the decoder, each with keys and values of its own. */
  readonly layers: number;
  /** Rows that are decoded side by side, 1 by default. */
  readonly batch?: number;
  /** Tokens of a row, those of the prompt included. */
  readonly length: number;
  /** Heads of keys, G. */
  readonly kvHeads: number;
  /** K, even. */
  readonly headSize: number;
}

const SIZES = { layers: true, batch: true, length: true, kvHeads: true, headSize: true } as const;

/**
 * Keys and values of the tokens so far, made once and written in place: `layers * B * length * 2 * G * K * 4` bytes.
 *
 * How many tokens there are is counted on the GPU, so that a captured step that decodes one token is replayed for the
 * next ones, and makes no buffer, bind group or pipeline.
 *
 *     using cache = new KeyValueCache(engine, { layers, length: 512, kvHeads: 2, headSize: 64 });
 *     const heard = cache.attend(layer, qkv, frequencies, { heads: 14 }); // in each layer
 *     cache.advance(1); // after the last one
 *
 * Forward only. Source: the cache of Vaswani et al.'s decoder as Pope et al. 2022, arXiv:2211.05102, describe it.
 */
export class KeyValueCache implements Disposable {
  /** [B], tokens in each row, which is the position of the next one. Written by `advance`, or by its own `write`. */
  readonly positions: Tensor<'i32'>;
  /** Tokens of a row. */
  readonly length: number;
  readonly #layers: readonly Tensor<'f32'>[];
  readonly #kvHeads: number;
  readonly #headSize: number;

  /** @throws ShapeError for sizes that are not whole, and an odd head size */
  constructor(engine: { readonly gpu: Gpu }, sizes: KeyValueCacheSizes) {
    expectKeys('KeyValueCache', sizes, SIZES);
    const { layers, batch = 1, length, kvHeads, headSize } = sizes;
    const given = { layers, batch, length, kvHeads, headSize };
    expect(
      Object.values(given).every((count) => Number.isInteger(count) && count >= 1) && headSize % 2 === 0,
      'KeyValueCache',
      'sizes must be whole numbers from 1 on, and headSize even',
      Object.entries(given)
        .map(([name, count]) => `${name} = ${count}`)
        .join(', '),
    );
    this.length = length;
    this.#kvHeads = kvHeads;
    this.#headSize = headSize;
    const width = 2 * kvHeads * headSize;
    this.positions = fill(outputLike(engine, [batch], 'i32'), 0);
    // Zeros: a hidden value is multiplied by a weight of zero, and what a buffer held before may be NaN.
    this.#layers = Array.from({ length: layers }, () =>
      fill(outputLike(engine, [batch, length, width], 'f32'), 0),
    );
  }

  /** Keys and values of a layer, [B, length, 2 G K]: the keys of a token, then its values. */
  layer(index: number): Tensor<'f32'> {
    const layer = this.#layers[index];
    const rule = `the layer must be within 0 to ${this.#layers.length - 1}`;
    expect(layer !== undefined, 'KeyValueCache', rule, `${index}`);
    return layer;
  }

  /**
   * Puts the keys and values of new tokens into a layer, and lets their queries attend to those there and to each
   * other, causally; queries and keys are rotated by their positions (`rope`). Tokens beyond `length` are dropped.
   *
   * @param qkv          [B, T, (H + 2 G) K] f32: queries, keys and values of each token
   * @param frequencies  [K / 2] f32, as of `rope`
   * @param options.heads   H
   * @param options.scale   as of `attention`
   * @param options.offset  position of the first token of every row; `positions` by default. A number, where the host
   *                        knows it, spares a long prompt the keys that are not there yet.
   * @returns            [B, T, H, K]
   * @throws ShapeError when the extents disagree
   */
  attend(
    layer: number,
    qkv: Tensor,
    frequencies: Tensor,
    options: { readonly heads: number; readonly scale?: number; readonly offset?: number },
  ): Tensor<'f32'> {
    expectKeys('KeyValueCache.attend', options, { heads: true, scale: true, offset: true });
    const { heads, scale = this.#headSize ** -0.5, offset = this.positions } = options;
    const kept = this.layer(layer);
    this.#expectFits(qkv, frequencies, heads, offset);
    const [kvHeads, K] = [this.#kvHeads, this.#headSize];
    const [B, T] = qkv.shape;
    const offsets = typeof offset === 'number' ? undefined : offset;
    const bind = { x: qkv, frequencies, offsets };
    const params = {
      ...{ rows: B * T, T, pairs: K / 2, heads, kv_heads: kvHeads, length: this.length },
      offset: typeof offset === 'number' ? offset : 0,
    };
    const OFFSET = offsets ? (offsets.size === 1 ? 'SHARED' : 'OWN') : 'NUMBER';
    const y = output([qkv], [B, T, heads, K]);
    const token = planToken(qkv.gpu.target, T, K);
    if (token) {
      run(attendKernel, {
        bind: { ...bind, out: y, kept },
        params: { ...params, scale },
        define: { OFFSET, ...token },
        groups: B * heads,
        flops: 4 * B * heads * this.length * K,
      });
      return y;
    }
    run(appendKernel, {
      bind: { ...bind, q: y, cache: kept },
      params,
      define: { OFFSET },
      groups: Math.ceil((B * T * K) / 2 / appendKernel.workgroupSize),
      flops: 6 * B * T * (heads + kvHeads) * K,
      bytes: 4 * B * T * K * (2 * heads + 4 * kvHeads),
    });
    const [k, v] = unpackHeads(kept, { parts: 2, heads: kvHeads });
    const heard = attention(y, k, v, { causal: true, offset, scale });
    y.dispose();
    return heard;
  }

  #expectFits(qkv: Tensor, frequencies: Tensor, heads: number, offset: number | Tensor): void {
    const op = 'KeyValueCache.attend';
    expectDType(op, 'qkv', qkv, 'f32');
    expectDType(op, 'frequencies', frequencies, 'f32');
    const [kvHeads, K] = [this.#kvHeads, this.#headSize];
    const [batch] = this.positions.shape;
    const [B, , width] = qkv.shape;
    expect(
      qkv.shape.length === 3 && B === batch && width === (heads + 2 * kvHeads) * K,
      op,
      `qkv must be [${batch}, T, (heads + ${2 * kvHeads}) * ${K}]`,
      `${show(qkv.shape)} and heads = ${heads}`,
    );
    expect(
      heads >= 1 && heads % kvHeads === 0,
      op,
      `heads must be a multiple of ${kvHeads}`,
      `heads = ${heads}`,
    );
    expect(
      frequencies.shape.length === 1 && frequencies.size === K / 2,
      op,
      `frequencies must be [${K / 2}]`,
      show(frequencies.shape),
    );
    const isWhole = typeof offset !== 'number' || (Number.isInteger(offset) && offset >= 0);
    expect(isWhole, op, 'offset must be a whole number', `${offset}`);
  }

  /** Counts tokens, after the last layer has them: the next ones follow. @param tokens  new ones of every row */
  advance(tokens: number): void {
    expect(Number.isInteger(tokens), 'KeyValueCache.advance', 'tokens must be a whole number', `${tokens}`);
    const { positions } = this;
    run(advanceKernel, {
      bind: { positions },
      params: { rows: positions.size, steps: tokens },
      groups: Math.ceil(positions.size / advanceKernel.workgroupSize),
    });
  }

  /**
   * Begins every row with tokens whose keys and values are there already, at positions from 0.
   *
   * @param layers  [1, P, 2 G K] of each layer, as `layer` gives them
   * @throws ShapeError when they are not of every layer, or not of this width, or do not fit
   */
  begin(layers: readonly Tensor<'f32'>[]): void {
    const [batch] = this.positions.shape;
    const width = 2 * this.#kvHeads * this.#headSize;
    const [P] = layers.map(({ shape }) => shape[1]);
    expect(
      layers.length === this.#layers.length &&
        P <= this.length &&
        layers.every(({ shape }) => shape.join() === `1,${P},${width}`),
      'KeyValueCache.begin',
      `there must be ${this.#layers.length} layers of [1, P, ${width}], P at most ${this.length}`,
      layers.map(({ shape }) => show(shape)).join(', ') || 'none',
    );
    for (const [i, kept] of layers.entries())
      for (let row = 0; row < batch; row++) {
        const start = row * this.length * width;
        stridedPlace('KeyValueCache.begin', kept, this.#layers[i], [P * width], [1], { start });
      }
    fill(this.positions, P);
  }

  /** Forgets all tokens; what is written next is at position 0. */
  clear(): void {
    fill(this.positions, 0);
  }

  /** Frees keys, values and positions. */
  dispose(): void {
    this.positions.dispose();
    for (const layer of this.#layers) layer.dispose();
  }

  /** As `dispose`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}
