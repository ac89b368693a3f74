// Both towers and the logit scalars: what one checkpoint holds.
import {
  clamp,
  type Engine,
  noGrad,
  type ParameterSpec,
  ParameterStore,
  Random,
  type Scope,
  Tensor,
  UseError,
  Weights,
} from '../../engine/index.ts';
import {
  CheckpointReader,
  type FillOptions,
  type OpenOptions,
  type WeightDType,
} from './checkpoint/checkpoint.ts';
import type { CheckpointSource } from './checkpoint/files.ts';
import { draw, type InitOptions, planParameters } from './checkpoint/init.ts';
import { expectMemory, freeBytes, type MemoryNeed, memoryNeed } from './checkpoint/memory.ts';
import { type SaveOptions, saveCheckpoint } from './checkpoint/writer.ts';
import type { ModelConfig } from './config/config.ts';
import { encode, encodeList } from './encode.ts';
import type { Encoding } from './encoding.ts';
import { type LooksOptions, looks, type View } from './looks.ts';
import { type EncodeOptions, textIds } from './query.ts';
import { imageFeatures, type PoolOptions, type Similarity, similarity } from './similarity.ts';
import { encodeText, type TextOutput } from './text/text.ts';
import type { Tokenizer } from './text/tokenizer.ts';
import { VisionModel } from './vision/vision.ts';

/**
 * Optimizer groups. Tensors of fewer than two dimensions are not decayed. What only PS3 has is apart from the two
 * towers, so that these can be trained alone.
 */
export const GROUPS: readonly { readonly tower: boolean; readonly decay: boolean }[] = [
  { tower: true, decay: true },
  { tower: true, decay: false },
  { tower: false, decay: true },
  { tower: false, decay: false },
];

/** Parameters that a plain image-text model has too. */
function isTower(name: string): boolean {
  if (name.startsWith('text_model.')) return !name.startsWith('text_model.prompt_proj.');
  return name.startsWith('vision_model.trunk.') || name.startsWith('logit_');
}

/** How a checkpoint is loaded. */
export interface LoadOptions extends OpenOptions, Omit<FillOptions, 'prefix'> {
  /** How matrices and tables are kept; default f32, which can also be trained. 'stored': as the file has them. */
  readonly storage?: WeightDType | 'stored';
  /** Refuse models that need more; default: the free memory of the machine where a software adapter uses that. */
  readonly memoryLimitBytes?: number;
}

/** What an empty model is made with. */
export interface AllocateOptions {
  /** The one that the text tower was or will be trained with. */
  readonly tokenizer?: Tokenizer;
  /** How a weight is kept; f32 by default. */
  readonly dtypeOf?: (name: string) => WeightDType;
}

/** A PS3 model: both towers over one store of parameters, under the official names. Dispose it when done. */
export class PS3 {
  /** What the model is made of. */
  readonly config: ModelConfig;
  /** All weights, under the official names. */
  readonly parameters: ParameterStore;
  /** The image side. */
  readonly vision: VisionModel;
  readonly #tokenizer: Tokenizer | undefined;

  /** @param tokenizer  the one that the text tower was or will be trained with */
  constructor(config: ModelConfig, parameters: ParameterStore, tokenizer?: Tokenizer) {
    this.config = config;
    this.parameters = parameters;
    this.#tokenizer = tokenizer;
    this.vision = new VisionModel(config.vision, config.image, new Weights(parameters, 'vision_model.'));
  }

  /**
   * Loads a checkpoint. Weights stream to the GPU a piece at a time: the host holds 16 MiB of them.
   *
   * ```ts
   * using ps3 = await PS3.load(engine, 'hf://nvidia/PS3-4K-SigLIP', { storage: 'bf16' });
   * ```
   *
   * @throws ConfigError: one error that lists every missing, unknown, misshapen and repeated tensor
   * @throws MemoryError when weights and one look do not fit; it says what would
   * @throws SafetensorsError, TokenizerError, and the signal's reason
   */
  static async load(engine: Engine, source: CheckpointSource, options: LoadOptions = {}): Promise<PS3> {
    await using file = await CheckpointReader.open(source, options);
    const { storage = 'f32', memoryLimitBytes = await freeBytes(engine) } = options;
    const { config, tokenizer } = file;
    const make = (as: WeightDType | 'stored'): PS3 =>
      PS3.allocate(engine, config, { tokenizer, dtypeOf: (name) => file.storageOf(name, as) });
    const needAs = (as: WeightDType | 'stored'): MemoryNeed => memoryNeed(engine, () => make(as));
    expectMemory(memoryLimitBytes, storage, needAs);
    const model = make(storage);
    try {
      await file.fill(model.parameters, options);
    } catch (error) {
      model.dispose();
      throw error;
    }
    return model;
  }

  /** Makes a model whose weights are zero. */
  static allocate(engine: Engine, config: ModelConfig, { tokenizer, dtypeOf }: AllocateOptions = {}): PS3 {
    const specs: ParameterSpec[] = [...planParameters(config)].map(([name, { shape }]) => ({
      name,
      shape,
      dtype: dtypeOf?.(name),
      group: (isTower(name) ? 0 : 2) + (shape.length >= 2 ? 0 : 1),
    }));
    return new PS3(config, new ParameterStore(engine, specs), tokenizer);
  }

