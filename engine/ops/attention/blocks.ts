// Attention over strips of queries, whose scores are stored and used again: products in registers on CPUs, in tiles on GPUs. Gradients are always made so.
import type { Tensor } from '../../tensor/tensor.ts';
import { RegisterWorkspace } from './register.ts';
import { TiledWorkspace } from './tiled.ts';
import { type AttentionLayout, flipped, fromRow, type Segment, type Workspace } from './views.ts';

/** What the kernels bind; q and own may be one tensor. */
export interface AttentionOperands {
  readonly q: Tensor;
  readonly own: Tensor;
  readonly cached: Tensor | undefined;
  /** [B, ownKeys], 0 or a large negative number. */
  readonly bias: Tensor | undefined;
}

/** Per query row: gradient of the result, log-sum-exp and dout . out. */
export interface AttentionRows {
  readonly dout: Tensor;
  readonly lse: Tensor;
  readonly delta: Tensor;
}

function segmentsOf({ own, cached, bias }: AttentionOperands, { layout, ownFrom }: Workspace): Segment[] {
  const { ownKeys, cachedKeys } = layout;
  const segments: Segment[] = [];
  if (cached && cachedKeys > 0)
    segments.push({ tensor: cached, keys: cachedKeys, before: 0, bias: undefined });
  segments.push({ tensor: own, keys: ownKeys, before: ownFrom, bias });
  return segments;
}

/** The strips of an attention, one after the other, with their memory, which the caller disposes. */
function* stripsOf({ gpu }: Tensor, layout: AttentionLayout, backward: boolean): Generator<Workspace> {
  const { B, T, heads, K, ownKeys, cachedKeys } = layout;
  // Tiles read four numbers at once.
  const Kind = gpu.target.kind === 'cpu' || K % 4 !== 0 ? RegisterWorkspace : TiledWorkspace;
  const keys = ownKeys + cachedKeys;
  const mostRows = Kind.mostScores(layout, backward) / keys;
  const planes = Math.max(1, Math.floor(mostRows / T));
  const queries = planes > 1 ? T : Math.min(T, Math.max(64, Math.floor(mostRows / 64) * 64));
  for (let plane = 0; plane < B * heads; plane += planes)
    for (let query = 0; query < T; query += queries)
      yield new Kind(layout, {
        ...{ plane, planes: Math.min(planes, B * heads - plane) },
        ...{ query, queries: Math.min(queries, T - query) },
      });
}

/** out [B, T, heads K] and lse [B, heads, T]. */
export function attendInStrips(
  operands: AttentionOperands,
  layout: AttentionLayout,
  out: Tensor,
  lse: Tensor,
): void {
  for (using work of stripsOf(out, layout, false))
    work.attend(operands.q, segmentsOf(operands, work), out, lse);
}

/**
 * Gradients. The own keys and values may lie with the queries, then dq and dkv are one tensor.
 *
 * @param dq       like q; undefined where not wanted
 * @param dkv      like own, k and v columns
 * @param dcached  like cached, k and v columns
 */
export function differentiateStrips(
  operands: AttentionOperands,
  { dout, lse, delta }: AttentionRows,
  { dq, dkv, dcached }: { dq?: Tensor; dkv?: Tensor; dcached?: Tensor },
  layout: AttentionLayout,
): void {
  const { q } = operands;
  const { K, kCol, vCol } = layout;
  const scale = K ** -0.5;
  for (using work of stripsOf(dout, layout, true)) {
    const { query, queries: N } = work.strip;
    const turnedQ = work.turned(work.queries(q));
    const turnedDout = work.turned(work.results(dout));
    const weights = work.scores(dout);
    for (const { tensor, keys: M, before, bias } of segmentsOf(operands, work)) {
      const gradient = tensor === operands.cached ? dcached : dkv;
      const w = fromRow(weights, before);
      const sizes = { M, N, K };
      const k = work.keys(tensor, M, kCol);
      const v = work.keys(tensor, M, vCol);
      const adds = query > 0;
      work.product('weights', sizes, { a: k, b: turnedQ, c: w, perQuery: lse, bias, scale });
      if (gradient) {
        const c = work.keys(gradient, M, vCol);
        work.product('sums', { M, N: K, K: N }, { a: w, b: work.results(dout), c, adds });
      }
      work.product('gradients', sizes, { a: v, b: turnedDout, c: w, perQuery: delta, scale });
      if (gradient) {
        const c = work.keys(gradient, M, kCol);
        work.product('sums', { M, N: K, K: N }, { a: w, b: work.queries(q), c, adds });
      }
      if (dq) {
        // dq has the batch that q may lack.
        const c = { ...work.queries(dq), batch: layout.T * layout.qRow };
        work.product('sums', { M: K, N, K: M }, { a: flipped(k), b: w, c: flipped(c), adds: before > 0 });
      }
    }
  }
}
