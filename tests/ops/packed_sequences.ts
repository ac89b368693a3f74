// Packed sequences beside each of them alone, by the twin, for tests with every plan.
import { attention, backward } from '../../engine/index.ts';
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
