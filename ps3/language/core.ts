// A decoder with its embedding and head over one store of parameters: what training and generation build on.
import {
  type Engine,
  embedding,
  expect,
  expectDType,
  expectKeys,
  KeyValueCache,
  linearCrossEntropy,
  type ParameterStore,
  type QuantizedMatrix,
  slice,
  type Tensor,
  tidy,
  UseError,
} from '../../engine/index.ts';
import type { LanguageConfig } from './config.ts';
import { type DecoderOptions, decode, ropeFrequencies } from './decoder.ts';
import { IGNORED } from './labels.ts';
import { EMBEDDING, headLayer } from './parameters.ts';
import type { LanguageTokenizer } from './tokenizer.ts';
import { LanguageWeights } from './weights.ts';

/** Embedding, blocks and head of a Qwen2. Dispose it when done. */
export class LanguageCore implements Disposable {
  /** Where it runs. */
  readonly engine: Engine;
  /** What the model is made of. */
  readonly config: LanguageConfig;
  /**
   * All weights, by transformers' names but for what one product reads: `self_attn.qkv_proj` has the rows of q, k and v,
   * `mlp.gate_up_proj` those of gate and up.
   */
  readonly parameters: ParameterStore;
  /** Matrices and tables in integers, by the same names; none of them is among the parameters. */
  readonly integers: ReadonlyMap<string, QuantizedMatrix>;
  /** Keeps only the inputs of blocks for backward, and runs them again there: memory for time, the same bits. */
  checkpointLayers = false;
  readonly #tokenizer: LanguageTokenizer | undefined;
  readonly #weights: LanguageWeights;
  readonly #frequencies: Tensor;

  /**
   * @param tokenizer  the one that the model was or will be trained with
   * @param integers   matrices and tables that are not among the parameters, which the model takes over
   */
  constructor(
    engine: Engine,
    config: LanguageConfig,
    parameters: ParameterStore,
    tokenizer?: LanguageTokenizer,
    integers: ReadonlyMap<string, QuantizedMatrix> = new Map(),
  ) {
    this.engine = engine;
    this.config = config;
    this.parameters = parameters;
    this.integers = integers;
    this.#tokenizer = tokenizer;
    this.#weights = new LanguageWeights(parameters, integers);
    this.#frequencies = engine.tensor(ropeFrequencies(config));
  }

