import { erf } from './erf.ts';

/** Functions of one number in float64, by the names of engine/ops/unary/unary.ts. */
export const UNARY: Readonly<Record<string, (x: number) => number>> = {
  neg: (x) => -x,
  abs: Math.abs,
  exp: Math.exp,
  log: Math.log,
  sqrt: Math.sqrt,
  rsqrt: (x) => 1 / Math.sqrt(x),
  square: (x) => x * x,
  reciprocal: (x) => 1 / x,
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  tanh: Math.tanh,
  relu: (x) => Math.max(x, 0),
  erf,
  sin: Math.sin,
  cos: Math.cos,
  floor: Math.floor,
  ceil: Math.ceil,
  round: (x) => (Math.abs(x - Math.trunc(x)) === 0.5 ? 2 * Math.round(x / 2) : Math.round(x)),
  sign: Math.sign,
  softplus: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
};

/** mul x + add. */
export function affine(x: Float64Array, mul: number, add: number): Float64Array {
  return x.map((value) => mul * value + add);
}

/** x bounded to [low, high]. */
export function clamp(x: Float64Array, low: number, high: number): Float64Array {
  return x.map((value) => Math.min(Math.max(value, low), high));
}
