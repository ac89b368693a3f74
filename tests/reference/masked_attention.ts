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

/** softmax(cap(scale q k^T) + mask) v in plain loops; mask [B, H, Tq, Tk] may hold -infinity, but not for all keys of a query. */
export function attention(
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
      weights[row * Tk + j] /= total;
      for (let d = 0; d < V; d++) y[row * V + d] += weights[row * Tk + j] * v[(keys + j) * V + d];
    }
  }
  return { y, scores: { product, capped, masked, weights } };
}
