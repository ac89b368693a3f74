import {
  type AttentionVariant,
  attention,
  backward,
  type Tensor,
  type TensorData,
  unpackHeads,
  withProducts,
} from '../../engine/index.ts';
import type { BenchCase, Result } from '../harness.ts';
import { wave } from '../operands.ts';

interface Extents {
  readonly T: number;
  readonly N: number;
  readonly C: number;
  readonly K: number;
}

/** Largest error of the first row's first head, of the last row's last, and of one between. */
async function sampledError(
  out: Result,
  packed: Float32Array,
  cachedPacked: Float32Array,
  extents: Extents,
): Promise<number> {
  const got = await out.data();
  const { T, C, K } = extents;
  const heads = C / K;
  const samples = [
    [0, 0],
    [T >> 1, heads >> 1],
    [T - 1, heads - 1],
  ];
  return Math.max(...samples.map(([t, head]) => rowError(got, packed, cachedPacked, extents, t, head)));
}

/** One row and head of the first result of self-attention, by two passes in float64. */
function rowError(
  got: TensorData,
  packed: Float32Array,
  cachedPacked: Float32Array,
  { T, N, C, K }: Extents,
  t: number,
  head: number,
): number {
  const at = (j: number, column: number): number => (j < N ? j : j - N) * 3 * C + column * C + head * K;
  const scores = Array.from({ length: N + T }, (_, j) => {
    const rows = j < N ? cachedPacked : packed;
    let sum = 0;
    for (let d = 0; d < K; d++) sum += packed[t * 3 * C + head * K + d] * rows[at(j, 1) + d];
    return sum / Math.sqrt(K);
  });
  const top = Math.max(...scores);
  const total = scores.reduce((sum, score) => sum + Math.exp(score - top), 0);
  let worst = 0;
  for (let d = 0; d < K; d++) {
    const want = scores.reduce((sum, score, j) => {
      const rows = j < N ? cachedPacked : packed;
      return sum + (Math.exp(score - top) / total) * rows[at(j, 2) + d];
    }, 0);
    worst = Math.max(worst, Math.abs(want - got[t * C + head * K + d]));
  }
  return worst;
}

/** Queries of qkv [B, T, 3C] over the keys of cached [B, N, 3C], if given, and their own. */
function attendPacked(qkv: Tensor, heads: number, cached?: Tensor, force?: AttentionVariant): Tensor {
  const [q, k, v] = unpackHeads(qkv, { parts: 3, heads });
  const [, cachedK, cachedV] = cached ? unpackHeads(cached, { parts: 3, heads }) : [];
  return attention(q, k, v, { cached: cachedK && cachedV && { k: cachedK, v: cachedV }, force });
}

function selfAttentionCase(
  B: number,
  T: number,
  N: number,
  heads: number,
  K: number,
  { force, quick, onUnits }: { force?: AttentionVariant; quick?: boolean; onUnits?: boolean } = {},
): BenchCase {
  const C = heads * K;
  const variant = onUnits ? 'on units' : force;
  return {
    op: variant ? `self_attention, ${variant}` : 'self_attention',
    shape: `${B}x${T}+${N}x${heads}x${K}`,
    flops: 4 * B * T * (T + N) * C,
    bytes: 4 * B * C * (4 * T + 2 * N),
    quick,
    ...(onUnits && { tier: 3, tolerance: 5e-3 }),
    peer: B === 1 && N > 0 && !variant ? { name: 'attention', heads } : undefined,
    prepare: (engine) => {
      const [packed, cachedPacked] = [wave(B * T * 3 * C), wave(B * N * 3 * C)];
      const qkv = engine.tensor(packed, [B, T, 3 * C]);
      const cached = N > 0 ? engine.tensor(cachedPacked, [B, N, 3 * C]) : undefined;
      return {
        run: () => {
          const once = (): Tensor => attendPacked(qkv, heads, cached, force);
          return onUnits ? withProducts('f16', once) : once();
        },
        maxError: (out) => sampledError(out, packed, cachedPacked, { T, N, C, K }),
      };
    },
  };
}

/**
 * Causal attention of H heads on G; the result is checked at the last query, which sees all keys.
 *
 * @param lengths  of sequences behind each other; the last query sees those of the last one
 */
