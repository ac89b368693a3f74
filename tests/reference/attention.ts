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

/** Queries [T, K] over keys and values [M, K] of one head, with every gradient by its formula; float64. With `causal`, query t sees keys 0 to t. */
export function headGradients(
  q: Float64Array,
  k: Float64Array,
  v: Float64Array,
  dout: Float64Array,
  { T, M, K, causal }: { T: number; M: number; K: number; causal?: boolean },
): Record<'out' | 'dq' | 'dk' | 'dv', Float64Array> {
  const out = new Float64Array(T * K);
  const dq = new Float64Array(T * K);
  const dk = new Float64Array(M * K);
  const dv = new Float64Array(M * K);
  const scale = 1 / Math.sqrt(K);
  const w = new Float64Array(M);
  for (let t = 0; t < T; t++) {
    const seen = causal ? t + 1 : M;
    let total = 0;
    let top = Number.NEGATIVE_INFINITY;
    for (let j = 0; j < seen; j++) {
      w[j] = 0;
      for (let d = 0; d < K; d++) w[j] += scale * q[t * K + d] * k[j * K + d];
      top = Math.max(top, w[j]);
    }
    for (let j = 0; j < seen; j++) {
      w[j] = Math.exp(w[j] - top);
      total += w[j];
    }
    let delta = 0;
    for (let d = 0; d < K; d++) {
      for (let j = 0; j < seen; j++) out[t * K + d] += (w[j] / total) * v[j * K + d];
      delta += out[t * K + d] * dout[t * K + d];
    }
    for (let j = 0; j < seen; j++) {
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

/** Extents of an attention: H query heads over G heads of keys and values. */
export interface Heads {
  readonly B: number;
  readonly H: number;
  readonly G: number;
  readonly Tq: number;
  readonly Tk: number;
  readonly K: number;
  readonly V: number;
}

export interface Scores {
  readonly product: Float64Array;
  readonly capped: Float64Array;
  readonly masked: Float64Array;
  readonly weights: Float64Array;
}

/** softmax(cap(scale q k^T) + mask) v in plain loops; mask [B, H, Tq, Tk] may hold -infinity; a query from which it hides all keys gets zeros. */
export function composedAttention(
  q: Float64Array,
  k: Float64Array,
  v: Float64Array,
  mask: Float64Array,
  { B, H, G, Tq, Tk, K, V }: Heads,
  scale: number,
  softcap: number | undefined,
): { y: Float64Array; scores: Scores } {
  const size = B * H * Tq * Tk;
  const [product, capped, masked, weights] = [0, 1, 2, 3].map(() => new Float64Array(size));
  const y = new Float64Array(B * H * Tq * V);
  for (let row = 0; row < B * H * Tq; row++) {
    const b = Math.floor(row / (H * Tq));
    const h = Math.floor(row / Tq) % H;
    const keys = (b * G + Math.floor(h / (H / G))) * Tk;
    let total = 0;
    for (let j = 0; j < Tk; j++) {
      const at = row * Tk + j;
      for (let d = 0; d < K; d++) product[at] += scale * q[row * K + d] * k[(keys + j) * K + d];
      capped[at] = softcap === undefined ? product[at] : softcap * Math.tanh(product[at] / softcap);
      masked[at] = capped[at] + mask[at];
      weights[at] = Math.exp(masked[at]);
      total += weights[at];
    }
    for (let j = 0; j < Tk; j++) {
      weights[row * Tk + j] /= total || 1;
      for (let d = 0; d < V; d++) y[row * V + d] += weights[row * Tk + j] * v[(keys + j) * V + d];
    }
  }
  return { y, scores: { product, capped, masked, weights } };
}
