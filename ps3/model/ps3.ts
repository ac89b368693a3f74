// The class that people import: loads, makes and saves a model, encodes images and compares them with texts.
import { type Engine, expectKeys, Tensor } from '../../engine/index.ts';
import {
  CheckpointReader,
  type FillOptions,
  type OpenOptions,
  type WeightDType,
} from './checkpoint/checkpoint.ts';
import type { CheckpointSource } from './checkpoint/files.ts';
import { drawParameters, type InitOptions, planParameters } from './checkpoint/init.ts';
import { expectMemory, freeBytes, type MemoryNeed, memoryNeed } from './checkpoint/memory.ts';
import { SiglipReader } from './checkpoint/siglip.ts';
import { type SaveOptions, saveCheckpoint } from './checkpoint/writer.ts';
import type { ModelConfig } from './config/config.ts';
import type { LookSizes } from './config/look_sizes.ts';
import { type AllocateOptions, allocateParameters, type IsLocked, ModelCore } from './core.ts';
import { encode, encodeList } from './encode.ts';
import type { Encoding } from './encoding.ts';
import { type LookResult, looks, type StreamOptions } from './looks.ts';
import { isTower, partOf } from './parts.ts';
import type { EncodeOptions } from './query.ts';
import { imageFeatures, type PoolOptions, type Similarity, similarity } from './similarity.ts';
import type { Tokenizer } from './text/tokenizer.ts';

/** How a checkpoint is loaded. */
export interface LoadOptions extends OpenOptions, Omit<FillOptions, 'prefix'> {
  /** How matrices and tables are kept; default f32, which can also be trained. 'stored': as the file has them. */
  readonly storage?: WeightDType | 'stored';
  /** Refuse models that need more; default: the free memory of the machine where a software adapter uses that. */
  readonly memoryLimitBytes?: number;
  /** Which weights training leaves as they are; none by default. */
  readonly isLocked?: IsLocked;
}

const LOAD_OPTIONS = {
  hubUrl: true,
  accessToken: true,
  fetch: true,
  tokenizer: true,
  onProgress: true,
  signal: true,
  storage: true,
  memoryLimitBytes: true,
  isLocked: true,
} as const;

/** What a new model is made with. */
export interface CreateOptions extends InitOptions {
  /** The one that the text tower will be trained with. */
  readonly tokenizer?: Tokenizer;
  /** Which weights training leaves as they are; none by default. */
  readonly isLocked?: IsLocked;
}

/** How a PS3 begins with the towers of a SigLIP checkpoint. */
export interface StartOptions
  extends OpenOptions,
    Omit<FillOptions, 'prefix'>,
    Pick<InitOptions, 'layerScale' | 'positionResidualStd'> {
  /** The scales at which it will see images, and what finds the patches to look at. */
  readonly look: LookSizes;
  /** Decides the values of what only PS3 has. */
  readonly seed: number;
  /** Which weights training leaves as they are; none by default. */
  readonly isLocked?: IsLocked;
}

const CREATE_OPTIONS = {
  tokenizer: true,
  isLocked: true,
  layerScale: true,
  positionResidualStd: true,
  logitScale: true,
  logitBias: true,
} as const;

const { storage: _storage, memoryLimitBytes: _limit, ...READING_OPTIONS } = LOAD_OPTIONS;
const START_OPTIONS = {
  ...READING_OPTIONS,
  look: true,
  seed: true,
  layerScale: true,
  positionResidualStd: true,
} as const;

