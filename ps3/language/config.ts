// What a Qwen2 or Qwen2.5 is made of, and its config.json as transformers writes it.
import * as v from 'valibot';
import { expectConfig } from '../model/config/config.ts';
import { check, count, flag, positive } from '../model/config/schema.ts';

/** The sizes of a decoder; config.json's key stands behind each. */
export interface LanguageConfig {
  /** V, rows of the embedding and of the head: `vocab_size`. */
  readonly vocabSize: number;
  /** D: `hidden_size`. */
  readonly width: number;
  /** Blocks: `num_hidden_layers`. */
  readonly layers: number;
  /** H, heads of queries: `num_attention_heads`. */
  readonly heads: number;
  /** G, heads of keys and values, each shared by H / G neighbouring heads of queries: `num_key_value_heads`. */
  readonly kvHeads: number;
  /** K, even: `head_dim`, or D / H. */
  readonly headSize: number;
  /** F, of the gated MLP: `intermediate_size`. */
  readonly mlpHidden: number;
  /** Added to the mean square in norms: `rms_norm_eps`. */
  readonly normEps: number;
  /** theta of the rotary position embedding: `rope_theta`. */
  readonly ropeTheta: number;
  /** Whether the head is the embedding: `tie_word_embeddings`. */
  readonly isTied: boolean;
  /** Tokens of a text at most: `max_position_embeddings`. */
  readonly contextLength: number;
}

/** The sizes that a new model must be given; the others follow from them. */
export interface LanguageSizes extends Partial<LanguageConfig> {
  /** D */
  readonly width: number;
  /** Blocks. */
  readonly layers: number;
  /** H, heads of queries. */
  readonly heads: number;
}

/**
 * The whole configuration of a new model: by default as many heads of keys as of queries, an MLP of 8/3 D rounded up
 * to a multiple of 8, a tied head, and theta 10000 with 1024 tokens of context.
 *
 * @throws ConfigError for sizes that do not go together
 */
export function languageConfig(sizes: LanguageSizes): LanguageConfig {
  const { width, heads } = sizes;
  const config = {
    vocabSize: 0,
    kvHeads: heads,
    headSize: width / heads,
    mlpHidden: 8 * Math.ceil(width / 3),
    normEps: 1e-6,
    ropeTheta: 10_000,
    isTied: true,
    contextLength: 1024,
    ...sizes,
  };
  return expectSizes(config);
}

const schema = v.looseObject({
  model_type: v.literal('qwen2', '"qwen2"'),
  vocab_size: count,
  hidden_size: count,
  num_hidden_layers: count,
  num_attention_heads: count,
  num_key_value_heads: v.nullish(count),
  head_dim: v.nullish(count),
  intermediate_size: count,
  hidden_act: v.nullish(v.literal('silu', '"silu"')),
  max_position_embeddings: v.nullish(count, 32768),
  rms_norm_eps: v.nullish(positive, 1e-6),
  rope_theta: v.nullish(positive),
  rope_parameters: v.nullish(
    v.looseObject({ rope_theta: v.nullish(positive), rope_type: v.nullish(v.string()) }),
  ),
  rope_scaling: v.nullish(v.looseObject({})),
  tie_word_embeddings: v.nullish(flag, false),
  use_sliding_window: v.nullish(v.literal(false, 'false: sliding windows are not built')),
});

/**
 * Reads a parsed config.json of model_type qwen2.
 *
 * @param vocabSize  rows of the embedding in the weights, where they are at hand: `vocab_size` may be that of another time
 * @throws ConfigError naming the first key that is missing, wrong, or asks for what is not built
 */
export function parseLanguageConfig(json: unknown, vocabSize?: number): LanguageConfig {
  const hub = check(schema, json, 'config.json');
  const scaling = hub.rope_scaling ?? hub.rope_parameters;
  const kind = Object(scaling) as { rope_type?: unknown; type?: unknown };
  const type = kind.rope_type ?? kind.type ?? (hub.rope_scaling ? 'unnamed' : 'default');
  expectConfig(type === 'default', 'config.json: rope must not be scaled', type);
  return expectSizes({
    vocabSize: vocabSize ?? hub.vocab_size,
    width: hub.hidden_size,
    layers: hub.num_hidden_layers,
    heads: hub.num_attention_heads,
    kvHeads: hub.num_key_value_heads ?? hub.num_attention_heads,
    headSize: hub.head_dim ?? hub.hidden_size / hub.num_attention_heads,
    mlpHidden: hub.intermediate_size,
    normEps: hub.rms_norm_eps,
    ropeTheta: hub.rope_theta ?? hub.rope_parameters?.rope_theta ?? 10_000,
    isTied: hub.tie_word_embeddings,
    contextLength: hub.max_position_embeddings,
  });
}

/** config.json, as transformers reads it. */
export function toLanguageHubConfig(config: LanguageConfig): Record<string, unknown> {
  return {
    architectures: ['Qwen2ForCausalLM'],
    model_type: 'qwen2',
    vocab_size: config.vocabSize,
    hidden_size: config.width,
    num_hidden_layers: config.layers,
    num_attention_heads: config.heads,
    num_key_value_heads: config.kvHeads,
    head_dim: config.headSize,
    intermediate_size: config.mlpHidden,
    hidden_act: 'silu',
    max_position_embeddings: config.contextLength,
    rms_norm_eps: config.normEps,
    rope_theta: config.ropeTheta,
    tie_word_embeddings: config.isTied,
    use_sliding_window: false,
    attention_dropout: 0,
    initializer_range: 0.02,
  };
}

function expectSizes(config: LanguageConfig): LanguageConfig {
  const { heads, kvHeads, headSize, width } = config;
  for (const key of [
    'vocabSize',
    'width',
    'layers',
    'heads',
    'kvHeads',
    'mlpHidden',
    'contextLength',
  ] as const)
    expectConfig(
      Number.isSafeInteger(config[key]) && config[key] > 0,
      `${key} must be a positive integer`,
      config[key],
    );
  expectConfig(
    heads % kvHeads === 0,
    'the heads of keys must divide those of queries',
    `${kvHeads} of ${heads}`,
  );
  expectConfig(
    Number.isInteger(headSize) && headSize % 2 === 0,
    'the size of a head must be an even number',
    `${headSize}, with a width of ${width} and ${heads} heads`,
  );
  return config;
}