  /** Turns texts into ids and back. @throws UseError when the model came without one */
  get tokenizer(): LanguageTokenizer {
    if (!this.#tokenizer)
      throw new UseError(
        'LanguageModel.tokenizer: the model must have a tokenizer to read texts, got none. Pass token ids.',
      );
    return this.#tokenizer;
  }

  /** Whether the model reads texts, not token ids alone. */
  get hasTokenizer(): boolean {
    return this.#tokenizer !== undefined;
  }

  /** Embeddings of tokens. @param ids  [B, T] i32 or u32 @returns [B, T, D] */
  embed(ids: Tensor): Tensor<'f32'> {
    return embedding(this.#weights.matrix(EMBEDDING), ids);
  }

  /** Hidden states of embedded tokens, after the final norm: what the head reads. @param x  [B, T, D] @returns [B, T, D] */
  decode(x: Tensor<'f32'>, options: Omit<DecoderOptions, 'checkpointed'> = {}): Tensor<'f32'> {
    const { config } = this;
    const decoder = { config, weights: this.#weights, frequencies: this.#frequencies };
    return decode(decoder, x, { ...options, checkpointed: this.checkpointLayers });
  }

  /**
   * Room for the keys and values of texts, for `decode`: 8 layers G K bytes a token.
   *
   * @param sizes  tokens of a text at most, and texts side by side, 1 by default
   */
  newCache(sizes: { readonly length: number; readonly batch?: number }): KeyValueCache {
    const { layers, kvHeads, headSize } = this.config;
    return new KeyValueCache(this.engine, { ...sizes, layers, kvHeads, headSize });
  }

  /** The head: [V, D], which of a tied model is the embedding. @throws UseError for one in integers */
  get head(): Tensor {
    return this.#weights.tensor(`${headLayer(this.config)}.weight`);
  }

  /**
   * What the head makes of hidden states.
   *
   * @param h  [..., M, D]
   * @param options.isInference  without gradients, faster for few rows
   * @returns  [..., M, V]
   */
  logits(h: Tensor, options: { readonly isInference?: boolean } = {}): Tensor<'f32'> {
    return this.#weights.linear(h, headLayer(this.config), options);
  }

  /**
   * Logits of the next token after each one. Differentiable in the parameters.
   *
   * @param ids  [B, T] i32 or u32, rows padded on the right with any id
   * @returns    [B, T, V]
   * @throws ShapeError when ids are not [B, T]; UseError for more tokens than the context has, of which sequences are not asked
   */
  forward(ids: Tensor, options: Omit<DecoderOptions, 'checkpointed'> = {}): Tensor<'f32'> {
    const { keyMask, sequences } = options;
    const offset = typeof options.offset === 'object' ? options.offset : undefined;
    if (!sequences) expectContext('LanguageModel.forward', this.config, ids.shape[1]);
    return tidy([ids, keyMask, sequences, offset], (ids, keyMask, sequences, offset) => {
      const tensors = { keyMask, sequences, offset: offset ?? options.offset };
      const h = this.decode(this.embed(ids), { ...options, ...tensors });
      return this.logits(h);
    });
  }

  /**
   * Cross-entropy of next tokens, the mean over all labels of the batch that count. Differentiable in the parameters; the
   * logits are never in memory as a whole.
   *
   *   loss = -1/n sum over counted (b, t) of log softmax(logits[b, t - 1])[labels[b, t]]
   *
   * The label of a token stands at its own place: the first of a row is never counted. Nor may the first of another text be
   * that lies behind it: `packBatch` makes such labels.
   *
   * @param ids                [B, T] i32, rows padded on the right with any id
   * @param labels             [B, T] i32, ids of the vocabulary, or `IGNORED`; default: ids, all of which count
   * @param options.sequences  where texts begin that lie behind each other in each row, as `attention` takes them
   * @returns                  [1]; 0 where no label counts
   * @throws ShapeError when labels do not have the shape of ids; UseError for more tokens than the context has, of which
   *   sequences are not asked, and for sequences without labels
   * Source: transformers, loss/loss_utils.py.
   */
  loss(ids: Tensor, labels: Tensor = ids, options: Pick<DecoderOptions, 'sequences'> = {}): Tensor<'f32'> {
    expectKeys('LanguageModel.loss', options, { sequences: true });
    expectDType('LanguageModel.loss', 'labels', labels, 'i32');
    expect(
      ids.shape.length === 2 && ids.shape.join() === labels.shape.join() && ids.shape[1] > 1,
      'LanguageModel.loss',
      'ids and labels must be [B, T] with T of at least 2',
      `ids [${ids.shape}] and labels [${labels.shape}]`,
    );
    const { sequences } = options;
    if (sequences && labels === ids)
      throw new UseError(
        'LanguageModel.loss: labels must be given beside sequences, whose first tokens do not count, got none. Take those of packBatch.',
      );
    const length = ids.shape[1] - 1; // the last token of a row predicts nothing that is known
    if (!sequences) expectContext('LanguageModel.loss', this.config, length);
    return tidy([ids, labels, sequences], (ids, labels, sequences) => {
      const h = this.decode(this.embed(slice(ids, { axis: 1, length })), { sequences });
      const wanted = slice(labels, { axis: 1, start: 1, length });
      return linearCrossEntropy(h, this.head, wanted, { ignoreIndex: IGNORED });
    });
  }

  /** Frees the weights, their gradients, and nothing else. */
  dispose(): void {
    this.parameters.dispose();
    this.#weights.dispose();
    this.#frequencies.dispose();
  }

  /** As `dispose`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** @throws UseError for more tokens than the context has */
export function expectContext(op: string, { contextLength }: LanguageConfig, tokens: number): void {
  if (tokens > contextLength)
    throw new UseError(
      `${op}: a text must have at most the ${contextLength} tokens of the context, got ${tokens}. Shorten it.`,
    );
}
