/** softmax(scale q k^T) v for one head; rows of length K, `attended[j]` says which keys count; float64. */
function head(
  q: (t: number, d: number) => number,
  k: (j: number, d: number) => number,
  v: (j: number, d: number) => number,
  attended: readonly boolean[],
  T: number,
  K: number,
): number[][] {
  return Array.from({ length: T }, (_, t) => {
    const scores = attended.map((_, j) => {
      let sum = 0;
      for (let d = 0; d < K; d++) sum += q(t, d) * k(j, d);
      return sum / Math.sqrt(K);
    });
    const top = Math.max(...scores.filter((_, j) => attended[j]));
    const weights = scores.map((score, j) => (attended[j] ? Math.exp(score - top) : 0));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return Array.from({ length: K }, (_, d) =>
      weights.reduce((sum, weight, j) => sum + (weight / total) * v(j, d), 0),
    );
  });
}

/** Self-attention of qkv [B, T, 3C] with the keys and values of cached [B, N, 3C] before its own. */
export function selfAttention(
  qkv: Float64Array,
  cached: Float64Array,
  { B, T, N, C, heads }: { B: number; T: number; N: number; C: number; heads: number },
): Float64Array {
  const K = C / heads;
  const out = new Float64Array(B * T * C);
  for (let z = 0; z < B; z++)
    for (let h = 0; h < heads; h++) {
      const at = (j: number, column: number, d: number): number =>
        j < N
          ? cached[(z * N + j) * 3 * C + column * C + h * K + d]
          : qkv[(z * T + j - N) * 3 * C + column * C + h * K + d];
      const rows = head(
        (t, d) => at(N + t, 0, d),
        (j, d) => at(j, 1, d),
        (j, d) => at(j, 2, d),
        new Array(N + T).fill(true),
        T,
        K,
      );
      for (let t = 0; t < T; t++) for (let d = 0; d < K; d++) out[(z * T + t) * C + h * K + d] = rows[t][d];
    }
  return out;
}

/** Attention of q [1 or B, T, C] over kv [B, M, 2C]; a row of `mask` [B, M] that is all zero attends to everything. */
export function poolAttention(
  q: Float64Array,
  kv: Float64Array,
  { B, T, M, C, heads }: { B: number; T: number; M: number; C: number; heads: number },
  mask?: Float64Array,
): Float64Array {
  const K = C / heads;
  const qBatch = q.length === T * C ? 0 : T * C;
  const out = new Float64Array(B * T * C);
  for (let z = 0; z < B; z++) {
    const row = Array.from({ length: M }, (_, j) => mask?.[z * M + j] !== 0);
    const attended = row.some(Boolean) ? row : row.map(() => true);
    for (let h = 0; h < heads; h++) {
      const rows = head(
        (t, d) => q[z * qBatch + t * C + h * K + d],
        (j, d) => kv[(z * M + j) * 2 * C + h * K + d],
        (j, d) => kv[(z * M + j) * 2 * C + C + h * K + d],
        attended,
        T,
        K,
      );
      for (let t = 0; t < T; t++) for (let d = 0; d < K; d++) out[(z * T + t) * C + h * K + d] = rows[t][d];
    }
  }
  return out;
}
