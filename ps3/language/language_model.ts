// The class that people import: loads, makes, saves and runs a language model.
import {
  type Engine,
  embedding,
  expectKeys,
  linear,
  ParameterStore,
  Random,
  type Tensor,
  tidy,
  UseError,
  Weights,
} from '../../engine/index.ts';
import type { FillOptions, WeightDType } from '../model/checkpoint/checkpoint.ts';
import type { CheckpointSource, DownloadOptions } from '../model/checkpoint/files.ts';
import { draw, startsAsZero } from '../model/checkpoint/init.ts';
import type { SaveOptions } from '../model/checkpoint/writer.ts';
import { LanguageReader, saveLanguage } from './checkpoint.ts';
import { type LanguageConfig, type LanguageSizes, languageConfig } from './config.ts';
import { type DecoderOptions, decode, ropeFrequencies } from './decoder.ts';
import { EMBEDDING, HEAD, planLanguageParameters } from './parameters.ts';

/** How a language model is loaded. */
export interface LanguageLoadOptions extends DownloadOptions, Omit<FillOptions, 'prefix'> {
  /** How matrices and tables are kept; default f32, which can also be trained. 'stored': as the file has them. */
  readonly storage?: WeightDType | 'stored';
  /** Whether training leaves a parameter as it is, by its name; none by default. */
  readonly isLocked?: (name: string) => boolean;
}

const LOAD_OPTIONS = {
  hubUrl: true,
  accessToken: true,
  fetch: true,
  onProgress: true,
  signal: true,
  storage: true,
  isLocked: true,
} as const;

/** What an empty model is made with. */
export interface LanguageAllocateOptions {
  /** How a parameter is kept; f32 by default. */
  readonly dtypeOf?: (name: string, shape: readonly number[]) => WeightDType;
  /** Whether training leaves a parameter as it is, by its name; none by default. */
  readonly isLocked?: (name: string) => boolean;
}

/**
 * A decoder of the Qwen2 family with its embedding and head. Dispose it when done.
 *
 * Optimizer groups: 0 matrices and tables, 1 vectors, which are usually not decayed.
 */
export class LanguageModel implements Disposable {
  /** What the model is made of. */
  readonly config: LanguageConfig;
  /**
   * All weights, by transformers' names but for what one product reads: `self_attn.qkv_proj` has the rows of q, k and v,
   * `mlp.gate_up_proj` those of gate and up.
   */
  readonly parameters: ParameterStore;
  /** Keeps only the inputs of blocks for backward, and runs them again there: memory for time, the same bits. */
  checkpointLayers = false;
  readonly #weights: Weights;
  readonly #frequencies: Tensor;

  private constructor(engine: Engine, config: LanguageConfig, parameters: ParameterStore) {
    this.config = config;
    this.parameters = parameters;
    this.#weights = new Weights(parameters, 'model.');
    this.#frequencies = engine.tensor(ropeFrequencies(config));
  }

  /**
   * Loads a folder of the hub's layout. Weights stream to the GPU a piece at a time: the host holds 16 MiB of them.
   *
   * ```ts
   * using model = await LanguageModel.load(engine, 'hf://Qwen/Qwen2.5-0.5B-Instruct', { storage: 'bf16' });
   * ```
   *
   * @throws ConfigError for what is not built, and: one error that lists every missing, unknown, misshapen and repeated tensor
   * @throws SafetensorsError, ShapeError for unknown options, and the signal's reason
   */
  static async load(
    engine: Engine,
    source: CheckpointSource,
    options: LanguageLoadOptions = {},
  ): Promise<LanguageModel> {
    expectKeys('LanguageModel.load', options, LOAD_OPTIONS);
    const { storage = 'f32', isLocked } = options;
    await using file = await LanguageReader.open(source, options);
    const model = LanguageModel.allocate(engine, file.config, {
      isLocked,
      dtypeOf: (name, shape) => file.storageOf(name, shape, storage),
    });
    try {
      await file.fill(model.parameters, options);
    } catch (error) {
      model.dispose();
      throw error;
    }
    return model;
  }