function causalCase(
  lengths: readonly number[],
  H: number,
  G: number,
  K: number,
  { quick }: { quick?: boolean } = {},
): BenchCase {
  const ends = [0];
  for (const length of lengths) ends.push(ends[ends.length - 1] + length);
  const T = ends[lengths.length];
  const first = ends[lengths.length - 1];
  const isPacked = lengths.length > 1;
  const pairs = lengths.reduce((sum, length) => sum + (length * (length + 1)) / 2, 0);
  return {
    op: `${isPacked ? 'packed' : 'causal'}_attention`,
    shape: `1x${lengths.join('+')}x${H}on${G}x${K}`,
    flops: 4 * pairs * H * K,
    bytes: 4 * T * K * (2 * H + 2 * G),
    quick,
    peer: T === 512 ? { name: 'causalAttention', heads: H, kvHeads: G } : undefined,
    prepare: (engine) => {
      const [q, k, v] = [wave(T * H * K), wave(T * G * K), wave(T * G * K)];
      const [queries, keys, values] = [
        engine.tensor(q, [1, T, H, K]),
        engine.tensor(k, [1, T, G, K]),
        engine.tensor(v, [1, T, G, K]),
      ];
      const sequences = isPacked ? engine.tensor(Int32Array.from(ends), [ends.length]) : undefined;
      return {
        run: () => attention(queries, keys, values, { causal: true, sequences }),
        maxError: async (out) => {
          const got = (await out.data()).subarray(((T - 1) * H + H - 1) * K);
          const at = (j: number): number => ((first + j) * G + G - 1) * K;
          const weights = Array.from({ length: T - first }, (_, j) => {
            let sum = 0;
            for (let d = 0; d < K; d++) sum += q[((T - 1) * H + H - 1) * K + d] * k[at(j) + d];
            return Math.exp(sum / Math.sqrt(K));
          });
          const total = weights.reduce((sum, weight) => sum + weight, 0);
          const errors = Array.from(got, (value, d) => {
            const want = weights.reduce((sum, weight, j) => sum + (weight / total) * v[at(j) + d], 0);
            return Math.abs(value - want);
          });
          return Math.max(...errors);
        },
      };
    },
  };
}

/** Forward and backward; the result is the gradient, checked by its sum over the values of one head: that of dout. */
function gradientCase(B: number, T: number, heads: number, K: number, quick = false): BenchCase {
  const C = heads * K;
  return {
    op: 'self_attention + gradients',
    shape: `${B}x${T}x${heads}x${K}`,
    flops: 18 * B * T * T * C,
    bytes: 4 * B * C * 16 * T,
    quick,
    prepare: (engine) => {
      const qkv = engine.tensor(wave(B * T * 3 * C), [B, T, 3 * C], { requiresGrad: true });
      const dout = engine.full([B, T, heads, K], 1);
      return {
        run: () => {
          const out = attendPacked(qkv, heads);
          backward(out, { seed: dout });
          out.dispose();
          const gradient = qkv.grad!;
          qkv.variable.grad = undefined;
          return gradient;
        },
        maxError: async (gradient) => {
          const got = await gradient.data();
          let sum = 0;
          for (let t = 0; t < T; t++) sum += got[t * 3 * C + 2 * C];
          return Math.abs(sum - T) / T;
        },
      };
    },
  };
}

function poolCase(
  B: number,
  M: number,
  heads: number,
  K: number,
  { T = 1, force, quick }: { T?: number; force?: AttentionVariant; quick?: boolean } = {},
): BenchCase {
  const C = heads * K;
  return {
    op: force ? `pool_attention, ${force}` : 'pool_attention',
    shape: `${B}x${T}x${M}x${heads}x${K}`,
    flops: 4 * B * T * M * C,
    bytes: 8 * B * M * C,
    quick,
    prepare: (engine) => {
      const q = engine.tensor(wave(T * C), [1, T, heads, K]);
      const [k, v] = unpackHeads(engine.full([B, M, 2 * C], 0.25), { parts: 2, heads });
      return {
        run: () => attention(q, k, v, { force }),
        // Equal keys: the mean of equal values.
        maxError: async (out) => Math.max(...Array.from(await out.data(), (value) => Math.abs(value - 0.25))),
      };
    },
  };
}

export const cases: BenchCase[] = [
  selfAttentionCase(8, 64, 16, 3, 32, { quick: true }),
  selfAttentionCase(8, 64, 16, 3, 32, { force: 'split_kv', quick: true }),
  selfAttentionCase(8, 64, 16, 3, 32, { force: 'query_blocks', quick: true }),
  selfAttentionCase(2, 96, 32, 4, 64, { force: 'query_blocks' }),
  selfAttentionCase(1, 729, 0, 16, 72, { force: 'query_blocks' }),
  selfAttentionCase(1, 1024, 729, 16, 72, { force: 'query_blocks' }),
  selfAttentionCase(8, 144, 16, 3, 32),
  selfAttentionCase(1, 729, 0, 16, 72),
  selfAttentionCase(1, 256, 729, 16, 72),
  selfAttentionCase(1, 2560, 729, 16, 72),
  // Unmeasured on hardware so far.
  selfAttentionCase(8, 64, 16, 3, 32, { force: 'flash', quick: true }),
  selfAttentionCase(1, 2560, 729, 16, 72, { force: 'flash' }),
  selfAttentionCase(8, 64, 16, 3, 32, { onUnits: true, quick: true }),
  selfAttentionCase(1, 2560, 729, 16, 72, { onUnits: true }),
  gradientCase(8, 144, 3, 32, true),
  gradientCase(1, 729, 16, 72),
  causalCase([128], 6, 2, 32, { quick: true }),
  causalCase([512], 14, 2, 64),
  causalCase([2048], 14, 2, 64),
  causalCase([17, 70, 41], 6, 2, 32, { quick: true }),
  causalCase([300, 131, 512, 80, 1], 14, 2, 64),
  poolCase(32, 145, 3, 32, { quick: true }),
  poolCase(1, 3289, 16, 72),
  // Where the plan changes from one to the other on CPUs.
  ...[1, 2, 4].flatMap((T) =>
    (['split_kv', 'query_blocks'] as const).map((force) => poolCase(1, 729, 16, 72, { T, force })),
  ),
];
