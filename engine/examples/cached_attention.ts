// Attention with cached keys and values: tokens come one at a time, each attends to itself and to all before it, and no
// earlier token is computed again.
import { attention, concat, type Engine, linear, type Tensor, unpackHeads } from 'ps3-webgpu/engine';

/**
 * Causal self-attention of a sequence, token by token.
 *
 * @param tokens  [T, C]
 * @param weight  [3C, C], queries, keys, values from a token
 * @param heads   heads that C is divided into
 * @returns       [T, C]
 */
export async function attendTokenByToken(
  engine: Engine,
  tokens: Float32Array,
  weight: Float32Array,
  heads: number,
): Promise<Float32Array> {
  const C = Math.sqrt(weight.length / 3);
  const T = tokens.length / C;
  using scope = engine.scope();
  const qkvWeight = engine.tensor(weight, [3 * C, C], { scope });
  let cached: Tensor<'f32'> | undefined; // [1, t, 3C], queries, keys and values of the tokens before
  const outputs: Tensor<'f32'>[] = [];
  for (let t = 0; t < T; t++) {
    const token = engine.tensor(tokens.subarray(t * C, (t + 1) * C), [1, 1, C], { scope });
    const qkv = linear(token, qkvWeight);
    const [q, k, v] = unpackHeads(qkv, { parts: 3, heads });
    const [, cachedK, cachedV] = cached ? unpackHeads(cached, { parts: 3, heads }) : [];
    const before = cachedK && cachedV && { k: cachedK, v: cachedV };
    outputs.push(attention(q, k, v, { cached: before }).reshape([1, 1, C]));
    const grown: Tensor<'f32'> = cached ? concat([cached, qkv], { axis: 1 }) : qkv;
    cached?.dispose();
    cached = grown;
  }
  return await concat(outputs, { axis: 1 }).data();
}