/** A PS3 model: both towers over one store of parameters, under the official names. Dispose it when done. */
export class PS3 extends ModelCore {
  /**
   * Loads a checkpoint. Weights stream to the GPU a piece at a time: the host holds 16 MiB of them.
   *
   * ```ts
   * using ps3 = await PS3.load(engine, 'hf://nvidia/PS3-4K-SigLIP', { storage: 'bf16' });
   * ```
   *
   * @throws ConfigError: one error that lists every missing, unknown, misshapen and repeated tensor
   * @throws MemoryError when weights and one look do not fit; it says what would
   * @throws SafetensorsError, TokenizerError, ShapeError for unknown options, and the signal's reason
   */
  static async load(engine: Engine, source: CheckpointSource, options: LoadOptions = {}): Promise<PS3> {
    expectKeys('PS3.load', options, LOAD_OPTIONS);
    await using file = await CheckpointReader.open(source, options);
    const { storage = 'f32', memoryLimitBytes = await freeBytes(engine), isLocked } = options;
    const { config, tokenizer } = file;
    const make = (as: WeightDType | 'stored'): PS3 =>
      PS3.allocate(engine, config, { tokenizer, isLocked, dtypeOf: (name) => file.storageOf(name, as) });
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
  static allocate(engine: Engine, config: ModelConfig, options: AllocateOptions = {}): PS3 {
    expectKeys('PS3.allocate', options, { tokenizer: true, dtypeOf: true, isLocked: true });
    const { tokenizer, ...store } = options;
    return new PS3(config, allocateParameters(engine, config, store), tokenizer);
  }

  /** Makes a model with random weights. Same seed, same bits, in any runtime. */
  static create(engine: Engine, config: ModelConfig, seed: number, options: CreateOptions = {}): PS3 {
    expectKeys('PS3.create', options, CREATE_OPTIONS);
    const { tokenizer, isLocked, ...initial } = options;
    const model = PS3.allocate(engine, config, { tokenizer, isLocked });
    drawParameters(model.parameters, planParameters(config, initial), seed);
    return model;
  }

  /**
   * Makes a model that begins with a SigLIP or SigLIP 2 image-text checkpoint, in open_clip's files or in transformers':
   * towers, pooling head, logit scale and bias are those of the checkpoint, and what only PS3 has is random. Weights
   * stream to the GPU as in `load`.
   *
   * @throws ConfigError for sizes that do not go together, and: one error that lists every missing, unknown, misshapen and
   *   repeated tensor
   * @throws SafetensorsError, TokenizerError, ShapeError for unknown options, and the signal's reason
   * Source: Shi et al. 2025, arXiv:2503.19903, pre-training begins so.
   */
  static async start(engine: Engine, source: CheckpointSource, options: StartOptions): Promise<PS3> {
    expectKeys('PS3.start', options, START_OPTIONS);
    const { look, seed, isLocked, layerScale, positionResidualStd, ...reading } = options;
    await using file = await SiglipReader.open(source, look, reading);
    const model = PS3.allocate(engine, file.config, { tokenizer: file.tokenizer, isLocked });
    try {
      const plan = planParameters(file.config, { layerScale, positionResidualStd });
      drawParameters(model.parameters, plan, seed, (name) => !isTower(partOf(name)));
      await file.fill(model.parameters, reading);
    } catch (error) {
      model.dispose();
      throw error;
    }
    return model;
  }

  /** Writes a checkpoint folder that `load`, and the official code, read. Node and Deno only. */
  save(folder: string, options: SaveOptions = {}): Promise<void> {
    return saveCheckpoint(folder, this, options);
  }

  /**
   * Encodes images for use, without gradients; `vision` has the same for training.
   *
   * ```ts
   * using out = await ps3.encode(image, { prompt: 'red apple', looks: 2 });
   * const tokens = await out.lastHiddenState.data(); // [B, N + K, C]
   * ```
   *
   * @param image  [B, H, W, 4] u8 of side max(scalesPx) (other sizes are resampled), or [B, 3, H, W] f32 normalised
   * @throws ShapeError for unknown options and impossible looks, tokens, maps or regions; UseError when prompt,
   *   region and selectionMaps are not one at most, or a text comes without a tokenizer
   * Source: Shi et al. 2025, arXiv:2503.19903.
   */
  encode(image: Tensor, options?: EncodeOptions): Promise<Encoding>;
  /**
   * Encodes a list of images of any sizes, those of equal size together.
   *
   * @param images   [1, H, W, 4] u8 or [1, 3, H, W] f32 each
   * @param options  of the whole list: one prompt, region or map for all, or one per image
   * @returns        one encoding per image, in their order, each living where its image lives
   */
  encode(images: readonly Tensor[], options?: EncodeOptions): Promise<Encoding[]>;
  encode(images: Tensor | readonly Tensor[], options: EncodeOptions = {}): Promise<Encoding | Encoding[]> {
    return images instanceof Tensor
      ? encode('PS3.encode', this, images, options)
      : encodeList('PS3.encode', this, images, options);
  }

  /**
   * Encodes look by look, so that a page sharpens while its user watches: first the low-res tokens with the maps of
   * where to look, then what each look saw. A result comes when the GPU has finished it, and lives where the image
   * lives; what the looks share is freed when the loop ends, however it ends.
   *
   * ```ts
   * for await (const look of ps3.looks(image, { prompt: 'red apple', looks: 3 })) await draw(look);
   * ```
   *
   * @throws as `encode`, and the signal's reason
   */
  looks(image: Tensor, options: StreamOptions = {}): AsyncGenerator<LookResult, void, undefined> {
    return looks(this, image, options);
  }

  /**
   * Pooled feature of images, to compare with the `features` of texts: final norm, then attention pooling.
   *
   * @returns  [B, E], normalised
   * @throws ShapeError for high-res tokens of an encoding that looked at none
   */
  imageFeatures(encoding: Encoding, options: PoolOptions = {}): Tensor {
    return imageFeatures('PS3.imageFeatures', this, encoding, options);
  }

  /**
   * How well texts describe images.
   *
   *   logit[b, t] = exp(logit scale) cos(image b, text t) + logit bias,   probability = sigmoid(logit)
   *
   * @param image  an encoding, or an image to look at once (not at all for low-res tokens)
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
}
