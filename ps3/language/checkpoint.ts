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
  type TensorToWrite,
  UseError,
} from '../../engine/index.ts';
import {
  type FillOptions,
  inGoes,
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
import { total } from '../model/config/config.ts';
import { type LanguageConfig, parseLanguageConfig, toLanguageHubConfig } from './config.ts';
import {
  formatOf,
  type IntegerFormat,
  type IntegerPart,
  integerParts,
  integersToWrite,
  isShape,
  parseIntegerFormat,
  readIntegers,
  toQuantizationConfig,
} from './integers.ts';
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
  /** Tensors in floats, by name. */
  readonly #parts: ReadonlyMap<string, StoredPart>;
  /** Tensors of matrices in integers, by name. */
  readonly #integerParts: ReadonlyMap<string, IntegerPart>;
  /** Parameters that are stored in integers. */
  readonly #integers: ReadonlySet<string>;
  readonly #format: IntegerFormat | undefined;
  readonly #files: readonly SafetensorsFile[];
  /** How the tensors of a parameter are stored. */
  readonly #dtypes = new Map<string, WeightDType>();

  private constructor(
    config: LanguageConfig,
    tokenizer: LanguageTokenizer | undefined,
    stored: StoredTensors,
    format: IntegerFormat | undefined,
    files: readonly SafetensorsFile[],
  ) {
    const { floats: parts, integers } = stored;
    this.config = config;
    this.tokenizer = tokenizer;
    this.#parts = parts;
    this.#integerParts = integers;
    this.#integers = new Set([...integers.values()].map(({ parameter }) => parameter));
    this.#format = format;
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
      const format = parseIntegerFormat(json);
      const tensors = new Map(weights.flatMap(({ tensors }) => [...tensors]));
      const embedding = tensors.get(EMBEDDING) ?? tensors.get(`${EMBEDDING}_packed`);
      const config = parseLanguageConfig(json, embedding?.shape[0]);
      const stored = storedTensors(config, format, (name) => tensors.has(name));
      // Some files of tied models have the head a second time, and old ones the rotation's frequencies.
      const isOptional = (name: string): boolean =>
        name === HEAD || name.endsWith('.rotary_emb.inv_freq') || (format !== undefined && isShape(name));
      matchTensors(files, new Map([...stored.floats, ...stored.integers]), weights, isOptional);
      return new LanguageReader(config, tokenizer, stored, format, weights);
    } catch (error) {
      await Promise.all(weights.map((file) => file.close()));
      throw error;
    }
  }

  /** Of all weights as they are stored. */
  get storedBytes(): number {
    const isOwn = (name: string): boolean => this.#parts.has(name) || this.#integerParts.has(name);
    const sizes = this.#files.flatMap(({ tensors }) =>
      [...tensors].map(([name, { sizeBytes }]) => (isOwn(name) ? sizeBytes : 0)),
    );
    return total(sizes);
  }

  /** How matrices and tables are kept where nobody says: as they are, if they are in integers, or else in f32. */
  get defaultStorage(): LanguageStorage {
    return this.#format ? 'stored' : 'f32';
  }

  /** How a parameter is kept on the GPU: matrices and tables as asked for, vectors in f32. */
  storageOf(
    name: string,
    shape: readonly number[],
    storage: LanguageStorage,
  ): Exclude<LanguageStorage, 'stored'> {
    if (shape.length < 2) return 'f32';
    if (this.#format && this.#integers.has(name)) return `int${this.#format.bits}`;
    return storage === 'stored' ? this.#dtypes.get(name)! : storage;
  }

  /**
   * Matrices and tables that are kept in integers: those that are stored so, and those that are quantised as they are read,
   * one after the other, in groups of 32 neighbours.
   *
   * @throws UseError for integers to be kept in another way; ShapeError for rows to be quantised that do not divide by 32
   */
  async integers(
    engine: Engine,
    plan: ReadonlyMap<string, ParameterPlan>,
    storage: LanguageStorage,
    options: Pick<FillOptions, 'signal' | 'onProgress'> = {},
  ): Promise<Map<string, QuantizedMatrix>> {
    const bits = storage === 'int4' ? 4 : storage === 'int8' ? 8 : undefined;
    const format = this.#format;
    if (!format) return bits ? this.#quantized(engine, plan, bits, options) : new Map();
    if (storage !== 'stored' && bits !== format.bits)
      throw new UseError(
        `${OP}: weights stored in integers of ${format.bits} bits must be kept as they are, got storage ${storage}. Leave it out.`,
      );
    const shapes = new Map([...this.#integers].map((name) => [name, plan.get(name)!.shape]));
    return readIntegers(engine, shapes, this.#integerParts, this.#files, format, options);
  }

  async #quantized(
    engine: Engine,
    plan: ReadonlyMap<string, ParameterPlan>,
    bits: 4 | 8,
    { signal, onProgress }: Pick<FillOptions, 'signal' | 'onProgress'>,
  ): Promise<Map<string, QuantizedMatrix>> {
    const made = new Map<string, QuantizedMatrix>();
    const go = inGoes(onProgress, this.storedBytes);
    try {
      for (const [name, { shape }] of plan) {
        if (shape.length < 2) continue;
        const one = new ParameterStore(engine, [{ name, shape, dtype: this.#dtypes.get(name) }]);
        try {
          await this.fill(one, { signal, ...go() });
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

/** The tensors of a checkpoint, by name. */
interface StoredTensors {
  readonly floats: ReadonlyMap<string, StoredPart>;
  readonly integers: ReadonlyMap<string, IntegerPart>;
}

/** What a checkpoint must hold; in integers are the parameters of which it has any. */
function storedTensors(
  config: LanguageConfig,
  format: IntegerFormat | undefined,
  has: (name: string) => boolean,
): StoredTensors {
  const parts = [...storedParts(config)];
  if (!format) return { floats: new Map(parts), integers: new Map() };
  const packed = new Set(
    parts.flatMap(([name, { parameter }]) => (has(`${name}_packed`) ? [parameter] : [])),
  );
  const isPacked = ([, { parameter }]: [string, StoredPart]): boolean => packed.has(parameter);
  return {
    floats: new Map(parts.filter((part) => !isPacked(part))),
    integers: new Map(parts.filter(isPacked).flatMap(([name, part]) => integerParts(name, part, format))),
  };
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
 * Writes a folder that `LanguageModel.load`, and transformers, read; the weights last. Integers are written as they are.
 *
 * @param files  of JSON, by name: the tokenizer's
 */
export async function saveLanguage(
  folder: string,
  model: {
    readonly config: LanguageConfig;
    readonly parameters: ParameterStore;
    readonly integers: ReadonlyMap<string, QuantizedMatrix>;
  },
  files: Readonly<Record<string, unknown>>,
  options: Omit<SaveOptions, 'untied'> = {},
): Promise<void> {
  expectKeys('LanguageModel.save', options, { storage: true, shardBytes: true });
  const { storage, shardBytes = 5e9 } = options;
  const { config, parameters, integers } = model;
  const parts = [...storedParts(config)];
  const [first] = integers.values();
  const floats = parts.filter(([, { parameter, shape }]) => shape.length > 1 && !integers.has(parameter));
  const ignore = floats.map(([name]) => name.replace(/\.weight$/, ''));
  await makeFolder(folder);
  await writeJson(folder, 'config.json', {
    ...toLanguageHubConfig(config),
    ...(first && { quantization_config: toQuantizationConfig(formatOf(first), ignore) }),
  });
  for (const [name, value] of Object.entries(files)) await writeJson(folder, name, value);
  const tensors = parts.flatMap(([name, part]): TensorToWrite[] => {
    const { parameter, start, shape } = part;
    const matrix = integers.get(parameter);
    if (matrix) return integersToWrite(name, part, matrix);
    const tensor = parameters.get(parameter);
    const read = async (): Promise<Numbers> => {
      using rows = tensor.view(start, shape);
      return (await rows.data()) as Numbers;
    };
    return [tensorToWrite(name, { shape, dtype: tensor.dtype as WeightDType, read }, storage)];
  });
  await writeWeights(folder, tensors, shardBytes);
}
