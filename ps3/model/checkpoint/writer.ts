// A checkpoint folder in the layout of the published ones, written.
import {
  expectKeys,
  fileSystem,
  makeFolder,
  onPath,
  type Tensor,
  type TensorToWrite,
  writeSafetensors,
} from '../../../engine/index.ts';
import type { VisionConfig } from '../config/config.ts';
import { toHubConfig } from '../config/hub_config_writer.ts';
import { toPreprocessor } from '../config/preprocessor.ts';
import type { ModelCore } from '../core.ts';
import { untied } from '../vision/positions.ts';
import { converted, INDEX, WEIGHTS, type WeightDType } from './checkpoint.ts';

const FILE_DTYPE = { f32: 'F32', f16: 'F16', bf16: 'BF16' } as const;

/** How a checkpoint is written. */
export interface SaveOptions {
  /** Element type of matrices and tables; default: as the model keeps them. Vectors are f32. */
  readonly storage?: WeightDType;
  /** Weights beyond this go into several files; default 5e9. */
  readonly shardBytes?: number;
  /** Writes tied position residuals as the tables of every place that the official code reads; default false. */
  readonly untied?: boolean;
}

const SAVE_OPTIONS = { storage: true, shardBytes: true, untied: true } as const;

/** Writes a checkpoint folder; each file appears whole or not at all, the weights last. */
export async function saveCheckpoint(
  folder: string,
  model: ModelCore,
  options: SaveOptions = {},
): Promise<void> {
  expectKeys('PS3.save', options, SAVE_OPTIONS);
  const { storage, shardBytes = 5e9, untied: isUntied = false } = options;
  await makeFolder(folder);
  const { parameters, tokenizer } = model;
  const { vision } = model.config;
  const expands = isUntied && vision.tiedPositions;
  const config = expands ? { ...model.config, vision: { ...vision, tiedPositions: false } } : model.config;
  await writeJson(folder, 'config.json', toHubConfig(config));
  await writeJson(folder, 'preprocessor_config.json', toPreprocessor(config.image));
  for (const [name, value] of Object.entries(tokenizer.toJSON())) await writeJson(folder, name, value);
  const tensors = parameters.names.map((name) =>
    toWrite(name, parameters.get(name), storage, expands ? vision : undefined),
  );
  await writeWeights(folder, tensors, shardBytes);
}

/** Writes `model.safetensors`, or several files of at most `shardBytes` with the index that names them. */
export async function writeWeights(
  folder: string,
  tensors: readonly TensorToWrite[],
  shardBytes: number,
): Promise<void> {
  const shards = shardsOf(tensors, shardBytes);
  if (shards.length === 1) return writeSafetensors(`${folder}/${WEIGHTS}`, shards[0], { format: 'pt' });
  const weightMap: Record<string, string> = {};
  for (const [i, shard] of shards.entries()) {
    const number = (n: number): string => String(n).padStart(5, '0');
    const file = `model-${number(i + 1)}-of-${number(shards.length)}.safetensors`;
    await writeSafetensors(`${folder}/${file}`, shard, { format: 'pt' });
    for (const { name } of shard) weightMap[name] = file;
  }
  const total_size = shards.flat().reduce((sum, tensor) => sum + bytesOf(tensor), 0);
  await writeJson(folder, INDEX, { metadata: { total_size }, weight_map: weightMap });
}

/** A parameter of a file. @param tied  whose tied residuals are written as tables of every place, [1, Y * Y, D] */
export function toWrite(
  name: string,
  tensor: Tensor,
  storage: WeightDType | undefined,
  tied?: VisionConfig,
): TensorToWrite {
  const table = /^vision_model\.pos_emb_residual\.(\d+)$/.exec(name);
  const scale = tied && table ? 1 + Number(table[1]) : undefined;
  const grid = scale && tied?.gridSides[scale];
  const shape = grid ? [1, grid * grid, tensor.shape[2]] : [...tensor.shape];
  const read = async (): Promise<Numbers> => {
    const numbers = (await tensor.data()) as Numbers;
    return grid ? untied(numbers, Math.sqrt(tensor.shape[1]), grid) : numbers;
  };
  const written = tensorToWrite(name, { shape, dtype: tensor.dtype as WeightDType, read }, storage);
  // The official code has scalars here.
  return name.startsWith('logit_') ? { ...written, shape: [] } : written;
}

/** Numbers of a tensor, half precision as 16-bit patterns. */
export type Numbers = Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer>;

/** A tensor of a file, vectors in f32 and others in `storage`, or as they are kept. @param kept  is read when it is written */
export function tensorToWrite(
  name: string,
  kept: {
    readonly shape: readonly number[];
    readonly dtype: WeightDType;
    readonly read: () => Promise<Numbers>;
  },
  storage: WeightDType | undefined,
): TensorToWrite {
  const dtype = kept.shape.length < 2 ? 'f32' : (storage ?? kept.dtype);
  const data = async (): Promise<ArrayBufferView> => {
    const numbers = await kept.read();
    if (dtype === kept.dtype) return numbers;
    return converted(new Uint8Array(numbers.buffer), FILE_DTYPE[kept.dtype], dtype);
  };
  return { name, dtype: FILE_DTYPE[dtype], shape: kept.shape, data };
}

/** Bytes of an element, by type; half precision where none are named. */
const BYTES: Partial<Record<TensorToWrite['dtype'], number>> = { F32: 4, I32: 4, I64: 8 };

function bytesOf({ dtype, shape }: TensorToWrite): number {
  return shape.reduce((n, extent) => n * extent, BYTES[dtype] ?? 2);
}

/** Runs of tensors, in their order, of at most `shardBytes` unless one is larger by itself. */
function shardsOf(tensors: readonly TensorToWrite[], shardBytes: number): TensorToWrite[][] {
  const shards: TensorToWrite[][] = [];
  let room = 0;
  for (const tensor of tensors) {
    const size = bytesOf(tensor);
    if (size > room || shards.length === 0) {
      shards.push([]);
      room = Math.max(shardBytes, size);
    }
    shards[shards.length - 1].push(tensor);
    room -= size;
  }
  return shards;
}

/** Writes a file of JSON into a folder. */
export function writeJson(folder: string, name: string, value: unknown): Promise<void> {
  return writeWhole(`${folder}/${name}`, `${JSON.stringify(value, undefined, 2)}\n`);
}

/** Writes a file under a temporary name and renames it, so that nobody sees half of it. */
export async function writeWhole(path: string, bytes: string | Uint8Array): Promise<void> {
  const { rename, rm, writeFile } = await fileSystem();
  const temporary = `${path}.${process.pid}.tmp`;
  await onPath(path, async () => {
    try {
      await writeFile(temporary, bytes);
      await rename(temporary, path);
    } finally {
      await rm(temporary, { force: true });
    }
  });
}
