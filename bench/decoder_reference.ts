// What a decoder computes, in float64, by the twins of its ops.
import { ropeFrequencies } from '../ps3/language/decoder.ts';
import { attendCached } from '../tests/reference/kv_cache.ts';
import { rmsNorm } from '../tests/reference/rms_norm.ts';
import { swiglu } from '../tests/reference/swiglu.ts';
import { cachedRows, type DecoderTask, type DecoderWeight, decoderWeights, newIds } from './decoder.ts';

/** x weight^T of rows of K. */
function product(x: Float64Array, { values, shape: [N, K] }: DecoderWeight): Float64Array {
  const M = x.length / K;
  const y = new Float64Array(M * N);
  for (let m = 0; m < M; m++)
    for (let n = 0; n < N; n++) {
      let sum = 0;
      for (let k = 0; k < K; k++) sum += x[m * K + k] * values[n * K + k];
      y[m * N + n] = sum;
    }
  return y;
}

const plus = (a: Float64Array, b: ArrayLike<number>): Float64Array => a.map((x, i) => x + b[i % b.length]);

/** Logits of the token after the new ones. */
export function decoderLogits(task: DecoderTask): Float64Array {
  const { config, tokens: T, position } = task;
  const { width: D, heads: H, kvHeads: G, headSize: K, layers, normEps } = config;
  const weights = decoderWeights(config);
  const next = (): DecoderWeight => weights.next().value;
  const norm = (x: Float64Array): Float64Array => rmsNorm(x, Float64Array.from(next().values), normEps);
  const frequencies = Float64Array.from(ropeFrequencies(config));
  const embedding = next();
  let h: Float64Array = Float64Array.from(
    [...newIds(task)].flatMap((id) => [...embedding.values.subarray(id * D, (id + 1) * D)]),
  );
  for (let block = 0; block < layers; block++) {
    const qkv = plus(product(norm(h), next()), next().values);
    const kept = Float64Array.from(cachedRows(config, block));
    const sizes = { B: 1, T, H, G, K, length: config.contextLength, offsets: [position] };
    let { out }: { out: Float64Array } = attendCached(kept, qkv, frequencies, sizes);
    // Only the last token is asked for, once all have given their keys.
    if (block === layers - 1) [out, h] = [out.subarray(-H * K), h.subarray(-D)];
    h = plus(product(out, next()), h);
    h = plus(product(swiglu(product(norm(h), next()), config.mlpHidden), next()), h);
  }
  return product(norm(h), embedding);
}
