// Sums over ranks of numbers that travel as bf16: half the bytes of f32, for two roundings.
import type { Transport } from './transport.ts';

/**
 * Replaces bf16 numbers by their sums over all ranks, the same bits on each. Every rank adds up one part of them in f32, in
 * the order of ranks, and rounds it once; then the parts are gathered. What a rank sends is 2 (N - 1)/N times 2 bytes a number,
 * as in a ring.
 *
 * @param bits  bf16 patterns
 */
export async function sumBf16(transport: Transport, bits: Uint16Array): Promise<void> {
  const { rank, size } = transport;
  if (size === 1) return;
  const length = Math.ceil(bits.length / size);
  const partOf = (r: number): Uint16Array => {
    const part = new Uint16Array(length); // the last ones may be longer than what is left
    part.set(bits.subarray(r * length, (r + 1) * length));
    return part;
  };
  const received: Uint16Array[] = [];
  received[rank] = partOf(rank);
  for (let distance = 1; distance < size; distance++) {
    const [to, from] = [(rank + distance) % size, (rank + size - distance) % size];
    const bytes = await transport.sendReceive(bytesOf(partOf(to)), to, from);
    received[from] = new Uint16Array(bytes.buffer, bytes.byteOffset, length);
  }
  const sums = new Float32Array(length);
  const words = new Uint32Array(length);
  const numbers = new Float32Array(words.buffer);
  for (const part of received) {
    for (let i = 0; i < length; i++) words[i] = part[i] << 16;
    for (let i = 0; i < length; i++) sums[i] += numbers[i];
  }
  const all = await transport.allGather(bytesOf(toBf16(sums)));
  bits.set(new Uint16Array(all.buffer, all.byteOffset, bits.length));
}

function bytesOf(part: Uint16Array): Uint8Array {
  return new Uint8Array(part.buffer, part.byteOffset, part.byteLength);
}

/** Rounds to the nearest bf16, ties to even; NaN stays NaN. */
function toBf16(values: Float32Array): Uint16Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const bits = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++)
    bits[i] = Number.isNaN(values[i]) ? 0x7fc0 : (words[i] + 0x7fff + ((words[i] >>> 16) & 1)) >>> 16;
  return bits;
}
