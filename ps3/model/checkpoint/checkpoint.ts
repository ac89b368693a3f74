// A checkpoint in the layout of the published ones: config.json, preprocessor_config.json, the tokenizer, and
// model.safetensors or its shards, under the official names.
import {
  decodeF32,
  f32ToBf16,
  f32ToF16,
  fileSystem,
  openSafetensors,
  type ParameterStore,
  readTextFile,
  type SafetensorsFile,
} from '../../../engine/index.ts';
import { ConfigError, type ModelConfig } from '../config/config.ts';
import { parseHubConfig } from '../config/hub_config.ts';
import { Tokenizer, vocabularyRepo } from '../text/tokenizer.ts';
import {
  type CheckpointFiles,
  type CheckpointSource,
  checkpointFiles,
  type DownloadOptions,
} from './files.ts';
import { planParameters } from './init.ts';

/** How weights of two or more axes are kept; vectors are f32 in any case. */
export type WeightDType = 'f32' | 'f16' | 'bf16';

/** The weights in one file, or the file that names the shards they are in. */
export const WEIGHTS: string = 'model.safetensors';
export const INDEX: string = `${WEIGHTS}.index.json`;

/** How stored floats are kept where nothing else is asked for. */
export const STORED: Readonly<Partial<Record<string, WeightDType>>> = {
  F64: 'f32',
  F32: 'f32',
  F16: 'f16',
  BF16: 'bf16',
};

/** Bytes of a file that are in memory at a time; a multiple of what any binding is aligned to. */
const PIECE_BYTES = 2 ** 24;

/** Uploads that may wait for the GPU, which the host holds until then. */
const UPLOAD_BYTES = 2 ** 24;

/** How a checkpoint is opened. */
export interface OpenOptions extends DownloadOptions {
  /** Where the vocabulary is, for checkpoints that only name it: a place as the checkpoint's own. */
  readonly tokenizer?: CheckpointSource;
}

/** An open checkpoint whose names and shapes are checked; nothing of its weights is read. */
export class CheckpointReader implements AsyncDisposable {
  /** What the model is made of. */
  readonly config: ModelConfig;
  /** The tokenizer of the text tower. */
  readonly tokenizer: Tokenizer;
  readonly #files: readonly SafetensorsFile[];
  readonly #fileOf: ReadonlyMap<string, SafetensorsFile>;

  private constructor(
    config: ModelConfig,
    tokenizer: Tokenizer,
    files: readonly SafetensorsFile[],
    fileOf: ReadonlyMap<string, SafetensorsFile>,
  ) {
    this.config = config;
    this.tokenizer = tokenizer;
    this.#files = files;
    this.#fileOf = fileOf;
  }

  /**
   * Reads configuration, tokenizer and the headers of the weights.
   *
   * @throws ConfigError: one error that lists every missing, unknown, misshapen and repeated tensor
   * @throws SafetensorsError, TokenizerError
   */
  static async open(source: CheckpointSource, options: OpenOptions = {}): Promise<CheckpointReader> {
    const files = checkpointFiles(source, options);
    const config = parseHubConfig(
      await readJson(files, 'config.json'),
      await readJsonIfThere(files, 'preprocessor_config.json'),
    );
    const tokenizer = await readTokenizer(files, config, options);
    const weights = await openWeights(files, WEIGHTS);
    try {
      return new CheckpointReader(
        config,
        tokenizer,
        weights,
        matchTensors(files, planParameters(config), weights),
      );
    } catch (error) {
      await Promise.all(weights.map((file) => file.close()));
      throw error;
    }
  }

  /** How a weight is kept on the GPU: matrices and tables as asked for, vectors in f32. */
  storageOf(name: string, storage: WeightDType | 'stored'): WeightDType {
    const { shape, dtype } = this.#fileOf.get(name)!.tensors.get(name)!;
    if (shape.length < 2) return 'f32';
    return storage === 'stored' ? STORED[dtype]! : storage;
  }

