// Event files that TensorBoard draws: scalars of every step.
//
//   file    record, record, ...
//   record  length u64 | mask(crc(length)) u32 | event | mask(crc(event)) u32, little-endian
//   mask    rotates a CRC-32C right by 15 bits and adds 0xa282ead8
//   event   a protobuf message: 1 wall_time double, 2 step int64, 3 file_version string, 5 summary, 7 session_log
//
// Source: TensorFlow's tsl/lib/io/record_writer.h, core/util/event.proto and core/framework/summary.proto.
import { fileSystem, makeFolder, onPath } from '../../engine/index.ts';

/** Numbers by tag. */
export type Scalars = Readonly<Record<string, number>>;

/** Bytes of a message's fields. */
type Bytes = readonly number[];

/** How a field is stored. */
const WIRE = { varint: 0, double: 1, bytes: 2, float: 5 } as const;

/** Whole numbers from 0, seven bits to a byte, the lowest first. */
function varint(value: number): number[] {
  return value < 128 ? [value] : [(value % 128) | 128, ...varint(Math.floor(value / 128))];
}

const field = (number: number, wire: number, bytes: Bytes): number[] => [number * 8 + wire, ...bytes];
const wholeField = (number: number, value: number): number[] => field(number, WIRE.varint, varint(value));
const bytesField = (number: number, bytes: Bytes): number[] =>
  field(number, WIRE.bytes, [...varint(bytes.length), ...bytes]);
const textField = (number: number, text: string): number[] =>
  bytesField(number, [...new TextEncoder().encode(text)]);

/** A message of a double and other fields. */
function event(wallTimeS: number, ...fields: Bytes[]): Uint8Array<ArrayBuffer> {
  const time = new Uint8Array(new Float64Array([wallTimeS]).buffer);
  return Uint8Array.from([...field(1, WIRE.double, [...time]), ...fields.flat()]);
}

/** summary { value { tag, simple_value } ... } */
function summary(scalars: Scalars): number[] {
  const values = Object.entries(scalars).map(([tag, value]) => {
    const float = new Uint8Array(new Float32Array([value]).buffer);
    return bytesField(1, [...textField(1, tag), ...field(2, WIRE.float, [...float])]);
  });
  return bytesField(5, values.flat());
}

/** CRC-32C of every byte: the reversed polynomial 0x82f63b78. */
const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

function maskedCrc(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ CRC_TABLE[(crc ^ byte) & 255];
  crc = ~crc >>> 0;
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

function record(bytes: Uint8Array): Uint8Array {
  const all = new Uint8Array(16 + bytes.length);
  const view = new DataView(all.buffer);
  view.setBigUint64(0, BigInt(bytes.length), true);
  view.setUint32(8, maskedCrc(all.subarray(0, 8)), true);
  all.set(bytes, 12);
  view.setUint32(12 + bytes.length, maskedCrc(bytes), true);
  return all;
}

/** status START: readers drop what other files have from this step on. */
const SESSION_START = bytesField(7, wholeField(1, 1));

/** One file of events, which grows. */
export class EventFile {
  /** Where it is. */
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /**
   * Begins a new file beside those that are there. What they hold of `firstStep` and later is to be forgotten: a run that was
   * killed does these steps again.
   *
   * @param folder     is made
   * @param firstStep  that comes
   */
  static async begin(folder: string, firstStep: number): Promise<EventFile> {
    const { readdir, writeFile } = await fileSystem();
    await makeFolder(folder);
    // Readers take files in the order of their names.
    const now = Date.now() / 1000;
    const number = String((await readdir(folder)).length).padStart(4, '0');
    const path = `${folder}/events.out.tfevents.${Math.floor(now)}.${number}`;
    const version = record(event(now, textField(3, 'brain.Event:2')));
    const start = record(event(now, wholeField(2, firstStep), SESSION_START));
    await writeFile(path, Buffer.concat([version, start]));
    return new EventFile(path);
  }

  /** Appends the scalars of a step; those that are not finite are left out. */
  async add(step: number, scalars: Scalars): Promise<void> {
    const { appendFile } = await fileSystem();
    const finite = Object.fromEntries(Object.entries(scalars).filter(([, value]) => Number.isFinite(value)));
    const line = record(event(Date.now() / 1000, wholeField(2, step), summary(finite)));
    await onPath(this.path, () => appendFile(this.path, line));
  }
}

/** The numbers of an object by tags that begin with `prefix`, those of objects in it by `/`. */
export function scalarsOf(values: object, prefix: string): Scalars {
  const entries = Object.entries(values).flatMap(([key, value]: [string, unknown]) => {
    const tag = `${prefix}/${key}`;
    if (typeof value === 'number') return [[tag, value] as const];
    return typeof value === 'object' && value !== null ? Object.entries(scalarsOf(value, tag)) : [];
  });
  return Object.fromEntries(entries);
}
