/** Rounds to the nearest multiple of `quantum`, ties to the even multiple. Both are powers of two apart at most 2^52. */
function roundTo(value: number, quantum: number): number {
  const scaled = value / quantum;
  const low = Math.floor(scaled);
  const rest = scaled - low;
  const up = rest > 0.5 || (rest === 0.5 && low % 2 !== 0);
  return (low + Number(up)) * quantum;
}

/** The float with `fraction` fraction bits and exponents from `lowest` on that is nearest to the value. */
function nearest(value: number, fraction: number, lowest: number): number {
  if (value === 0 || !Number.isFinite(value)) return value;
  const exponent = Math.max(lowest, Math.floor(Math.log2(Math.abs(value))));
  return Math.sign(value) * roundTo(Math.abs(value), 2 ** (exponent - fraction));
}

/** The bit pattern of a value that the format holds exactly. */
function encode(value: number, fraction: number, lowest: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const magnitude = Math.abs(value);
  if (magnitude === 0) return sign;
  const bias = 1 - lowest;
  if (magnitude === Number.POSITIVE_INFINITY) return sign | ((2 * bias + 1) << fraction);
  const exponent = Math.max(lowest, Math.floor(Math.log2(magnitude)));
  const units = magnitude / 2 ** (exponent - fraction);
  return sign | (exponent === lowest ? units : ((exponent + bias) << fraction) + (units - 2 ** fraction));
}

/** f16 pattern of a number, saturating. */
export function toHalf(value: number): number {
  const rounded = nearest(value, 10, -14);
  return encode(Math.min(65504, Math.max(-65504, rounded)) || rounded, 10, -14);
}

/** bf16 pattern of a number; beyond the range infinity. */
export function toBfloat(value: number): number {
  const rounded = nearest(value, 7, -126);
  return encode(Math.abs(rounded) < 2 ** 128 ? rounded : Math.sign(rounded) / 0, 7, -126);
}

/** The number behind an f16 pattern. */
export function fromHalf(bits: number): number {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  const magnitude = exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15);
  return bits & 0x8000 ? -magnitude : magnitude;
}

/** The number behind a bf16 pattern. */
export function fromBfloat(bits: number): number {
  const exponent = (bits >> 7) & 255;
  const fraction = bits & 127;
  const magnitude = exponent === 0 ? fraction * 2 ** -133 : (1 + fraction / 128) * 2 ** (exponent - 127);
  return bits & 0x8000 ? -magnitude : magnitude;
}

/** Toward zero, at least `low`, at most `high`. */
export function toInteger(value: number, low: number, high: number): number {
  return Math.min(high, Math.max(low, Math.trunc(value))) + 0;
}
