// The two 16-bit floating-point formats of checkpoints, as raw bits in a Uint16Array.
//
//   bf16  1 sign, 8 exponent, 7 mantissa bits: the upper half of an f32
//   f16   1 sign, 5 exponent, 10 mantissa bits: IEEE 754 binary16
//
// Narrowing rounds to nearest, ties to even; a NaN stays a NaN with its sign and upper payload bits.

/** Widens bf16 bits [n] to f32 [n], exactly. */
export function bf16ToF32(bits: Uint16Array): Float32Array<ArrayBuffer> {
  const wide = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) wide[i] = bits[i] << 16;
  return new Float32Array(wide.buffer);
}

/** Rounds f32 [n] to bf16 bits [n]; beyond the largest bf16 it becomes infinite. */
export function f32ToBf16(values: Float32Array): Uint16Array<ArrayBuffer> {
  const wide = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const bits = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) {
    const x = wide[i];
    const isNaNBits = (x & 0x7fffffff) > 0x7f800000;
    // Adding just under half a step, plus the last kept bit, carries exactly when rounding to even goes up.
    // A NaN whose payload is in the dropped half would become infinity: set the quiet bit.
    bits[i] = isNaNBits ? (x >>> 16) | 0x40 : (x + 0x7fff + ((x >>> 16) & 1)) >>> 16;
  }
  return bits;
}

/** Widens f16 bits [n] to f32 [n], exactly. */
export function f16ToF32(bits: Uint16Array): Float32Array<ArrayBuffer> {
  const values = new Float32Array(bits.length);
  const wide = new Uint32Array(values.buffer);
  for (let i = 0; i < bits.length; i++) {
    const h = bits[i];
    const sign = (h & 0x8000) << 16;
    const exponent = (h >>> 10) & 31;
    const mantissa = h & 0x3ff;
    if (exponent === 0) values[i] = (sign ? -mantissa : mantissa) * 2 ** -24;
    else if (exponent === 31) wide[i] = sign | 0x7f800000 | (mantissa << 13);
    else wide[i] = sign | ((exponent + 127 - 15) << 23) | (mantissa << 13);
  }
  return values;
}

/** Rounds f32 [n] to f16 bits [n]; magnitudes from 65520 on become infinite, those to 2^-25 zero. */
export function f32ToF16(values: Float32Array): Uint16Array<ArrayBuffer> {
  const wide = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const bits = new Uint16Array(values.length);
  for (let i = 0; i < bits.length; i++) {
    const sign = (wide[i] >>> 16) & 0x8000;
    const x = wide[i] & 0x7fffffff;
    if (x > 0x7f800000) bits[i] = sign | 0x7e00 | ((x >>> 13) & 0x3ff);
    else if (x >= 0x477ff000) bits[i] = sign | 0x7c00;
    else if (x >= 0x38800000) bits[i] = sign | ((x - 0x38000000 + 0xfff + ((x >>> 13) & 1)) >>> 13);
    // Subnormal: a multiple of 2^-24. Adding 2^52 to a float64 leaves no fraction bits, rounding to even.
    else bits[i] = sign | (Math.abs(values[i]) * 2 ** 24 + 2 ** 52 - 2 ** 52);
  }
  return bits;
}
