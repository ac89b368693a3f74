import { broadcastTo } from './reduce.ts';

/** Functions of two numbers, by the names of engine/ops/pointwise.ts. */
export const BINARY: Readonly<Record<string, (a: number, b: number) => number>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  maximum: Math.max,
  minimum: Math.min,
  pow: Math.pow,
  // The sign of the divisor, as in Python.
  remainder: (a, b) => (a % b !== 0 && a < 0 !== b < 0 ? (a % b) + b : a % b),
  greaterEqual: (a, b) => Number(a >= b),
  lessEqual: (a, b) => Number(a <= b),
  greater: (a, b) => Number(a > b),
  less: (a, b) => Number(a < b),
  equal: (a, b) => Number(a === b),
};

/** An array with its shape. */
export interface Operand {
  readonly data: Float64Array;
  readonly shape: readonly number[];
}

/** f(a, b) over arrays that broadcast to `shape`. */
export function binary(
  f: (a: number, b: number) => number,
  a: Operand,
  b: Operand,
  shape: readonly number[],
): Float64Array {
  const right = broadcastTo(b.data, b.shape, shape);
  return broadcastTo(a.data, a.shape, shape).map((value, i) => f(value, right[i]));
}

/** a where cond is not 0, b elsewhere. */
export function where(cond: Operand, a: Operand, b: Operand, shape: readonly number[]): Float64Array {
  const chosen = binary((c, u) => (c === 0 ? Number.NaN : u), cond, a, shape);
  const other = broadcastTo(b.data, b.shape, shape);
  return chosen.map((value, i) => (Number.isNaN(value) ? other[i] : value));
}
