/** Queries [T, K] over keys and values [M, K] of one head, by the whole matrix of scores; float64. */
export function attentionTiled(
  q: Float64Array,
  k: Float64Array,
  v: Float64Array,
  { T, M, K }: { T: number; M: number; K: number },
): Float64Array {
  const dot = (t: number, j: number): number => {
    let sum = 0;
    for (let d = 0; d < K; d++) sum += q[t * K + d] * k[j * K + d];
    return sum / Math.sqrt(K);
  };
  return Float64Array.from({ length: T * K }, (_, i) => {
    const weights = Array.from({ length: M }, (_, j) => Math.exp(dot(Math.floor(i / K), j)));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return weights.reduce((sum, weight, j) => sum + (weight / total) * v[j * K + (i % K)], 0);
  });
}
