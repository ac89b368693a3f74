// A language model's folder in the layout of the hub: config.json, tokenizer files, and model.safetensors or its shards.
import {
  type Engine,
  expectKeys,
  makeFolder,
  ParameterStore,
  type QuantizedMatrix,
  quantize,
  type SafetensorsFile,
  size,
} from '../../engine/index.ts';
import {
  type FillOptions,
  matchTensors,
  openWeights,
  readJson,
  STORED,
  streamWeights,
  WEIGHTS,
  type WeightDType,
} from '../model/checkpoint/checkpoint.ts';
import { type CheckpointSource, checkpointFiles, type DownloadOptions } from '../model/checkpoint/files.ts';
import type { ParameterPlan } from '../model/checkpoint/init.ts';
import {
  type Numbers,
  type SaveOptions,
  tensorToWrite,
  writeJson,
  writeWeights,
} from '../model/checkpoint/writer.ts';
import { type LanguageConfig, parseLanguageConfig, toLanguageHubConfig } from './config.ts';
import { EMBEDDING, HEAD, type StoredPart, storedParts } from './parameters.ts';
import type { LanguageTokenizer } from './tokenizer.ts';
import { readLanguageTokenizer } from './tokenizer_files.ts';

const OP = 'LanguageModel.load';

/** How matrices and tables are kept: as floats, as the file has them, or quantised to integers, for inference. */
export type LanguageStorage = WeightDType | 'stored' | 'int8' | 'int4';

/** An open checkpoint whose names and shapes are checked; nothing of its weights is read. */
export class LanguageReader implements AsyncDisposable {
  /** What the model is made of. */
  readonly config: LanguageConfig;
  /** Undefined where the folder has none. */
  readonly tokenizer: LanguageTokenizer | undefined;
  readonly #parts: ReadonlyMap<string, StoredPart>;
  readonly #files: readonly SafetensorsFile[];
  /** How the tensors of a parameter are stored. */
  readonly #dtypes = new Map<string, WeightDType>();

  private constructor(
    config: LanguageConfig,
    tokenizer: LanguageTokenizer | undefined,
    parts: ReadonlyMap<string, StoredPart>,
    files: readonly SafetensorsFile[],
  ) {
    this.config = config;
    this.tokenizer = tokenizer;
    this.#parts = parts;
    this.#files = files;
    for (const file of files)
      for (const [name, { dtype }] of file.tensors) {
        const part = parts.get(name);
        if (part) this.#dtypes.set(part.parameter, STORED[dtype]!);
      }
  }

  /**
   * Reads configuration, tokenizer and the headers of the weights.
   *
   * @throws ConfigError: for what is not built; one error that lists every missing, unknown, misshapen and repeated tensor
   * @throws SafetensorsError, TokenizerError
   */
  static async open(source: CheckpointSource, options: DownloadOptions = {}): Promise<LanguageReader> {
    const files = checkpointFiles(source, options, OP);
    const json = await readJson(files, 'config.json');
    const tokenizer = await readLanguageTokenizer(files);
    const weights = await openWeights(files, WEIGHTS);
    try {
      const embedding = weights.find(({ tensors }) => tensors.has(EMBEDDING))?.tensors.get(EMBEDDING);
      const config = parseLanguageConfig(json, embedding?.shape[0]);
      const parts = storedParts(config);
      // Some files of tied models have the head a second time, and old ones the rotation's frequencies.
      const isOptional = (name: string): boolean => name === HEAD || name.endsWith('.rotary_emb.inv_freq');
      matchTensors(files, parts, weights, isOptional);
      return new LanguageReader(config, tokenizer, parts, weights);
    } catch (error) {
      await Promise.all(weights.map((file) => file.close()));
      throw error;
    }
  }

  /** How a parameter is kept on the GPU: matrices and tables as asked for, vectors in f32. */
  storageOf(name: string, shape: readonly number[], storage: WeightDType | 'stored'): WeightDType {
    if (shape.length < 2) return 'f32';
    return storage === 'stored' ? this.#dtypes.get(name)! : storage;
  }

  /**
   * Reads matrices and tables one after the other and keeps them in integers; groups are 32 neighbours.
   *
   * @throws ShapeError for one whose rows do not divide by 32
   */
  async quantized(
    engine: Engine,
    plan: ReadonlyMap<string, ParameterPlan>,
    bits: 4 | 8,
    { signal }: Pick<FillOptions, 'signal'> = {},
  ): Promise<Map<string, QuantizedMatrix>> {
    const made = new Map<string, QuantizedMatrix>();
    try {
      for (const [name, { shape }] of plan) {
        if (shape.length < 2) continue;
        const one = new ParameterStore(engine, [{ name, shape, dtype: this.#dtypes.get(name) }]);
        try {
          await this.fill(one, { signal });
          made.set(name, quantize(one.get(name), { bits }));
          await one.get(name).ready();
        } finally {
          one.dispose();
        }
      }
      return made;
    } catch (error) {
      for (const matrix of made.values()) matrix.dispose();
      throw error;
    }
  }

  /** Streams the weights of a store's parameters into their places. */
  fill(parameters: ParameterStore, options: Omit<FillOptions, 'prefix'> = {}): Promise<void> {
    return fillLanguage(parameters, this.#parts, this.#files, options);
  }

  /** Closes the files. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#files.map((file) => file.close()));
  }
}

/** Streams the tensors of files into the parameters that hold them. @param prefix  before their names; others are left alone */
export function fillLanguage(
  parameters: ParameterStore,
  parts: ReadonlyMap<string, StoredPart>,
  files: readonly SafetensorsFile[],
  { prefix = '', ...options }: FillOptions = {},
): Promise<void> {
  return streamWeights(parameters, files, options, (stored) => {
    const part = stored.startsWith(prefix) ? parts.get(stored.slice(prefix.length)) : undefined;
    if (!part || !parameters.has(part.parameter)) return [];
    return [{ name: part.parameter, start: part.start, length: size(part.shape), storedStart: 0 }];
  });
}

/**
 * Writes a folder that `LanguageModel.load`, and transformers, read; the weights last.
 *
 * @param files  of JSON, by name: the tokenizer's
 */
export async function saveLanguage(
  folder: string,
  model: { readonly config: LanguageConfig; readonly parameters: ParameterStore },
  files: Readonly<Record<string, unknown>>,
  options: Omit<SaveOptions, 'untied'> = {},
): Promise<void> {
  expectKeys('LanguageModel.save', options, { storage: true, shardBytes: true });
  const { storage, shardBytes = 5e9 } = options;
  const { config, parameters } = model;
  await makeFolder(folder);
  await writeJson(folder, 'config.json', toLanguageHubConfig(config));
  for (const [name, value] of Object.entries(files)) await writeJson(folder, name, value);
  const tensors = [...storedParts(config)].map(([name, { parameter, start, shape }]) => {
    const tensor = parameters.get(parameter);
    const read = async (): Promise<Numbers> => {
      using rows = tensor.view(start, shape);
      return (await rows.data()) as Numbers;
    };
    return tensorToWrite(name, { shape, dtype: tensor.dtype as WeightDType, read }, storage);
  });
  await writeWeights(folder, tensors, shardBytes);
}
