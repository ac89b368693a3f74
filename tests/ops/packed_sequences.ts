// Packed sequences beside each of them alone, by the twin, for tests with every plan.
import { type AttentionOptions, attention, backward } from '../../engine/index.ts';
import { compare, engine, random, TOLERANCE, tensor } from '../harness.ts';
import { headGradients } from '../reference/attention.ts';

/** Output and all gradients of one head of K over sequences that end at T. */
export async function checkPacked(sequences: readonly number[], K: number, causal: boolean): Promise<void> {
  using scope = engine.scope();
  const T = sequences.at(-1)!;
  const data = [1, 2, 3, 4].map((seed) => random(T * K, seed));
  const [q, k, v, dout] = data.map((x) => tensor(x, [1, T, 1, K], { scope, requiresGrad: true }));
  const boundaries = tensor(Int32Array.from(sequences), [sequences.length], { scope });
  const out = attention(q, k, v, { causal, sequences: boundaries, force: 'query_blocks' });
  backward(out, { seed: dout });
  const results = [out, q.grad!, k.grad!, v.grad!];
  const got = await Promise.all(results.map((x) => x.data()));
  for (const [s, end] of sequences.slice(1).entries()) {
    const first = sequences[s];
    const own = <A extends Float32Array | Float64Array>(x: A): A => x.subarray(first * K, end * K) as A;
    const [queries, keys, values, douts] = data.map(own);
    const sizes = { T: end - first, M: end - first, K, causal };
    const want = headGradients(queries, keys, values, douts, sizes);
    for (const [i, name] of (['out', 'dq', 'dk', 'dv'] as const).entries())
      compare(`${name} of sequence ${s}`, own(got[i]), want[name], i > 0 ? TOLERANCE.grad : TOLERANCE.f32);
  }
}

/** A causal sequence of which a mask hides every key: its queries average the values before them, and no other's. */
export async function checkMasked(force?: AttentionOptions['force']): Promise<void> {
  using scope = engine.scope();
  const [T, K, first, end] = [150, 4, 40, 90];
  const [q, k, v] = [1, 2, 3].map((seed) => random(T * K, seed));
  const heads = [q, k, v].map((x) => tensor(x, [1, T, 1, K], { scope }));
  const sequences = tensor(Int32Array.of(0, first, end, T), [4], { scope });
  const kept = Array.from({ length: T }, (_, j) => (j >= first && j < end ? 0 : 1));
  const keyMask = tensor(kept, [1, T], { scope });
  const options = { causal: true, sequences, keyMask, force };
  const out = await attention(heads[0], heads[1], heads[2], options).data();
  const want = Float64Array.from({ length: (end - first) * K }, (_, e) => {
    const [t, d] = [Math.floor(e / K), e % K];
    const before = Array.from({ length: t + 1 }, (_, j) => v[(first + j) * K + d]);
    return before.reduce((sum, value) => sum + value) / (t + 1);
  });
  compare('out', out.subarray(first * K, end * K), want);
}
