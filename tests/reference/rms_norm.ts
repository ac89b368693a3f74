/** y = x / sqrt(mean(x^2) + eps) * gamma over rows of gamma.length; float64. */
export function rmsNorm(x: Float64Array, gamma: Float64Array, eps = 1e-6): Float64Array {
  const C = gamma.length;
  const y = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += C) {
    let square = 0;
    for (let c = 0; c < C; c++) square += x[start + c] ** 2 / C;
    for (let c = 0; c < C; c++) y[start + c] = (x[start + c] / Math.sqrt(square + eps)) * gamma[c];
  }
  return y;
}
