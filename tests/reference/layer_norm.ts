/** y = (x - mean) / sqrt(variance + eps) * gamma + beta over rows of gamma.length; float64. */
export function layerNorm(
  x: Float64Array,
  gamma: Float64Array,
  beta: Float64Array,
  eps = 1e-6,
): Float64Array {
  const C = gamma.length;
  const y = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += C) {
    let mean = 0;
    for (let c = 0; c < C; c++) mean += x[start + c] / C;
    let variance = 0;
    for (let c = 0; c < C; c++) variance += (x[start + c] - mean) ** 2 / C;
    for (let c = 0; c < C; c++)
      y[start + c] = ((x[start + c] - mean) / Math.sqrt(variance + eps)) * gamma[c] + beta[c];
  }
  return y;
}
