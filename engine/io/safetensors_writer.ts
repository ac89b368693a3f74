import { fileSystem } from '#system';
import { onPath } from './files.ts';
import { f32ToBf16, f32ToF16 } from './half.ts';
import {
  ARRAYS,
  DTYPE_BYTES,
  formatHeader,
  quote,
  type SafetensorsDType,
  SafetensorsError,
  type TensorEntry,
  tensorBytes,
} from './safetensors_header.ts';

/** A tensor to write. */
export interface TensorToWrite {
  /** Name in the header; any but `__metadata__`, each once. */
  readonly name: string;
  /** Element type of `data`. */
  readonly dtype: SafetensorsDType;
  /** Extents; their product is the number of elements. */
  readonly shape: readonly number[];
  /**
   * The dtype's own typed array, or raw bytes as Uint8Array; for F16 and BF16 also a Float32Array, which is rounded.
   * A function is called when its turn comes, so that only one tensor is in memory; an async iterable gives raw bytes.
   */
  readonly data: ArrayBufferView | AsyncIterable<Uint8Array> | (() => Promise<ArrayBufferView>);
}

const writing = new Set<string>();

/**
 * Writes a safetensors file, one tensor in memory at a time.
 *
 * It is written as `<path>.partial`, flushed to the disk and renamed: whoever opens `path` finds the old
 * file or the whole new one, also after a crash. On failure the old file stays and the partial one is removed.
 *
 * @throws SafetensorsError when a name occurs twice or data does not fit dtype and shape; FileError when the
 *         system refuses
 */
export async function writeSafetensors(
  path: string,
  tensors: Iterable<TensorToWrite>,
  metadata?: Readonly<Record<string, string>>,
): Promise<void> {
  const { header, entries } = plan(tensors, metadata);
  const partial = `${path}.partial`;
  if (writing.has(partial))
    throw new SafetensorsError(`safetensors: one writer at a time, got a second one for ${path}.`);
  writing.add(partial); // before the first await, so that the second of two callers is always the one refused
  try {
    await onPath(path, () => writePlanned(path, partial, header, entries));
  } finally {
    writing.delete(partial);
  }
}

async function writePlanned(
  path: string,
  partial: string,
  header: Uint8Array,
  entries: readonly PlannedTensor[],
): Promise<void> {
  const fs = await fileSystem();
  const file = await fs.open(partial, 'w');
  try {
    try {
      await file.writeFile(header);
      for (const entry of entries) for await (const bytes of pieces(entry)) await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await fs.rename(partial, path);
  } catch (error) {
    await fs.rm(partial, { force: true });
    throw error;
  }
}

/** The same file in memory, for browsers. */
export async function encodeSafetensors(
  tensors: Iterable<TensorToWrite>,
  metadata?: Readonly<Record<string, string>>,
): Promise<Uint8Array<ArrayBuffer>> {
  const { header, entries } = plan(tensors, metadata);
  const dataBytes = entries.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const file = new Uint8Array(header.length + dataBytes);
  file.set(header);
  for (const entry of entries) {
    let at = header.length + entry.offset;
    for await (const bytes of pieces(entry)) {
      file.set(bytes, at);
      at += bytes.byteLength;
    }
  }
  return file;
}

type PlannedTensor = TensorEntry & TensorToWrite;

/** Places the tensors, wide elements first: without holes, this alone keeps every tensor aligned to its elements. */
function plan(
  tensors: Iterable<TensorToWrite>,
  metadata?: Readonly<Record<string, string>>,
): { header: Uint8Array<ArrayBuffer>; entries: PlannedTensor[] } {
  const names = new Set(['__metadata__']);
  const sorted = [...tensors].sort((a, b) => DTYPE_BYTES[b.dtype] - DTYPE_BYTES[a.dtype]);
  let offset = 0;
  const entries = sorted.map(({ name, dtype, shape, data }) => {
    if (names.has(name))
      throw new SafetensorsError(
        `safetensors: names must be unique and not __metadata__, got ${quote(name)}.`,
      );
    names.add(name);
    const sizeBytes = tensorBytes(name, dtype, shape);
    const entry = { name, dtype, shape, data, sizeBytes, offset };
    offset += sizeBytes;
    return entry;
  });
  return { header: formatHeader(entries, metadata), entries };
}

/** The raw bytes of a tensor; together exactly as many as its shape says. */
async function* pieces(tensor: PlannedTensor): AsyncGenerator<Uint8Array, void, void> {
  const { data, name, dtype, shape, sizeBytes } = tensor;
  let gotBytes = 0;
  const expectBytes = (fits: boolean) => {
    if (fits) return;
    const rule = `data of ${quote(name)} must be the ${sizeBytes} bytes of ${dtype} ${quote(shape)}`;
    throw new SafetensorsError(
      `safetensors: ${rule}, got ${gotBytes > sizeBytes ? 'at least ' : ''}${gotBytes}.`,
    );
  };
  const all = async function* () {
    if (!isPieces(data)) yield rawBytes(tensor, typeof data === 'function' ? await data() : data);
    else yield* data;
  };
  for await (const bytes of all()) {
    gotBytes += bytes.byteLength;
    expectBytes(gotBytes <= sizeBytes);
    yield bytes;
  }
  expectBytes(gotBytes === sizeBytes);
}

function isPieces(data: TensorToWrite['data']): data is AsyncIterable<Uint8Array> {
  return typeof data === 'object' && Symbol.asyncIterator in data;
}

function rawBytes({ name, dtype }: PlannedTensor, view: ArrayBufferView): Uint8Array {
  const own = ARRAYS[dtype];
  const isNativeF16 = dtype === 'F16' && view.constructor.name === 'Float16Array';
  let raw = view;
  if (view instanceof Float32Array && dtype === 'F16') raw = f32ToF16(view);
  else if (view instanceof Float32Array && dtype === 'BF16') raw = f32ToBf16(view);
  else if (!(view instanceof own || view instanceof Uint8Array || isNativeF16))
    throw new SafetensorsError(
      `safetensors: data of ${quote(name)} must be a ${own.name} or raw bytes for ${dtype}, ` +
        `got a ${view.constructor.name}. Convert it or write another dtype.`,
    );
  return new Uint8Array(raw.buffer, raw.byteOffset, raw.byteLength);
}
