// The class that people import: loads, makes, saves and runs a language model.
import { type Engine, expectKeys, type ParameterSpec, ParameterStore } from '../../engine/index.ts';
import { type FillOptions, inGoes, type WeightDType } from '../model/checkpoint/checkpoint.ts';
import type { CheckpointSource, DownloadOptions } from '../model/checkpoint/files.ts';
import { drawParameters, specOf } from '../model/checkpoint/init.ts';
import type { SaveOptions } from '../model/checkpoint/writer.ts';
import { LanguageReader, type LanguageStorage, saveLanguage } from './checkpoint.ts';
import { type LanguageConfig, type LanguageSizes, languageConfig } from './config.ts';
import { LanguageCore } from './core.ts';
import {
  type Generated,
  type GeneratedToken,
  type GenerateOptions,
  generate,
  generateAll,
  type Prompt,
} from './generate.ts';
import { planLanguageParameters } from './parameters.ts';
import type { LanguageTokenizer } from './tokenizer.ts';

/** How a language model is loaded. */
export interface LanguageLoadOptions extends DownloadOptions, Omit<FillOptions, 'prefix'> {
  /**
   * How matrices and tables are kept; default f32, which can also be trained, or 'stored' for files in integers. 'stored': as the
   * file has them. 'int8' and 'int4' quantise them as they are loaded, to 8.5 and 4.5 bits a weight.
   */
  readonly storage?: LanguageStorage;
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
  /** The one that the model was or will be trained with. */
  readonly tokenizer?: LanguageTokenizer;
  /** How a parameter is kept; f32 by default. */
  readonly dtypeOf?: (name: string, shape: readonly number[]) => WeightDType;
  /** Whether training leaves a parameter as it is, by its name; none by default. */
  readonly isLocked?: (name: string) => boolean;
}

/** What a new model is made with. */
export interface LanguageCreateOptions extends Omit<LanguageAllocateOptions, 'dtypeOf'> {
  /** Standard deviation of matrices and tables; default 0.02, with which narrow models begin as if they attended to nothing. */
  readonly initialStd?: number;
}

/**
 * A language model of the Qwen2 family. Dispose it when done.
 *
 * Optimizer groups: 0 matrices and tables, 1 vectors, which are usually not decayed.
 */
export class LanguageModel extends LanguageCore {
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
    await using file = await LanguageReader.open(source, options);
    const { storage = file.defaultStorage, isLocked } = options;
    const plan = planLanguageParameters(file.config);
    const go = inGoes(options.onProgress, file.storedBytes);
    const integers = await file.integers(engine, plan, storage, { ...options, ...go() });
    const specs = [...plan].flatMap(([name, { shape }]): ParameterSpec[] =>
      integers.has(name)
        ? []
        : [specOf(name, shape, file.storageOf(name, shape, storage) as WeightDType, isLocked)],
    );
    const parameters = new ParameterStore(engine, specs);
    const model = new LanguageModel(engine, file.config, parameters, file.tokenizer, integers);
    try {
      await file.fill(model.parameters, { ...options, ...go() });
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
    expectKeys('LanguageModel.allocate', options, { tokenizer: true, dtypeOf: true, isLocked: true });
    const { tokenizer, dtypeOf, isLocked } = options;
    const specs = [...planLanguageParameters(config)].map(([name, { shape }]) =>
      specOf(name, shape, dtypeOf?.(name, shape), isLocked),
    );
    return new LanguageModel(engine, config, new ParameterStore(engine, specs), tokenizer);
  }

  /**
   * Makes a model with random weights, N(0, initialStd²), norms 1 and biases 0. Same seed, same bits, in any runtime.
   *
   * @param sizes  its vocabulary is by default the tokenizer's
   * @throws ConfigError for sizes that do not go together
   */
  static create(
    engine: Engine,
    sizes: LanguageSizes,
    seed: number,
    options: LanguageCreateOptions = {},
  ): LanguageModel {
    expectKeys('LanguageModel.create', options, { tokenizer: true, isLocked: true, initialStd: true });
    const { initialStd, ...others } = options;
    const config = languageConfig({ vocabSize: options.tokenizer?.vocabSize, ...sizes });
    const model = LanguageModel.allocate(engine, config, others);
    drawParameters(model.parameters, planLanguageParameters(config, initialStd), seed);
    return model;
  }

  /**
   * Writes a folder that `load`, and transformers, read: weights in integers as they are, in the format `pack-quantized` of
   * compressed-tensors. Node and Deno only.
   */
  async save(folder: string, options: Omit<SaveOptions, 'untied'> = {}): Promise<void> {
    return saveLanguage(folder, this, this.hasTokenizer ? this.tokenizer.toJSON() : {}, options);
  }

  /**
   * Goes on with a text, token by token as they come. Leave the loop to end it early.
   *
   * ```ts
   * for await (const { text } of model.generate([{ role: 'user', content: 'Why is the sky blue?' }])) write(text);
   * ```
   *
   * @throws ShapeError for options out of range and ids beyond the vocabulary; UseError for a prompt that fills the context
   *   and for texts without a tokenizer; the signal's reason
   */
  generate(prompt: Prompt, options: GenerateOptions = {}): AsyncGenerator<GeneratedToken, void, undefined> {
    return generate('LanguageModel.generate', this, prompt, options);
  }

  /**
   * Goes on with several texts at once, as a batch.
   *
   * @returns  one answer per prompt, in their order; what is drawn depends on its place in the list
   * @throws as `generate`
   */
  generateAll(prompts: readonly Prompt[], options: GenerateOptions = {}): Promise<Generated[]> {
    return generateAll('LanguageModel.generateAll', this, prompts, options);
  }
}
