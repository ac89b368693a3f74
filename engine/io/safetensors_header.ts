// The header of a safetensors file, https://github.com/huggingface/safetensors#format:
//
//   8 bytes    header length n, little-endian u64
//   n bytes    JSON object { name: { dtype, shape, data_offsets: [begin, end] }, "__metadata__"?: { text: text } },
//              beginning with "{", padded with spaces
//   the rest   the tensors' bytes, little-endian, row-major; offsets count from here, without holes or overlaps

import { EngineError } from '../gpu/errors.ts';

/** Bytes per element of every dtype we read. */
// biome-ignore format: a table
export const DTYPE_BYTES = {
  F64: 8, F32: 4, F16: 2, BF16: 2, I64: 8, I32: 4, I16: 2, I8: 1, U64: 8, U32: 4, U16: 2, U8: 1, BOOL: 1,
} as const;
const DTYPES = Object.keys(DTYPE_BYTES).join(' ');

/** Element types of the format, by the names in its header. */
export type SafetensorsDType = keyof typeof DTYPE_BYTES;

/** What `read` gives: the dtype's own array, F16 and BF16 widened to Float32Array, BOOL as 0 and 1. */
export type SafetensorsData =
  | Float64Array<ArrayBuffer>
  | Float32Array<ArrayBuffer>
  | BigInt64Array<ArrayBuffer>
  | BigUint64Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>
  | Uint32Array<ArrayBuffer>
  | Int16Array<ArrayBuffer>
  | Uint16Array<ArrayBuffer>
  | Int8Array<ArrayBuffer>
  | Uint8Array<ArrayBuffer>;

/** The array that holds a dtype's elements; F16 and BF16 as raw bits. */
export const ARRAYS: Readonly<Record<SafetensorsDType, new (buffer: ArrayBuffer) => SafetensorsData>> = {
  F64: Float64Array,
  F32: Float32Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  I64: BigInt64Array,
  I32: Int32Array,
  I16: Int16Array,
  I8: Int8Array,
  U64: BigUint64Array,
  U32: Uint32Array,
  U16: Uint16Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
};

/** What a header says of a tensor. */
export interface TensorInfo {
  /**
   * Element type in the file; one that is no SafetensorsDType (F8_E4M3, C64) has bytes that cannot be read as
   * numbers.
   */
  readonly dtype: string;
  /** Extents; [] for a scalar. */
  readonly shape: readonly number[];
  /** Bytes of its elements. */
  readonly sizeBytes: number;
}

/** A tensor and where it begins, counted from the end of the header. */
export interface TensorEntry extends TensorInfo {
  /** Name in the header. */
  readonly name: string;
  /** First byte in the file. */
  readonly offset: number;
}

export interface Header {
  readonly metadata: Record<string, string>;
  /** in the order of their bytes */
  readonly entries: TensorEntry[];
}

/** Longest header accepted, the limit of the reference implementation. */
export const MAX_HEADER_BYTES = 100_000_000;

/** A file is not valid safetensors, or a tensor cannot be written as asked. */
export class SafetensorsError extends EngineError {
  constructor(message: string, options?: ErrorOptions) {
    super('safetensors', message, options);
  }
}

function expect(condition: boolean, rule: string, got: string, todo = ''): asserts condition {
  if (!condition) throw new SafetensorsError(`safetensors: ${rule}, got ${got}.${todo ? ` ${todo}` : ''}`);
}

/** A JSON value for a message, cut to 80 characters. */
export function quote(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

/**
 * Bytes of a tensor: product of the shape times bytes per element.
 *
 * @throws SafetensorsError when an extent is not a non-negative integer or the size exceeds 2^53 - 1
 */
export function tensorBytes(name: string, dtype: SafetensorsDType, shape: readonly number[]): number {
  expect(isDType(dtype), `the dtype of ${quote(name)} must be one of ${DTYPES}`, quote(dtype));
  let size: number = DTYPE_BYTES[dtype];
  for (const extent of shape) {
    const isExtent = Number.isSafeInteger(extent) && extent >= 0 && !Object.is(extent, -0);
    expect(isExtent, `the shape of ${quote(name)} must hold non-negative integers`, quote(shape));
    size *= extent;
    expect(
      Number.isSafeInteger(size),
      `${quote(name)} must be smaller than 2^53 bytes`,
      `shape ${quote(shape)}`,
    );
  }
  return size;
}

/**
 * Reads and checks a header.
 *
 * @param bytes      the JSON, without the 8 bytes of its length
 * @param dataBytes  how many bytes follow it in the file
 * @throws SafetensorsError naming what is wrong
 */
export function parseHeader(bytes: Uint8Array, dataBytes: number): Header {
  const root = parseJson(bytes);
  expect(isObject(root), 'the header must be a JSON object', quote(root));
  const metadata: Record<string, string> = Object.create(null);
  const entries: TensorEntry[] = [];
  for (const [name, value] of Object.entries(root)) {
    if (name === '__metadata__') readMetadata(value, metadata);
    else entries.push(readEntry(name, value));
  }
  // Empty tensors may share an offset with the tensor after them.
  entries.sort((a, b) => a.offset - b.offset || a.sizeBytes - b.sizeBytes);
  let end = 0;
  for (const { name, offset, sizeBytes } of entries) {
    expect(
      offset === end,
      `tensors must follow each other without ${offset < end ? 'overlaps' : 'holes'}`,
      `${quote(name)} at offset ${offset} where the previous one ends at ${end}`,
    );
    end = offset + sizeBytes;
  }
  expect(
    end === dataBytes,
    `the tensors' ${end} bytes must be all that follows the header`,
    `${dataBytes} bytes`,
    end > dataBytes ? 'The file is truncated: copy or download it again.' : '',
  );
  return { metadata, entries };
}

function parseJson(bytes: Uint8Array): unknown {
  expect(bytes[0] === 0x7b, 'the header must begin with "{"', `byte ${bytes[0]}`);
  let text: string;
  let root: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    root = JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new SafetensorsError(`safetensors: the header must be UTF-8 JSON, got ${quote(reason)}.`, {
      cause,
    });
  }
  const key = duplicateKey(text);
  expect(key === undefined, 'the keys of the header must be unique', `${quote(key)} twice`);
  return root;
}

