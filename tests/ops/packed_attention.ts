// Attention of packed operands, as models have them, for tests that compare it with twins of the same form.
import { type AttentionOptions, attention, type Tensor, unpackHeads } from '../../engine/index.ts';

type Force = Pick<AttentionOptions, 'force'>;

/** Queries of qkv [B, T, 3C] over the keys of cached [B, N, 3C], if given, and their own: [B, T, C]. */
export function selfAttention(
  qkv: Tensor,
  { heads, cached, force }: Force & { heads: number; cached?: Tensor },
): Tensor<'f32'> {
  const [q, k, v] = unpackHeads(qkv, { parts: 3, heads });
  const [, cachedK, cachedV] = cached ? unpackHeads(cached, { parts: 3, heads }) : [];
  const kept = cachedK && cachedV && { k: cachedK, v: cachedV };
  const [B, T, width] = qkv.shape;
  return attention(q, k, v, { cached: kept, force }).reshape([B, T, width / 3]);
}

/** Queries [1 or B, T, C] over kv [B, M, 2C]: [B, T, C]. */
export function poolAttention(
  q: Tensor,
  kv: Tensor,
  { heads, keyMask, force }: Force & { heads: number; keyMask?: Tensor },
): Tensor<'f32'> {
  const [queries] = unpackHeads(q, { parts: 1, heads });
  const [k, v] = unpackHeads(kv, { parts: 2, heads });
  return attention(queries, k, v, { keyMask, force }).reshape([kv.shape[0], ...q.shape.slice(1)]);
}
