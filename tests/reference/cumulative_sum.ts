/** Sums up to each element of rows of C. */
export function cumulativeSum(x: Float64Array, C: number): Float64Array {
  const y = x.slice();
  for (let e = 0; e < y.length; e++) if (e % C > 0) y[e] += y[e - 1];
  return y;
}
