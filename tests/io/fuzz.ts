// Broken safetensors files by the thousand, from a seed. Each either opens, and then holds what its header says, or is refused by a
// SafetensorsError, soon and without a large allocation.

import * as assert from 'uvu/assert';
import { openSafetensors, SafetensorsError } from '../../engine/io/safetensors.ts';

interface Entry {
  dtype: string;
  shape: unknown[];
  data_offsets: unknown[];
}

/** A file before it is encoded: its header as members in order, so that a key may stand twice. */
interface Draft {
  members: [name: string, value: unknown][];
  dataBytes: number;
  /** Claimed length of the header, if it is not the true one. */
  claimed?: bigint;
  /** Bytes to cut off at the end. */
  cut: number;
}

type Pick = (n: number) => number;

function picker(seed: number): Pick {
  let state = seed;
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0; // Numerical Recipes' generator
    return Math.floor((state / 2 ** 32) * n);
  };
}

const BYTES: Readonly<Record<string, number>> = {
  F64: 8,
  F32: 4,
  BF16: 2,
  F16: 2,
  I64: 8,
  I32: 4,
  U8: 1,
  BOOL: 1,
};

/** A valid file of one to five tensors. */
function draft(pick: Pick): Draft {
  let end = 0;
  const members = Array.from({ length: 1 + pick(5) }, (_, i): [string, Entry] => {
    const dtype = Object.keys(BYTES)[pick(8)];
    const shape = Array.from({ length: pick(4) }, () => pick(5));
    const begin = end;
    end += shape.reduce((n, extent) => n * extent, BYTES[dtype]);
    return [`t${i}`, { dtype, shape, data_offsets: [begin, end] }];
  });
  return { members, dataBytes: end, cut: 0 };
}

const NO_EXTENTS = [-1, 0.5, 2 ** 53, 1e300, null, '4', [], {}, true];
const NO_OFFSETS = [-1, 0.5, 2 ** 31, 2 ** 32, 2 ** 53, 1e300, null, '4', [], {}, true];
const LENGTHS = [0n, 1n, 7n, 2n ** 31n, 2n ** 32n + 8n, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n, 100_000_001n];
const PIECES = [
  '"',
  '{',
  '}',
  '[',
  ']',
  ',',
  ':',
  '\\',
  '-',
  '.',
  '0',
  '9',
  'e9',
  'null',
  '{"a":',
  '\xff',
  'F32',
  '\0',
];

/** Faults that make every file invalid. */
const FAULTS: Readonly<Record<string, (file: Draft, entry: Entry, pick: Pick) => void>> = {
  overlap: (file) => {
    file.members.push([
      'late',
      { dtype: 'U8', shape: [1], data_offsets: [file.dataBytes, file.dataBytes + 1] },
    ]);
    file.members.push([
      'over',
      { dtype: 'U8', shape: [1], data_offsets: [file.dataBytes, file.dataBytes + 1] },
    ]);
    file.dataBytes += 1;
  },
  'out of range': (file, _entry, pick) => {
    const begin = file.dataBytes + [0, 1, 2 ** 31, 2 ** 40][pick(4)];
    file.members.push(['far', { dtype: 'U8', shape: [9], data_offsets: [begin, begin + 9] }]);
  },
  'offset that is none': (_file, entry, pick) => {
    entry.data_offsets[pick(2)] = NO_OFFSETS[pick(NO_OFFSETS.length)];
  },
  'extent that is none': (_file, entry, pick) => {
    entry.shape = [...entry.shape, NO_EXTENTS[pick(NO_EXTENTS.length)]];
  },
  'huge shape': (_file, entry, pick) => {
    entry.shape = Array(2 + pick(50)).fill(2 ** (20 + pick(33)));
  },
  'huge length': (file, _entry, pick) => {
    file.claimed = LENGTHS[pick(LENGTHS.length)];
  },
  'duplicate key': (file, _entry, pick) => {
    file.members.push(file.members[pick(file.members.length)]);
  },
  'wrong dtype': (_file, entry, pick) => {
    entry.dtype = ['F8_E4M3', 'f32', '', 'constructor', '__proto__', 'F32 '][pick(6)];
  },
  'bytes of another dtype': (_file, entry) => {
    entry.dtype = entry.dtype === 'U8' || entry.dtype === 'BOOL' ? 'F64' : 'U8';
    entry.shape = [...entry.shape.filter((extent) => extent !== 0), 3]; // 3 or 24 against 1, 2, 4 or 8 bytes
  },
  truncated: (file, _entry, pick) => {
    file.cut = 1 + pick(200);
  },
  'no object': (file, _entry, pick) => {
    file.members.push(['odd', [null, 3, 'x', [], true][pick(5)]]);
  },
};

