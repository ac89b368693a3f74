import { rope } from './rope.ts';

/** B rows of T tokens at `offsets`, H heads of queries on G of keys, K elements each. */
export interface CachedSizes {
  readonly B: number;
  readonly T: number;
  readonly H: number;
  readonly G: number;
  readonly K: number;
  /** Tokens that a row of the cache has room for. */
  readonly length: number;
  /** Position of the first token of each row. */
  readonly offsets: readonly number[];
}

/**
 * Causal attention of new tokens to a cache that has theirs afterwards; float64, but for the angles of `rope`.
 *
 * @param kept  [B, length, 2 G K], keys, then values of each token
 * @param qkv   [B, T, (H + 2 G) K]
 * @returns     out [B, T, H, K], and the cache afterwards
 */
export function attendCached(
  kept: Float64Array,
  qkv: Float64Array,
  frequencies: Float64Array,
  { B, T, H, G, K, length, offsets }: CachedSizes,
): { out: Float64Array; kept: Float64Array } {
  const width = (H + 2 * G) * K;
  const rotated = rope(qkv, frequencies, { T, width, heads: H + G, offsets });
  const after = Float64Array.from(kept);
  const out = new Float64Array(B * T * H * K);
  for (let b = 0; b < B; b++)
    for (let t = 0; t < T; t++) {
      const row = (b * T + t) * width;
      const position = offsets[b] + t;
      if (position < length)
        after.set(rotated.subarray(row + H * K, row + width), (b * length + position) * 2 * G * K);
      for (let h = 0; h < H; h++) {
        const g = Math.floor(h / (H / G));
        const at = (j: number): number => (b * length + j) * 2 * G * K + g * K;
        const weights = Array.from({ length: Math.min(position + 1, length) }, (_, j) => {
          let sum = 0;
          for (let d = 0; d < K; d++) sum += rotated[row + h * K + d] * after[at(j) + d];
          return sum / Math.sqrt(K);
        });
        const top = Math.max(...weights);
        const total = weights.reduce((sum, score) => sum + Math.exp(score - top), 0);
        for (let d = 0; d < K; d++)
          out[((b * T + t) * H + h) * K + d] = weights.reduce(
            (sum, score, j) => sum + (Math.exp(score - top) / total) * after[at(j) + G * K + d],
            0,
          );
      }
    }
  return { out, kept: after };
}