/** The first key that occurs twice in one object of a valid JSON text; JSON.parse would keep the last. */
function duplicateKey(json: string): string | undefined {
  const open: (Set<string> | undefined)[] = []; // keys so far of every open object; undefined for an array
  let isKey = false;
  for (let i = 0; i < json.length; i++) {
    const c = json[i];
    if (c === '{' || c === '[') {
      open.push(c === '{' ? new Set() : undefined);
      isKey = c === '{';
    } else if (c === '}' || c === ']') open.pop();
    else if (c === ',') isKey = open.at(-1) !== undefined;
    else if (c === '"') {
      const start = i++;
      while (json[i] !== '"') i += json[i] === '\\' ? 2 : 1;
      if (!isKey) continue;
      const key: string = JSON.parse(json.slice(start, i + 1)); // "a" and "\u0061" are the same key
      const keys = open.at(-1)!;
      if (keys.has(key)) return key;
      keys.add(key);
      isKey = false;
    }
  }
  return undefined;
}

function readMetadata(value: unknown, metadata: Record<string, string>): void {
  if (value === null) return; // as some writers say that there is none
  expect(isObject(value), '__metadata__ must be an object', quote(value));
  for (const [key, text] of Object.entries(value)) {
    expect(typeof text === 'string', `__metadata__ ${quote(key)} must be a string`, quote(text));
    metadata[key] = text;
  }
}

function readEntry(name: string, value: unknown): TensorEntry {
  const where = quote(name);
  expect(isObject(value), `${where} must be an object with dtype, shape and data_offsets`, quote(value));
  const { dtype, shape, data_offsets: offsets } = value;
  expect(typeof dtype === 'string', `the dtype of ${where} must be a name`, quote(dtype));
  expect(isNumbers(shape), `the shape of ${where} must hold non-negative integers`, quote(shape));
  const isPair =
    isNumbers(offsets) && offsets.length === 2 && offsets.every((o) => Number.isSafeInteger(o) && o >= 0);
  expect(isPair, `data_offsets of ${where} must be two non-negative integers`, quote(offsets));
  // How many bytes an element of another dtype takes is not known here: the header is trusted.
  const spanBytes = offsets[1] - offsets[0];
  const sizeBytes = isDType(dtype) ? tensorBytes(name, dtype, shape) : Math.max(0, spanBytes);
  expect(
    spanBytes === sizeBytes,
    `data_offsets of ${where} must span the ${sizeBytes} bytes of ${dtype} ${quote(shape)}`,
    quote(offsets),
  );
  return { name, dtype, shape, sizeBytes, offset: offsets[0] };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isNumbers(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((x) => typeof x === 'number');
}

function isDType(value: unknown): value is SafetensorsDType {
  return typeof value === 'string' && Object.hasOwn(DTYPE_BYTES, value);
}

/**
 * The dtype of a tensor whose numbers are wanted.
 *
 * @param what  names the tensor in the message
 * @throws SafetensorsError when its bytes are of a type that cannot be read
 */
export function readableDType(dtype: string, what: string): SafetensorsDType {
  expect(
    isDType(dtype),
    `the dtype of ${what} must be one of ${DTYPES} to be read`,
    quote(dtype),
    'Its raw bytes can be had.',
  );
  return dtype;
}

/** The first bytes of a file: header length and JSON, padded with spaces to a multiple of 8. */
export function formatHeader(
  entries: readonly TensorEntry[],
  metadata?: Readonly<Record<string, string>>,
): Uint8Array<ArrayBuffer> {
  // Joined from parts: an object would reorder names such as "0" and lose "__proto__".
  const parts = entries.map(({ name, dtype, shape, offset, sizeBytes }) => {
    const info = { dtype, shape, data_offsets: [offset, offset + sizeBytes] };
    return `${JSON.stringify(name)}:${JSON.stringify(info)}`;
  });
  if (metadata) {
    readMetadata(metadata, {}); // the reader's own check
    parts.unshift(`"__metadata__":${JSON.stringify(metadata)}`);
  }
  const json = new TextEncoder().encode(`{${parts.join(',')}}`);
  const paddedBytes = Math.ceil(json.length / 8) * 8;
  expect(
    paddedBytes <= MAX_HEADER_BYTES,
    `a header must not exceed ${MAX_HEADER_BYTES} bytes`,
    `${paddedBytes}`,
  );
  const bytes = new Uint8Array(8 + paddedBytes).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(paddedBytes), true);
  bytes.set(json, 8);
  return bytes;
}
