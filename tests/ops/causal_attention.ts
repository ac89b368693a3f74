// Causal attention and heads that share keys beside their twin, for tests in every variant and with every plan.
import { attention } from '../../engine/index.ts';
import type { AttentionVariant } from '../../engine/ops/attention/plan.ts';
import { checkGradients, random, tensor } from '../harness.ts';
import { composedAttention } from '../reference/attention.ts';

/** [B, rows, heads, K] and [B, heads, rows, K], one from the other. */
function exchanged(x: Float64Array, [B, outer, inner, K]: readonly number[]): Float64Array {
  return Float64Array.from(x, (_, e) => {
    const [d, i] = [e % K, Math.floor(e / K)];
    const [o, n, b] = [i % outer, Math.floor(i / outer) % inner, Math.floor(i / outer / inner)];
    return x[(((b % B) * outer + o) * inner + n) * K + d];
  });
}

interface Sizes {
  readonly B: number;
  readonly T: number;
  /** Cached keys. */
  readonly N: number;
  readonly M: number;
  readonly H: number;
  readonly G: number;
  readonly K: number;
}

/** The first token of the sequence of each of T tokens, of those that begin at `boundaries` or at 0. */
export const firstTokens = (boundaries: readonly number[], T: number): number[] =>
  Array.from({ length: T }, (_, t) => Math.max(0, ...boundaries.filter((first) => first <= t)));

/** By the twin, with hidden scores of -infinity; tokens first, as the op has them. */
function twin(
  q: Float64Array,
  k: Float64Array,
  v: Float64Array,
  { B, T, N, M, H, G, K, offsets, sequences, causal = offsets !== undefined }: CausalCase,
): Float64Array {
  const Tk = N + M;
  const first = sequences?.map((boundaries) => firstTokens(boundaries, T));
  const isHidden = (b: number, i: number, j: number): boolean => {
    if (first && first[b % first.length][i] !== first[b % first.length][j]) return true;
    return causal && j >= N && j - N > i + (offsets ? offsets[b % offsets.length] : 0);
  };
  const mask = Float64Array.from({ length: B * H * T * Tk }, (_, e) => {
    const [j, i, b] = [e % Tk, Math.floor(e / Tk) % T, Math.floor(e / Tk / T / H)];
    return isHidden(b, i, j) ? -Infinity : 0;
  });
  const heads = { B, H, G, Tq: T, Tk, K, V: K };
  const keys = [k, v].map((x) => exchanged(x, [B, Tk, G, K]));
  const byHead = exchanged(q, [B, T, H, K]);
  const { y } = composedAttention(byHead, keys[0], keys[1], mask, heads, K ** -0.5, undefined);
  return exchanged(y, [B, H, T, K]);
}

/** Rows of cached and own keys, one after the other within each batch entry. */
function joined(kept: Float64Array, own: Float64Array, B: number): Float64Array {
  const [n, m] = [kept.length / B, own.length / B];
  return Float64Array.from({ length: B * (n + m) }, (_, e) => {
    const [b, i] = [Math.floor(e / (n + m)), e % (n + m)];
    return i < n ? kept[b * n + i] : own[b * m + i - n];
  });
}

export interface CausalCase extends Sizes {
  /** Position of the first query, of the whole batch or of each entry; none: not causal. */
  readonly offsets?: readonly number[];
  /** Where sequences begin, and where the last one ends, of the whole batch or of each entry. */
  readonly sequences?: readonly (readonly number[])[];
  /** Default: with offsets. */
  readonly causal?: boolean;
}

