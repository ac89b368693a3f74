// The decoder of Qwen2: pre-norm blocks of causal attention with shared heads of keys, and of a gated MLP.
// Yang et al. 2024, arXiv:2407.10671; transformers, modeling_qwen2.py.
//
//   a = RMS(h)    q, k = rope(Wq a + bq), rope(Wk a + bk)    v = Wv a + bv
//   h = h + Wo softmax(q k' / sqrt(K), causal) v
//   m = RMS(h)
//   h = h + Wdown(silu(Wgate m) . (Wup m))
import {
  attention,
  checkpoint,
  type KeyValueCache,
  rmsNorm,
  rope,
  type Tensor,
  tidy,
  UseError,
  unpackHeads,
} from '../../engine/index.ts';
import type { LanguageConfig } from './config.ts';
import type { LanguageWeights } from './weights.ts';

/** What tokens come before, and which of them count. */
export interface DecoderOptions {
  /**
   * Keys and values of the tokens before, among which those of these tokens are put; positions are counted there, too, and
   * `offset` is a number, where the host knows it. Forward only, and without `keyMask`.
   */
  readonly cache?: KeyValueCache;
  /**
   * Position of the first token of each row, 0 by default: a number, or i32 [1] or [B]. Negative ones make room for
   * padding on the left.
   */
  readonly offset?: number | Tensor;
  /**
   * In place of `offset`: where texts begin that lie behind each other in each row, and where the last one ends, i32 [S + 1] or
   * [B, S + 1], as `attention` takes them. A text sees itself alone, from position 0 on.
   */
  readonly sequences?: Tensor;
  /** [B, T], nonzero where a token may be attended to. Padding on the right needs none: it comes after all that counts. */
  readonly keyMask?: Tensor;
  /** Keeps only the inputs of blocks for backward, and runs them again there: memory for time, the same bits. */
  readonly checkpointed?: boolean;
  /** Called with the input of every block and its packed queries, keys and values after rotation; with a cache, before. */
  readonly onLayer?: (h: Tensor<'f32'>, qkv: Tensor<'f32'>) => void;
}

/** What a decoder is: its sizes, its weights, and [K / 2] of `ropeFrequencies`. */
export interface Decoder {
  readonly config: LanguageConfig;
  readonly weights: LanguageWeights;
  readonly frequencies: Tensor;
}

/**
 * Hidden states of tokens, after the final norm.
 *
 * @param x  [B, T, D], embeddings
 * @returns  [B, T, D]
 */
export function decode(decoder: Decoder, x: Tensor<'f32'>, options: DecoderOptions = {}): Tensor<'f32'> {
  const { cache, offset, sequences, keyMask, checkpointed, onLayer } = options;
  const { config, weights } = decoder;
  const offsets = typeof offset === 'object' ? offset : undefined;
  if (cache && (offsets || sequences || keyMask))
    throw new UseError(
      'LanguageModel.decode: with a cache, positions and padding must be those of the cache, got a tensor of offset, sequences or keyMask. Write cache.positions.',
    );
  return tidy([x, offsets, sequences, keyMask], (x, offsets, sequences, keyMask) => {
    let h: Tensor<'f32'> = x;
    for (let i = 0; i < config.layers; i++) {
      const layer = { ...decoder, index: i, cache };
      // What runs again needs its tensors then, too: they are inputs of the checkpoint.
      const given = { offset: offsets, sequences, keyMask };
      const names = (['offset', 'sequences', 'keyMask'] as const).filter((name) => given[name]);
      const run = (h: Tensor<'f32'>, ...own: Tensor[]): [Tensor<'f32'>, Tensor<'f32'>] =>
        block(layer, h, { offset, ...Object.fromEntries(names.map((name, i) => [name, own[i]])) });
      const extra = names.map((name) => given[name]!);
      const [next, qkv] = checkpointed && h.requiresGrad ? checkpoint(run, h, ...extra) : run(h, ...extra);
      onLayer?.(h, qkv);
      qkv.dispose();
      if (h !== x) h.dispose();
      h = next;
    }
    cache?.advance(x.shape[1]);
    return rmsNorm(h, weights.vector('model.norm.weight'), { eps: config.normEps });
  });
}

/** A block of a decoder, and where its keys and values are kept. */
interface Block extends Decoder {
  readonly index: number;
  readonly cache: KeyValueCache | undefined;
}

/** @returns the block's output [B, T, D] and its packed queries, keys and values [B, T, (H + 2G) K] */
function block(
  { config, weights, frequencies, index, cache }: Block,
  h: Tensor<'f32'>,
  { offset, sequences, keyMask }: Pick<DecoderOptions, 'offset' | 'sequences' | 'keyMask'>,
): [h: Tensor<'f32'>, qkv: Tensor<'f32'>] {
  const { heads, kvHeads, headSize, normEps: eps } = config;
  const name = `model.layers.${index}`;
  // Cached keys and values have no gradient.
  const isInference = cache !== undefined;
  const product = (
    x: Tensor,
    layer: string,
    options: { readonly residual?: Tensor; readonly isGated?: boolean } = {},
  ): Tensor<'f32'> => weights.linear(x, `${name}.${layer}`, { ...options, isInference });
  return tidy([h, sequences, keyMask], (h, sequences, keyMask) => {
    const [B, T] = h.shape;
    const normed = rmsNorm(h, weights.vector(`${name}.input_layernorm.weight`), { eps });
    const products = product(normed, 'self_attn.qkv_proj');
    const qkv = cache ? products : rope(products, frequencies, { heads: heads + kvHeads, offset, sequences });
    const heard = cache
      ? cache.attend(index, products, frequencies, { heads, offset: offset as number | undefined })
      : attention(...unpackHeads(qkv, { parts: 3, heads, kvHeads }), { causal: true, sequences, keyMask });
    const attended = product(heard.reshape([B, T, heads * headSize]), 'self_attn.o_proj', {
      residual: h,
    });
    const again = rmsNorm(attended, weights.vector(`${name}.post_attention_layernorm.weight`), { eps });
    const gated = product(again, 'mlp.gate_up_proj', { isGated: true });
    return [product(gated, 'mlp.down_proj', { residual: attended }), qkv] as [Tensor<'f32'>, Tensor<'f32'>];
  });
}

/** theta^(-2i / K), K / 2 numbers: the angle by which a token rotates each pair of coordinates. */
export function ropeFrequencies({ headSize, ropeTheta }: LanguageConfig): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: headSize / 2 }, (_, i) => ropeTheta ** ((-2 * i) / headSize));
}
