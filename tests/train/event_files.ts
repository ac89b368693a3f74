// Event files, read by a decoder that shares nothing with their writer: protobufjs with the messages as TensorFlow
// declares them, and a CRC by long division.
import { readFile } from 'node:fs/promises';
import protobuf from 'protobufjs';
import * as assert from 'uvu/assert';

// Source: tensorflow/core/util/event.proto and core/framework/summary.proto.
const { root } = protobuf.parse(`
  syntax = "proto3";
  message Event {
    double wall_time = 1;
    int64 step = 2;
    oneof what { string file_version = 3; Summary summary = 5; SessionLog session_log = 7; }
  }
  message Summary {
    message Value { string tag = 1; oneof value { float simple_value = 2; } }
    repeated Value value = 1;
  }
  message SessionLog {
    enum SessionStatus { STATUS_UNSPECIFIED = 0; START = 1; STOP = 2; CHECKPOINT = 3; }
    SessionStatus status = 1;
  }`);
const Event = root.lookupType('Event');

/** What an event holds; a zero is left out. */
export interface Decoded {
  readonly wallTime: number;
  readonly step?: number;
  readonly fileVersion?: string;
  readonly summary?: { readonly value: { readonly tag: string; readonly simpleValue: number }[] };
  readonly sessionLog?: { readonly status: string };
}

/** CRC-32C of RFC 3720 as the remainder of a division, bit by bit in the order of transmission. */
export function crc32c(bytes: Uint8Array): bigint {
  const bits = [...bytes].flatMap((byte) => Array.from({ length: 8 }, (_, i) => BigInt((byte >> i) & 1)));
  let remainder = 0xffffffffn;
  for (const bit of bits) {
    const leading = (remainder >> 31n) ^ bit;
    remainder = ((remainder << 1n) & 0xffffffffn) ^ (leading ? 0x1edc6f41n : 0n);
  }
  let reflected = 0n;
  for (let i = 0n; i < 32n; i++) reflected |= ((remainder >> i) & 1n) << (31n - i);
  return reflected ^ 0xffffffffn;
}

function masked(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return Number((((crc >> 15n) | (crc << 17n)) + 0xa282ead8n) & 0xffffffffn);
}

/** The events of a file, their checksums checked. */
export async function decodeEvents(path: string): Promise<Decoded[]> {
  const file = await readFile(path);
  const events: Decoded[] = [];
  for (let at = 0; at < file.length; ) {
    const length = Number(file.readBigUInt64LE(at));
    const bytes = file.subarray(at + 12, at + 12 + length);
    assert.is(file.readUInt32LE(at + 8), masked(file.subarray(at, at + 8)), 'checksum of the length');
    assert.is(file.readUInt32LE(at + 12 + length), masked(bytes), 'checksum of the event');
    const options = { longs: Number, enums: String } as const;
    events.push(Event.toObject(Event.decode(bytes), options) as Decoded);
    at += 16 + length;
  }
  return events;
}
