/** Queries [T, K] over keys and values [M, K] of one head, with every gradient by its formula; float64. */
export function attentionStrips(
  q: Float64Array,
  k: Float64Array,
  v: Float64Array,
  dout: Float64Array,
  { T, M, K }: { T: number; M: number; K: number },
): Record<'out' | 'dq' | 'dk' | 'dv', Float64Array> {
  const out = new Float64Array(T * K);
  const dq = new Float64Array(T * K);
  const dk = new Float64Array(M * K);
  const dv = new Float64Array(M * K);
  const scale = 1 / Math.sqrt(K);
  const w = new Float64Array(M);
  for (let t = 0; t < T; t++) {
    let total = 0;
    let top = Number.NEGATIVE_INFINITY;
    for (let j = 0; j < M; j++) {
      w[j] = 0;
      for (let d = 0; d < K; d++) w[j] += scale * q[t * K + d] * k[j * K + d];
      top = Math.max(top, w[j]);
    }
    for (let j = 0; j < M; j++) {
      w[j] = Math.exp(w[j] - top);
      total += w[j];
    }
    let delta = 0;
    for (let d = 0; d < K; d++) {
      for (let j = 0; j < M; j++) out[t * K + d] += (w[j] / total) * v[j * K + d];
      delta += out[t * K + d] * dout[t * K + d];
    }
    for (let j = 0; j < M; j++) {
      const p = w[j] / total;
      let dp = 0;
      for (let d = 0; d < K; d++) dp += dout[t * K + d] * v[j * K + d];
      const ds = scale * p * (dp - delta);
      for (let d = 0; d < K; d++) {
        dq[t * K + d] += ds * k[j * K + d];
        dk[j * K + d] += ds * q[t * K + d];
        dv[j * K + d] += p * dout[t * K + d];
      }
    }
  }
  return { out, dq, dk, dv };
}