export const CASES: readonly CausalCase[] = [
  { B: 1, T: 1, N: 0, M: 1, H: 1, G: 1, K: 4, offsets: [0] },
  { B: 2, T: 9, N: 0, M: 9, H: 6, G: 2, K: 8, offsets: [0] },
  { B: 1, T: 70, N: 0, M: 70, H: 2, G: 1, K: 16, offsets: [0] },
  { B: 2, T: 7, N: 5, M: 7, H: 4, G: 4, K: 5, offsets: [0] },
  { B: 1, T: 3, N: 3, M: 40, H: 3, G: 1, K: 12, offsets: [21] },
  { B: 3, T: 1, N: 0, M: 37, H: 4, G: 2, K: 8, offsets: [0, 36, 11] },
  { B: 1, T: 5, N: 0, M: 7, H: 2, G: 1, K: 256, offsets: [2] },
  { B: 2, T: 33, N: 0, M: 67, H: 2, G: 2, K: 4, offsets: [34, 5] },
  // Queries that see no key: some of a tile, or all of several; or no key but cached ones.
  { B: 2, T: 9, N: 0, M: 9, H: 4, G: 2, K: 4, offsets: [-3, -20] },
  { B: 2, T: 150, N: 0, M: 200, H: 1, G: 1, K: 4, offsets: [-140, -1] },
  { B: 2, T: 7, N: 3, M: 7, H: 2, G: 1, K: 8, offsets: [-2, -30] },
  { B: 2, T: 5, N: 2, M: 6, H: 6, G: 3, K: 4 },
  // Behind each other: empty ones, and tokens before the first and after the last; more than a tile apart.
  { B: 1, T: 9, N: 0, M: 9, H: 2, G: 1, K: 4, sequences: [[0, 1, 4, 9]], causal: true },
  { B: 2, T: 21, N: 0, M: 21, H: 4, G: 2, K: 5, sequences: [[0, 7, 21]] },
  {
    B: 2,
    T: 70,
    N: 0,
    M: 70,
    H: 2,
    G: 1,
    K: 8,
    sequences: [
      [0, 33, 33, 70],
      [5, 20, 64, 65],
    ],
    causal: true,
  },
  { B: 1, T: 400, N: 0, M: 400, H: 1, G: 1, K: 4, sequences: [[0, 17, 150, 391, 400]], causal: true },
  { B: 1, T: 400, N: 0, M: 400, H: 1, G: 1, K: 4, sequences: [[0, 260, 300, 400]] },
];

export const nameOf = ({ B, T, N, M, H, G, K, offsets, sequences, causal }: CausalCase): string =>
  `${B}x${T} over ${N} cached and ${M} keys, ${H} heads of ${K} on ${G}, ${offsets || causal ? `causal from ${offsets ?? 0}` : 'all keys'}${sequences ? `, sequences ${sequences.join(' and ')}` : ''}`;

/** Output and gradients beside the twin. @param onGpu  whether the offset is a tensor */
export async function check(
  one: CausalCase,
  { onGpu, force }: { onGpu: boolean; force?: AttentionVariant },
): Promise<void> {
  const { B, T, N, M, H, G, K, offsets, sequences, causal = offsets !== undefined } = one;
  const rows = (count: number, heads: number, seed: number) => ({
    data: random(B * count * heads * K, seed),
    shape: [B, count, heads, K],
  });
  const inputs = {
    q: rows(T, H, 1),
    k: rows(M, G, 2),
    v: rows(M, G, 3),
    ck: rows(N, G, 4),
    cv: rows(N, G, 5),
  };
  await checkGradients({
    inputs,
    wrt: N > 0 ? ['q', 'k', 'v', 'ck', 'cv'] : ['q', 'k', 'v'],
    op: ({ q, k, v, ck, cv }) => {
      const list = offsets && Int32Array.from(offsets);
      const offset = list && onGpu ? tensor(list, [list.length], { scope: q.scope }) : list?.[0];
      const cached = N > 0 ? { k: ck, v: cv } : undefined;
      const boundaries = sequences && {
        sequences:
          sequences.length === 1
            ? tensor(Int32Array.from(sequences[0]), [sequences[0].length], { scope: q.scope })
            : tensor(Int32Array.from(sequences.flat()), [B, sequences[0].length], { scope: q.scope }),
      };
      return attention(q, k, v, { cached, causal, offset, ...boundaries, force });
    },
    twin: ({ q, k, v, ck, cv }) => twin(q, joined(ck, k, B), joined(cv, v, B), one),
    samples: 6,
  });
}