  /** Makes a model with random weights. Same seed, same bits, in any runtime. */
  static create(
    engine: Engine,
    config: ModelConfig,
    seed: number,
    options: InitOptions & { tokenizer?: Tokenizer } = {},
  ): PS3 {
    const model = PS3.allocate(engine, config, options);
    let stream = 0;
    for (const [name, parameter] of planParameters(config, options))
      model.parameters.get(name).write(draw(parameter, new Random(seed, ++stream)));
    return model;
  }

  /** Writes a checkpoint folder that `load`, and the official code, read. Node and Deno only. */
  save(folder: string, options: SaveOptions = {}): Promise<void> {
    return saveCheckpoint(folder, this, options);
  }

  /** Turns texts into the ids that the text tower reads. @throws UseError when the model came without one */
  get tokenizer(): Tokenizer {
    if (!this.#tokenizer)
      throw new UseError('ps3: the model must have a tokenizer to read texts, got none. Pass token ids.');
    return this.#tokenizer;
  }

  /** Logarithm of the factor on cosines, [1]. */
  get logitScale(): Tensor {
    return this.parameters.get('logit_scale');
  }

  /** Added to the scaled cosines, [1]. */
  get logitBias(): Tensor {
    return this.parameters.get('logit_bias');
  }

  /**
   * Encodes pictures for use, without gradients; `vision` has the same for training.
   *
   * ```ts
   * using out = await ps3.encode(image, { prompt: 'red apple', looks: 2 });
   * const tokens = await out.lastHiddenState.data(); // [B, N + K, C]
   * ```
   *
   * @param image  [B, H, W, 4] u8 of side max(scalesPx) (other sizes are resampled), or [B, 3, H, W] f32 normalised
   * @throws ShapeError for impossible looks, tokens, maps or regions; UseError when prompt, region and selectionMaps
   *   are not one at most, or a text comes without a tokenizer
   * Source: Shi et al. 2025, arXiv:2503.19903.
   */
  encode(image: Tensor, options?: EncodeOptions): Promise<Encoding>;
  /**
   * Encodes a list of pictures of any sizes, those of equal size together.
   *
   * @param images   [1, H, W, 4] u8 or [1, 3, H, W] f32 each
   * @param options  of the whole list: one prompt, region or map for all, or one per picture
   * @returns        one encoding per picture, in their order, each living where its picture lives
   */
  encode(images: readonly Tensor[], options?: EncodeOptions): Promise<Encoding[]>;
  encode(images: Tensor | readonly Tensor[], options: EncodeOptions = {}): Promise<Encoding | Encoding[]> {
    return images instanceof Tensor ? encode(this, images, options) : encodeList(this, images, options);
  }

  /**
   * Encodes look by look, so that a page sharpens while its user watches: first the low-res tokens with the maps of
   * where to look, then what each look saw. A view comes when the GPU has finished it, and lives where the picture
   * lives; what the looks share is freed when the loop ends, however it ends.
   *
   * ```ts
   * for await (const view of ps3.looks(image, { prompt: 'red apple', looks: 3 })) await draw(view);
   * ```
   *
   * @throws as `encode`, and the signal's reason
   */
  looks(image: Tensor, options: LooksOptions = {}): AsyncGenerator<View, void, undefined> {
    return looks(this, image, options);
  }

  /**
   * The text tower.
   *
   * @param texts  one or several, read without gradients; the caller disposes the results unless there is a scope.
   *   Or token ids [B, L] u32 or i32, L <= contextLength, with gradients; results live where these live
   * @throws UseError for texts when the model came without a tokenizer
   */
  encodeText(
    texts: string | readonly string[] | Tensor,
    { scope }: { readonly scope?: Scope } = {},
  ): TextOutput {
    const encode = (ids: Tensor): TextOutput =>
      encodeText(ids, new Weights(this.parameters, 'text_model.'), this.config.text);
    if (texts instanceof Tensor) return encode(texts);
    using ids = textIds(this, typeof texts === 'string' ? [texts] : texts, scope);
    return noGrad(() => encode(ids));
  }

  /**
   * Pooled feature of pictures, to compare with the `features` of texts: final norm, then attention pooling.
   *
   * @returns  [B, E], normalised
   * @throws ShapeError for high-res tokens of an encoding that looked at none
   */
  imageFeatures(encoding: Encoding, options: PoolOptions = {}): Tensor {
    return imageFeatures(this, encoding, options);
  }

  /**
   * How well texts describe pictures.
   *
   *   logit[b, t] = exp(logit scale) cos(image b, text t) + logit bias,   probability = sigmoid(logit)
   *
   * @param image  an encoding, or a picture to look at once (not at all for low-res tokens)
   * @param texts  T texts, or token ids [T, L]
   * @throws as `encode` and `imageFeatures`
   * Source: Zhai et al. 2023, arXiv:2303.15343.
   */
  similarity(
    image: Tensor | Encoding,
    texts: string | readonly string[] | Tensor,
    options: PoolOptions = {},
  ): Promise<Similarity> {
    return similarity(this, image, texts, options);
  }

  /** Keeps the logit scale within [0, ln 100], as after every optimizer step of SigLIP. */
  clampLogitScale(): void {
    const { logitScale } = this;
    using plain = logitScale.detach();
    using clamped = clamp(plain, 0, Math.log(100));
    logitScale.gpu.copy(clamped.range, logitScale.range);
  }

  /** Frees the weights, their gradients, and nothing else. */
  dispose(): void {
    this.parameters.dispose();
  }

  /** As `dispose`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}
