// Numbers to compute with. Sines of large arguments cost more than many a kernel, hence only the first are computed.

/** Prime, so that no two rows or planes of an operand are alike. */
const PERIOD = 65_521;

/** sin(step i) for i < n, from its 65,521st value on over again. */
export function wave(n: number, step = 1): Float32Array {
  const values = new Float32Array(n);
  for (let i = 0; i < Math.min(n, PERIOD); i++) values[i] = Math.sin(step * i);
  for (let filled = PERIOD; filled < n; filled *= 2) values.copyWithin(filled, 0, filled);
  return values;
}

/** Bytes that scatter evenly; Knuth's multiplicative hash. */
export function bytes(n: number): Uint8Array {
  const values = new Uint8Array(n);
  for (let i = 0; i < n; i++) values[i] = Math.imul(i, 2654435761) >>> 24;
  return values;
}