  /** Streams all weights into their places. */
  fill(parameters: ParameterStore, options: FillOptions = {}): Promise<void> {
    return fillParameters(parameters, this.#files, options);
  }

  /** Closes the files. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#files.map((file) => file.close()));
  }
}

/** How weights are read. */
export interface FillOptions {
  /** What stands before a weight's name in the file; other tensors of the file are left alone. */
  readonly prefix?: string;
  /** After every piece: bytes of the weights read, and how many there are. */
  readonly onProgress?: (done: number, all: number) => void;
  /** An AbortSignal that ends reading early: its reason is thrown. */
  readonly signal?: { throwIfAborted(): void };
}

/**
 * Tells of weights that are read in several goes, one after another, as of one.
 *
 * @param all  bytes of all goes
 * @returns    gives what is to be told of the next one
 */
export function inGoes(
  onProgress: FillOptions['onProgress'],
  all: number,
): () => Pick<FillOptions, 'onProgress'> {
  let done = 0;
  return () => {
    if (!onProgress) return {};
    const before = done;
    return {
      onProgress: (own) => {
        done = before + own;
        onProgress(done, all);
      },
    };
  };
}

/** A run of a stored tensor's elements, and the parameter whose run it is. */
export interface Destination {
  /** The parameter. */
  readonly name: string;
  /** Its first element here. */
  readonly start: number;
  /** Elements. */
  readonly length: number;
  /** The stored tensor's first element here. */
  readonly storedStart: number;
}

/** Streams weights from their files into their places, a piece at a time. @throws UseError for an unknown name */
export async function fillParameters(
  parameters: ParameterStore,
  files: readonly SafetensorsFile[],
  { prefix = '', ...options }: FillOptions = {},
): Promise<void> {
  await streamWeights(parameters, files, options, (name) => {
    if (!name.startsWith(prefix)) return [];
    const own = name.slice(prefix.length);
    return [{ name: own, start: 0, length: parameters.get(own).size, storedStart: 0 }];
  });
}

/** As `fillParameters`, of the stored tensors that go anywhere. @param destinations  of a stored tensor, by its name */
export async function streamWeights(
  parameters: ParameterStore,
  files: readonly SafetensorsFile[],
  { onProgress, signal }: Omit<FillOptions, 'prefix'>,
  destinations: (name: string) => readonly Destination[],
): Promise<void> {
  // In the order of the file, which is that of the disk or the connection.
  const weights = files.flatMap((file) =>
    [...file.tensors].map(([name, { dtype, sizeBytes }]) => {
      return { file, name, dtype, sizeBytes, to: destinations(name) };
    }),
  );
  const wanted = weights.filter(({ to }) => to.length > 0);
  const all = wanted.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  let done = 0;
  let waiting = 0;
  for (const { file, name, dtype, to } of wanted) {
    const first = parameters.get(to[0].name);
    let at = 0;
    for await (const bytes of file.chunks(name, PIECE_BYTES)) {
      signal?.throwIfAborted();
      const numbers = converted(bytes, dtype, first.dtype as WeightDType);
      for (const { name, start, length, storedStart } of to) {
        const from = Math.max(at, storedStart);
        const end = Math.min(at + numbers.length, storedStart + length);
        if (from >= end) continue;
        using piece = parameters.get(name).view(start + from - storedStart, [end - from]);
        piece.write(numbers.subarray(from - at, end - at));
      }
      at += numbers.length;
      done += bytes.length;
      waiting += numbers.byteLength;
      if (waiting >= UPLOAD_BYTES) {
        await first.ready();
        waiting = 0;
      }
      onProgress?.(done, all);
    }
  }
  for (const { values } of parameters.arenas) await values.ready();
}

/** Elements in the form in which they are kept, as an array of one entry per element. */
export function converted(
  bytes: Uint8Array<ArrayBuffer>,
  from: string,
  to: WeightDType,
): Float32Array | Uint16Array {
  if (STORED[from] === to && to !== 'f32') return new Uint16Array(bytes.buffer);
  const wide = decodeF32(from, bytes);
  return to === 'f32' ? wide : to === 'f16' ? f32ToF16(wide) : f32ToBf16(wide);
}

export async function readText(files: CheckpointFiles, name: string): Promise<string | undefined> {
  const found = await files.open(name);
  if (found === undefined) return undefined;
  return typeof found === 'string'
    ? readTextFile(found)
    : new TextDecoder().decode(await found.arrayBuffer());
}

/** A file as JSON; undefined where it is missing. @throws ConfigError when it is no JSON */
export async function readJsonIfThere(files: CheckpointFiles, name: string): Promise<unknown> {
  const text = await readText(files, name);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ConfigError(
      `${files.op}: ${name} of ${files.place} must be JSON, got ${(cause as Error).message}`,
    );
  }
}

export async function readJson(files: CheckpointFiles, name: string): Promise<unknown> {
  const json = await readJsonIfThere(files, name);
  if (json === undefined)
    throw new ConfigError(`${files.op}: ${files.place} must hold ${name}, got no such file.`);
  return json;
}

/** Names under which a vocabulary in SentencePiece's format is found. */
const SENTENCEPIECE = ['tokenizer.model', 'spiece.model'];

/**
 * The tokenizer of a checkpoint. Published ones name the repository of their vocabulary instead of holding it: it is fetched
 * where the checkpoint itself comes from the hub.
 *
 * @param overrides  keys of tokenizer_config.json, instead of the file's
 */
export async function readTokenizer(
  files: CheckpointFiles,
  config: ModelConfig,
  options: OpenOptions,
  overrides: JsonObject = {},
): Promise<Tokenizer> {
  const found = ((await readJsonIfThere(files, 'tokenizer_config.json')) ?? {}) as JsonObject;
  const tokenizerConfig = { ...found, ...overrides };
  const { contextLength } = config.text;
  const repo = vocabularyRepo(tokenizerConfig, config.text);
  const place = options.tokenizer ?? (files.isHub && repo ? `hf://${repo}` : undefined);
  const vocabulary =
    (await readVocabulary(files)) ?? (place && (await readVocabulary(checkpointFiles(place, options))));
  if (!vocabulary)
    throw new ConfigError(
      `${files.op}: ${files.place} must hold tokenizer.json or ${SENTENCEPIECE.join(' or ')}, got none. ${
        repo ? `Its vocabulary is that of hf://${repo}: put it there, or pass that as \`tokenizer\`.` : ''
      }`.trimEnd(),
    );
  return Tokenizer.fromFiles({ ...vocabulary, tokenizerConfig, contextLength });
}

type JsonObject = Record<string, unknown>;

async function readVocabulary(
  files: CheckpointFiles,
): Promise<{ tokenizerJson: JsonObject } | { sentencepieceModel: Uint8Array } | undefined> {
  const tokenizerJson = await readJsonIfThere(files, 'tokenizer.json');
  if (tokenizerJson !== undefined) return { tokenizerJson: tokenizerJson as JsonObject };
  for (const name of SENTENCEPIECE) {
    const model = await files.open(name);
    if (model === undefined) continue;
    const bytes = typeof model === 'string' ? (await fileSystem()).readFile(model) : model.arrayBuffer();
    return { sentencepieceModel: new Uint8Array(await bytes) };
  }
  return undefined;
}

/** The weights in one file of that name, or in the shards that its index names. */
export async function openWeights(files: CheckpointFiles, file: string): Promise<SafetensorsFile[]> {
  const index = (await readJsonIfThere(files, `${file}.index.json`)) as
    | { weight_map?: Readonly<Record<string, string>> }
    | undefined;
  const names = index ? [...new Set(Object.values(index.weight_map ?? {}))] : [file];
  const opened: SafetensorsFile[] = [];
  try {
    for (const name of names) {
      const found = await files.open(name);
      if (found === undefined)
        throw new ConfigError(`${files.op}: ${files.place} must hold ${name}, got no such file.`);
      opened.push(await openSafetensors(found));
    }
    return opened;
  } catch (error) {
    await Promise.all(opened.map((file) => file.close()));
    throw error;
  }
}

/**
 * Which file holds which tensor, once all are as the configuration says.
 *
 * @param plan  what there must be, by name; of any type of floats, if none is told
 * @param isOptional  of tensors that may be there too, and are left alone
 * @throws ConfigError: one error that lists every missing, unknown, misshapen and repeated tensor
 */
export function matchTensors(
  { op, place }: CheckpointFiles,
  plan: ReadonlyMap<string, { readonly shape: readonly number[]; readonly dtype?: string }>,
  files: readonly SafetensorsFile[],
  isOptional: (name: string) => boolean = () => false,
): Map<string, SafetensorsFile> {
  const fileOf = new Map<string, SafetensorsFile>();
  const faults: string[] = [];
  for (const file of files)
    for (const [name, { shape, dtype }] of file.tensors) {
      const { shape: want, dtype: wanted } = plan.get(name) ?? {};
      if (!want && isOptional(name)) continue;
      if (fileOf.has(name)) faults.push(`${name} twice`);
      else if (!want) faults.push(`unknown ${name}`);
      else if (wanted && dtype !== wanted) faults.push(`${name} as ${dtype}, not ${wanted}`);
      else if (!wanted && !STORED[dtype]) faults.push(`${name} as ${dtype}, not as floats`);
      else if (!sameShape(shape, want)) faults.push(`${name} [${shape}], not [${want}]`);
      fileOf.set(name, file);
    }
  for (const name of plan.keys()) if (!fileOf.has(name)) faults.push(`missing ${name}`);
  if (faults.length > 0)
    throw new ConfigError(
      `${op}: the weights of ${place} must be those of its config.json, got ${faults.join('; ')}.`,
    );
  return fileOf;
}

/** A scalar may be stored as [] or [1]. */
function sameShape(a: readonly number[], b: readonly number[]): boolean {
  const key = (shape: readonly number[]): string => (shape.length === 0 ? '1' : shape.join());
  return key(a) === key(b);
}
