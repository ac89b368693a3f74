import { type BlobLike, type ByteSource, openSource, type UrlLike } from './byte_source.ts';
import { bf16ToF32, f16ToF32 } from './half.ts';
import {
  ARRAYS,
  MAX_HEADER_BYTES,
  parseHeader,
  quote,
  readableDType,
  type SafetensorsData,
  type SafetensorsDType,
  SafetensorsError,
  type TensorEntry,
  type TensorInfo,
} from './safetensors_header.ts';

export {
  type SafetensorsData,
  type SafetensorsDType,
  SafetensorsError,
  type TensorEntry,
  type TensorInfo,
} from './safetensors_header.ts';
export { encodeSafetensors, type TensorToWrite, writeSafetensors } from './safetensors_writer.ts';

/**
 * Opens a safetensors file and reads its header, nothing else.
 *
 * @param source  a path or file URL (Node, Deno; offsets beyond 2 GiB included), a Blob or browser File, or the bytes
 * @throws SafetensorsError when the file is missing, truncated, or its header breaks the format
 */
export async function openSafetensors(
  source: string | UrlLike | BlobLike | Uint8Array,
): Promise<SafetensorsFile> {
  const bytes = await openSource(source);
  try {
    return await readFileHeader(bytes);
  } catch (error) {
    await bytes.close();
    throw error;
  }
}

async function readFileHeader(source: ByteSource): Promise<SafetensorsFile> {
  const fail = (rule: string, got: string) => {
    throw new SafetensorsError(`safetensors: ${rule}, got ${got} (${source.name}).`);
  };
  if (source.sizeBytes < 8)
    fail('a file must begin with the 8 bytes of its header length', `${source.sizeBytes} bytes`);
  const length = new DataView((await source.read(0, 8)).buffer).getBigUint64(0, true);
  if (length > MAX_HEADER_BYTES)
    fail(`the header length must be at most ${MAX_HEADER_BYTES} bytes`, `${length}`);
  const headerBytes = Number(length);
  const dataBytes = source.sizeBytes - 8 - headerBytes;
  if (dataBytes < 0)
    fail(`the header's ${headerBytes} bytes must fit into the file`, `a file of ${source.sizeBytes} bytes`);
  const { metadata, entries } = parseHeader(await source.read(8, headerBytes), dataBytes);
  return new SafetensorsFile(source, 8 + headerBytes, metadata, entries);
}

/** Raw bytes, copied, in their dtype's typed array; F16 and BF16 widened. */
function decode(dtype: SafetensorsDType, { buffer }: Uint8Array<ArrayBuffer>): SafetensorsData {
  if (dtype === 'BF16') return bf16ToF32(new Uint16Array(buffer));
  if (dtype === 'F16') return f16ToF32(new Uint16Array(buffer));
  return new ARRAYS[dtype](buffer);
}

/**
 * Raw bytes of any dtype as f32, as `SafetensorsFile.f32` and, piece by piece, for what `chunks` yields.
 *
 * @throws SafetensorsError for a dtype that is no SafetensorsDType
 */
export function decodeF32(dtype: string, bytes: Uint8Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  const values = decode(readableDType(dtype, 'bytes'), bytes);
  if (values instanceof Float32Array) return values;
  if (values instanceof BigInt64Array || values instanceof BigUint64Array)
    return Float32Array.from(values, Number);
  return new Float32Array(values);
}

/** An open file. Holds no tensor data: every read fetches just its range. */
export class SafetensorsFile implements AsyncDisposable {
  /** free text, such as who wrote the file */
  readonly metadata: Readonly<Record<string, string>>;
  /** dtype, shape and size by name, in the order of their bytes */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly #source: ByteSource;
  readonly #dataStart: number;
  readonly #entries: Map<string, TensorEntry>;
  #isOpen = true;

  /** Use openSafetensors. */
  constructor(
    source: ByteSource,
    dataStart: number,
    metadata: Readonly<Record<string, string>>,
    entries: readonly TensorEntry[],
  ) {
    this.#source = source;
    this.#dataStart = dataStart;
    this.#entries = new Map(entries.map((entry) => [entry.name, entry]));
    this.metadata = metadata;
    this.tensors = new Map(
      entries.map(({ name, dtype, shape, sizeBytes }) => [name, { dtype, shape, sizeBytes }]),
    );
  }

  /**
   * The raw little-endian bytes of one tensor, a fresh copy.
   *
   * @throws SafetensorsError when there is no such tensor, or the file is closed
   */
  async bytes(name: string): Promise<Uint8Array<ArrayBuffer>> {
    const { offset, sizeBytes } = this.#entry(name);
    return await this.#source.read(this.#dataStart + offset, sizeBytes);
  }

  /**
   * One tensor in its dtype's own typed array; F16 and BF16 are widened to Float32Array.
   *
   * @throws SafetensorsError when its dtype is no SafetensorsDType; `bytes` reads it all the same
   */
  async read(name: string): Promise<SafetensorsData> {
    const dtype = readableDType(this.#entry(name).dtype, quote(name));
    return decode(dtype, await this.bytes(name));
  }

  /** One tensor of any dtype as f32: integers beyond 2^24 and F64 are rounded, BOOL becomes 0 and 1. */
  async f32(name: string): Promise<Float32Array<ArrayBuffer>> {
    const dtype = readableDType(this.#entry(name).dtype, quote(name));
    return decodeF32(dtype, await this.bytes(name));
  }

  /**
   * The bytes of one tensor piece by piece, for tensors that should not be in memory as a whole.
   *
   * @param maxBytes  size of a piece, rounded down to a multiple of 8 so that none splits an element
   */
  async *chunks(
    name: string,
    maxBytes: number = 2 ** 24,
  ): AsyncGenerator<Uint8Array<ArrayBuffer>, void, void> {
    const { offset, sizeBytes } = this.#entry(name);
    const step = Math.max(8, Math.floor(maxBytes / 8) * 8);
    for (let at = 0; at < sizeBytes; at += step) {
      this.#entry(name);
      yield await this.#source.read(this.#dataStart + offset + at, Math.min(step, sizeBytes - at));
    }
  }

  /** Closes the file or connection behind it; tensors that were read stay. */
  async close(): Promise<void> {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    await this.#source.close();
  }

  /** As `close`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #entry(name: string): TensorEntry {
    const where = this.#source.name;
    if (!this.#isOpen)
      throw new SafetensorsError(`safetensors: the file must be open, got ${where} after close().`);
    const entry = this.#entries.get(name);
    if (entry) return entry;
    const some = [...this.#entries.keys()].slice(0, 3).map(quote).join(', ');
    throw new SafetensorsError(
      `safetensors: the tensor must exist, got ${quote(name)}. ${where} holds ${this.#entries.size}: ${some || 'none'}.`,
    );
  }
}