function encode({ members, dataBytes, claimed, cut }: Draft): Buffer<ArrayBuffer> {
  const json = Buffer.from(
    `{${members.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(',')}}`,
  );
  const bytes = Buffer.alloc(8 + json.length + dataBytes, 1);
  bytes.writeBigUInt64LE(claimed ?? BigInt(json.length));
  json.copy(bytes, 8);
  return bytes.subarray(0, Math.max(0, bytes.length - cut));
}

/** One to three edits of bytes anywhere, which may or may not matter. */
function scramble(bytes: Buffer<ArrayBuffer>, pick: Pick): Buffer<ArrayBuffer> {
  let result = Buffer.from(bytes);
  for (let edits = 1 + pick(3); edits > 0; edits--) {
    const at = pick(result.length + 1);
    const piece = Buffer.from(PIECES[pick(PIECES.length)], 'latin1');
    const kind = pick(4);
    if (kind === 0 && result.length > 0) result[at % result.length] = pick(256);
    if (kind === 1) result = Buffer.concat([result.subarray(0, at), result.subarray(at + 1 + pick(9))]);
    if (kind === 2) result = Buffer.concat([result.subarray(0, at), piece, result.subarray(at)]);
    if (kind === 3) piece.copy(result, at);
  }
  return result;
}

/** Knows the largest range that was asked for. */
class WatchedBlob extends Blob {
  largestBytes = 0;

  override slice(begin: number, end: number): Blob {
    this.largestBytes = Math.max(this.largestBytes, end - begin);
    return super.slice(begin, end);
  }
}

const LIMIT_MS = 1000; // a case takes less than one

/** Opens a file and reads all of it; false when it was refused as it should be. Anything else throws. */
async function opens(bytes: Buffer<ArrayBuffer>, what: string): Promise<boolean> {
  const started = performance.now();
  const source = new WatchedBlob([bytes]);
  try {
    const file = await openSafetensors(source);
    let sumBytes = 0;
    for (const [name, { sizeBytes }] of file.tensors) {
      sumBytes += sizeBytes;
      await file.f32(name);
    }
    assert.is(sumBytes, bytes.length - 8 - Number(bytes.readBigUInt64LE()), `${what}: tensors fill the file`);
    return true;
  } catch (error) {
    assert.instance(error, SafetensorsError, `${what}: ${error}`);
    return false;
  } finally {
    assert.ok(
      source.largestBytes <= bytes.length,
      `${what}: asked for ${source.largestBytes} of ${bytes.length} bytes`,
    );
    assert.ok(performance.now() - started < LIMIT_MS, `${what}: took more than ${LIMIT_MS} ms`);
  }
}

/** Runs `count` cases: a tenth valid, half with a fault, the rest scrambled. Every fault occurs. */
export async function fuzzSafetensors(
  count: number,
  seed: number,
): Promise<{ opened: number; refused: number }> {
  const pick = picker(seed);
  const counts = { opened: 0, refused: 0 };
  const seen = new Set<string>();
  const names = Object.keys(FAULTS);
  for (let i = 0; i < count; i++) {
    const file = draft(pick);
    const what = i % 10 === 0 ? 'valid' : i % 2 === 0 ? 'scrambled' : names[pick(names.length)];
    if (what in FAULTS) {
      const [, entry] = file.members[pick(file.members.length)];
      FAULTS[what](file, entry as Entry, pick);
    }
    const bytes = what === 'scrambled' ? scramble(encode(file), pick) : encode(file);
    const opened = await opens(bytes, `case ${i}, ${what}`);
    if (what !== 'scrambled')
      assert.is(opened, what === 'valid', `case ${i}, ${what}: ${bytes.toString('latin1').slice(8)}`);
    counts[opened ? 'opened' : 'refused'] += 1;
    seen.add(what);
  }
  assert.is(seen.size, names.length + 2);
  return counts;
}
