/** n times `value`. */
export function fill(n: number, value: number): Float64Array {
  return new Float64Array(n).fill(value);
}

/** 0 to n - 1. */
export function arange(n: number): Float64Array {
  const values = new Float64Array(n);
  for (let i = 0; i < n; i++) values[i] = i;
  return values;
}
