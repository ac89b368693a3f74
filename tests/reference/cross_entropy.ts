/**
 * Mean of log sum_v e^z[n, v] - z[n, label n] over the rows whose label is not `ignored`, for logits [N, V]; 0 where there
 * is none; float64.
 */
export function crossEntropy(
  logits: Float64Array,
  labels: ArrayLike<number>,
  V: number,
  ignored = -100,
): number {
  let loss = 0;
  let count = 0;
  for (let n = 0; n < labels.length; n++) {
    if (labels[n] === ignored) continue;
    const row = logits.subarray(n * V, (n + 1) * V);
    const highest = row.reduce((most, z) => Math.max(most, z), Number.NEGATIVE_INFINITY);
    const sum = row.reduce((total, z) => total + Math.exp(z - highest), 0);
    loss += highest + Math.log(sum) - row[labels[n]];
    count++;
  }
  return loss / Math.max(1, count);
}

/** The logits x weight^T of x [N, D] and weight [V, D]; float64. */
export function logitsOf(x: Float64Array, weight: Float64Array, D: number): Float64Array {
  const [N, V] = [x.length / D, weight.length / D];
  return Float64Array.from({ length: N * V }, (_, e) => {
    const [n, v] = [Math.floor(e / V), e % V];
    let sum = 0;
    for (let d = 0; d < D; d++) sum += x[n * D + d] * weight[v * D + d];
    return sum;
  });
}
