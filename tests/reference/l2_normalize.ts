/** Rows of C numbers divided by max(length, eps); float64. */
export function l2Normalize(x: Float64Array, C: number, eps = 1e-12): Float64Array {
  const y = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += C) {
    let squares = 0;
    for (let c = 0; c < C; c++) squares += x[start + c] ** 2;
    for (let c = 0; c < C; c++) y[start + c] = x[start + c] / Math.max(Math.sqrt(squares), eps);
  }
  return y;
}
