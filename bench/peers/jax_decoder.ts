// A decoder in jax-js: a function of all weights and the keys and values of the tokens before, compiled as a whole.
import type { LanguageConfig } from '../../ps3/language/config.ts';
import { cachedRows, type DecoderTask, decoderWeights, newIds, rotations } from '../decoder.ts';
import type { Jax, JaxArray } from './jax_api.ts';
import type { PeerRun } from './peer.ts';

/** Keys and values of the tokens before: [1, position, G, K] each. */
type Cached = readonly [keys: JaxArray, values: JaxArray];

export async function prepareDecoder(jax: Jax, task: DecoderTask): Promise<PeerRun> {
  const { numpy } = jax;
  const { config, tokens, position } = task;
  const { kvHeads, headSize, layers } = config;
  const weights = [...decoderWeights(config)].map(({ values, shape }) => numpy.array(values, { shape }));
  const cached = Array.from({ length: position > 0 ? layers : 0 }, (_, block): Cached => {
    const rows = cachedRows(config, block);
    const half = kvHeads * headSize;
    const of = (first: number): JaxArray =>
      numpy.array(
        Float32Array.from(
          { length: position * half },
          (_, e) => rows[Math.floor(e / half) * 2 * half + first + (e % half)],
        ),
        { shape: [1, position, kvHeads, headSize] },
      );
    return [of(0), of(half)];
  });
  const angles = [Math.cos, Math.sin].map((of) => {
    const pairs = headSize / 2;
    const rows = rotations(config, of).slice(position * pairs, (position + tokens) * pairs);
    return numpy.array(rows, { shape: [1, tokens, 1, pairs] });
  });
  const ids = numpy.array(newIds(task), { shape: [tokens] });
  const step = jax.jit(
    (weights: readonly JaxArray[], cached: readonly Cached[], angles: readonly JaxArray[], ids: JaxArray) =>
      decode(jax, config, weights, cached, angles, ids),
  );
  await jax.blockUntilReady([...weights, ...cached.flat()]);
  const kept = (arrays: readonly JaxArray[]): JaxArray[] => arrays.map(({ ref }) => ref);
  let latest: JaxArray[] = [];
  const drop = (): void => {
    for (const array of latest) array.dispose();
    latest = [];
  };
  return {
    run: async (count) => {
      drop();
      for (let i = 0; i < count; i++) {
        const given = cached.map(([k, v]): Cached => [k.ref, v.ref]);
        latest.push(...step(kept(weights), given, kept(angles), ids.ref));
      }
      await jax.blockUntilReady(latest);
    },
    read: () => latest[latest.length - 1].ref.data(),
    dispose: async () => {
      drop();
      for (const array of [...weights, ...cached.flat(), ...angles, ids]) array.dispose();
    },
  };
}

/** @returns keys and values of all tokens in each block, then the logits of the next token, [1, V] */
function decode(
  { numpy, nn }: Jax,
  { width: D, heads: H, kvHeads: G, headSize: K, layers, normEps }: LanguageConfig,
  weights: readonly JaxArray[],
  cached: readonly Cached[],
  [cosines, sines]: readonly JaxArray[],
  ids: JaxArray,
): JaxArray[] {
  let used = 0;
  const next = (): JaxArray => weights[used++];
  const [T] = ids.shape;
  const linear = (x: JaxArray, weight = next()): JaxArray => numpy.matmul(x, weight.transpose([1, 0]));
  const norm = (x: JaxArray): JaxArray => {
    const square = x.ref.mul(x.ref).mean(-1).add(normEps).reshape([x.shape[0], 1]);
    return x.div(numpy.sqrt(square)).mul(next());
  };
  const rotated = (x: JaxArray): JaxArray => {
    const [a, b] = numpy.split(x, 2, -1);
    const first = a.ref.mul(cosines.ref).sub(b.ref.mul(sines.ref));
    return numpy.concatenate([first, b.mul(cosines.ref).add(a.mul(sines.ref))], -1);
  };
  const embedding = next();
  const kept: JaxArray[] = [];
  let h = numpy.take(embedding.ref, ids, 0);
  for (let block = 0; block < layers; block++) {
    const qkv = linear(norm(h.ref)).add(next());
    const [q, k, v] = numpy.split(qkv.reshape([1, T, H + 2 * G, K]), [H, H + G], 2);
    const before = cached[block];
    const behind = (rows: JaxArray, at: 0 | 1): JaxArray =>
      before ? numpy.concatenate([before[at], rows], 1) : rows;
    const [keys, values] = [behind(rotated(k), 0), behind(v, 1)];
    kept.push(keys.ref, values.ref);
    const heard = nn.dotProductAttention(rotated(q), keys, values, { isCausal: !before });
    h = h.add(linear(heard.reshape([T, H * K])));
    const [gate, up] = numpy.split(linear(norm(h.ref)), 2, -1);
    h = h.add(linear(nn.silu(gate).mul(up)));
  }
  const [last] = numpy.split(h, [T - 1], 0).slice(-1);
  cosines.dispose();
  sines.dispose();
  return [...kept, linear(norm(last.reshape([1, D])), embedding)];
}
