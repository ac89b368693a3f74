import { fromHalf, toHalf } from './cast.ts';

/** Integers and the factors of their groups. */
export interface Quantized {
  readonly integers: Int8Array;
  /** One for each `group` integers, as f16 holds it. */
  readonly factors: Float64Array;
}

/** To the nearest integer, ties to even. */
function nearest(x: number): number {
  const low = Math.floor(x);
  const rest = x - low;
  return rest > 0.5 || (rest === 0.5 && low % 2 !== 0) ? low + 1 : low;
}

/** Integers of 4 bits, factor m / -8, or 8 bits, factor |m| / 127, with m the element of largest magnitude of a group; float64. */
export function quantize(w: Float64Array, bits: 4 | 8, group: number): Quantized {
  const integers = new Int8Array(w.length);
  const factors = new Float64Array(w.length / group);
  for (let g = 0; g < factors.length; g++) {
    const own = w.subarray(g * group, (g + 1) * group);
    const m = own.reduce((most, x) => (Math.abs(x) > Math.abs(most) ? x : most), 0);
    const factor = fromHalf(toHalf(bits === 4 ? m / -8 : Math.abs(m) / 127));
    const [lowest, highest] = bits === 4 ? [-8, 7] : [-127, 127];
    factors[g] = factor;
    own.forEach((x, k) => {
      integers[g * group + k] = factor === 0 ? 0 : Math.min(highest, Math.max(lowest, nearest(x / factor)));
    });
  }
  return { integers, factors };
}

/** Factor times integer. */
export function dequantize({ integers, factors }: Quantized): Float64Array {
  const group = integers.length / factors.length;
  return Float64Array.from(integers, (q, e) => q * factors[Math.floor(e / group)]);
}