  /** Makes a model whose weights are zero. */
  static allocate(
    engine: Engine,
    config: LanguageConfig,
    options: LanguageAllocateOptions = {},
  ): LanguageModel {
    expectKeys('LanguageModel.allocate', options, { dtypeOf: true, isLocked: true });
    const { dtypeOf, isLocked } = options;
    const specs = [...planLanguageParameters(config)].map(([name, { shape }]) => {
      const group = shape.length >= 2 ? 0 : 1;
      return { name, shape, dtype: dtypeOf?.(name, shape), isLocked: isLocked?.(name), group };
    });
    return new LanguageModel(engine, config, new ParameterStore(engine, specs));
  }

  /**
   * Makes a model with random weights, N(0, 0.02²), norms 1 and biases 0. Same seed, same bits, in any runtime.
   *
   * @throws ConfigError for sizes that do not go together
   */
  static create(
    engine: Engine,
    sizes: LanguageSizes & { readonly vocabSize: number },
    seed: number,
    options: Pick<LanguageAllocateOptions, 'isLocked'> = {},
  ): LanguageModel {
    expectKeys('LanguageModel.create', options, { isLocked: true });
    const config = languageConfig(sizes);
    const model = LanguageModel.allocate(engine, config, options);
    let stream = 0;
    for (const [name, parameter] of planLanguageParameters(config)) {
      const random = new Random(seed, ++stream);
      if (!startsAsZero(parameter)) model.parameters.get(name).write(draw(parameter, random));
    }
    return model;
  }

  /** Writes a folder that `load`, and transformers, read. Node and Deno only. */
  save(folder: string, options: Omit<SaveOptions, 'untied'> = {}): Promise<void> {
    return saveLanguage(folder, this, {}, options);
  }

  /** Embeddings of tokens. @param ids  [B, T] i32 or u32 @returns [B, T, D] */
  embed(ids: Tensor): Tensor<'f32'> {
    return embedding(this.parameters.get(EMBEDDING), ids);
  }

  /** Hidden states of embedded tokens, after the final norm: what the head reads. @param x  [B, T, D] @returns [B, T, D] */
  decode(x: Tensor<'f32'>, options: Omit<DecoderOptions, 'checkpointed'> = {}): Tensor<'f32'> {
    const { config } = this;
    const decoder = { config, weights: this.#weights, frequencies: this.#frequencies };
    return decode(decoder, x, { ...options, checkpointed: this.checkpointLayers });
  }

  /** The head: [V, D], which of a tied model is the embedding. */
  get head(): Tensor {
    return this.parameters.get(this.config.isTied ? EMBEDDING : HEAD);
  }

  /**
   * Logits of the next token after each one. Differentiable in the parameters.
   *
   * @param ids  [B, T] i32 or u32, rows padded on the right with any id
   * @returns    [B, T, V]
   * @throws ShapeError when ids are not [B, T]; UseError for more tokens than the context has
   */
  forward(ids: Tensor, options: Omit<DecoderOptions, 'checkpointed'> = {}): Tensor<'f32'> {
    const { keyMask } = options;
    const offset = typeof options.offset === 'object' ? options.offset : undefined;
    this.#expectContext(ids);
    return tidy([ids, keyMask, offset], (ids, keyMask, offset) => {
      const h = this.decode(this.embed(ids), { ...options, keyMask, offset: offset ?? options.offset });
      return linear(h, this.head);
    });
  }

  #expectContext({ shape }: Tensor): void {
    const { contextLength } = this.config;
    const tokens = shape[shape.length - 1];
    if (tokens > contextLength)
      throw new UseError(
        `LanguageModel.forward: a text must have at most the ${contextLength} tokens of the context, got ${tokens}. Shorten it.`,
      );
  }

  /** Frees the weights, their gradients, and nothing else. */
  dispose(): void {
    this.parameters.dispose();
    this.#frequencies.dispose();
  }

  /** As `dispose`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}
