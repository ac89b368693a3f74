// Numbers to compute with. Sines of large arguments cost more than many a kernel, hence only the first are computed.

/** Prime, so that no two rows or planes of an operand are alike. */
const PERIOD = 65_521;

/** sin(step i) for i < n, from its 65,521st value on over again. */
export function wave(n: number, step = 1): Float32Array {
  return repeated(
    Float32Array.from({ length: Math.min(n, PERIOD) }, (_, i) => Math.sin(step * i)),
    n,
  );
}

/** The first values over and over, n in all. */
export function repeated(first: Float32Array, n: number): Float32Array {
  const values = new Float32Array(n);
  values.set(first.subarray(0, n));
  for (let filled = first.length; filled < n; filled *= 2) values.copyWithin(filled, 0, filled);
  return values;
}

/** Bytes that scatter evenly; Knuth's multiplicative hash. */
export function bytes(n: number): Uint8Array {
  const values = new Uint8Array(n);
  for (let i = 0; i < n; i++) values[i] = Math.imul(i, 2654435761) >>> 24;
  return values;
}

/** xorshift32, uniform in [-scale, scale). */
export function uniform(length: number, seed: number, scale: number): Float32Array {
  let state = Math.imul(seed, 2654435761) >>> 0;
  return Float32Array.from({ length }, () => {
    state ^= state << 13;
    state >>>= 0;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return (state / 2 ** 31 - 1) * scale;
  });
}
