/** n times `value`. */
export function fill(n: number, value: number): Float64Array {
  return new Float64Array(n).fill(value);
}
