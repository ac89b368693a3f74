// Attention by query blocks: their scores are stored, and recomputed for the gradients.
import type { Tensor } from '../../tensor/tensor.ts';
import type { AttentionPlan } from './plan.ts';
import {
  type BlockKernels,
  blocksOf,
  fromRow,
  type PlacedSegment,
  type Problem,
  type Rows,
  transpose,
} from './query_block.ts';
import { registerKernels } from './register.ts';
import { tiledKernels } from './tiled.ts';

const KERNELS = { register: registerKernels, tiled: tiledKernels };

/** Where the scores of each segment are, and how long a line of scores is. */
function place({ segments }: Problem, { align }: BlockKernels): { placed: PlacedSegment[]; keys: number } {
  let keys = 0;
  const placed = segments.map((segment) => {
    const before = Math.ceil(keys / align) * align;
    keys = before + segment.keys;
    return { ...segment, before };
  });
  return { placed, keys };
}

/** The rows of out or dout, [B, T, H, K]. */
function resultRows({ T, H, K }: Problem, tensor: Tensor): Rows {
  return { tensor, start: 0, row: H * K, batch: T * H * K };
}

/** out [B, T, H, K] and lse [B, H, T]. */
export function attendInBlocks(problem: Problem, plan: AttentionPlan, out: Tensor, lse: Tensor): void {
  const kernels = KERNELS[plan.products];
  const { placed, keys } = place(problem, kernels);
  for (using block of blocksOf(problem, plan.forward))
    kernels.attend(block, placed, keys, resultRows(problem, out), lse);
}

/** Where the gradients of an attention go; undefined where they are not wanted. */
export interface GradientRows {
  readonly q: Rows | undefined;
  /** By segment. */
  readonly segments: readonly { readonly k: Rows | undefined; readonly v: Rows | undefined }[];
}

/**
 * Gradients of q, k and v.
 *
 * @param dout   [B, T, H, K]
 * @param lse    [B, H, T], log-sum-exp of the scores
 * @param delta  [B, H, T], dout . out
 */
export function differentiateBlocks(
  problem: Problem,
  plan: AttentionPlan,
  { dout, lse, delta }: { readonly dout: Tensor; readonly lse: Tensor; readonly delta: Tensor },
  gradients: GradientRows,
): void {
  const kernels = KERNELS[plan.products];
  const { placed, keys } = place(problem, kernels);
  const { K, q, scale } = problem;
  for (using block of blocksOf(problem, plan.backward)) {
    const N = block.queries;
    const [queries, douts] = [block.rows(q), block.rows(resultRows(problem, dout))];
    const [queriesT, doutsT] = [kernels.transposed(block, queries), kernels.transposed(block, douts)];
    const scores = kernels.scores(block, keys);
    placed.forEach((segment, i) => {
      const M = segment.keys;
      const { k: dk, v: dv } = gradients.segments[i];
      const { sight } = segment;
      const w = fromRow(scores, segment.before);
      const k = block.keys(segment.k);
      const adds = block.query > 0;
      const weights = { a: k, b: queriesT, c: w, perQuery: lse, bias: segment.bias, scale, sight };
      kernels.product(block, 'WEIGHTS', { M, N, K }, weights);
      const toKeys = { a: w, adds, sight, sumsQueries: true };
      if (dv) kernels.product(block, 'SUMS', { M, N: K, K: N }, { ...toKeys, b: douts, c: block.keys(dv) });
      const values = { a: block.keys(segment.v), b: doutsT, c: w, perQuery: delta, scale, sight };
      kernels.product(block, 'GRADIENTS', { M, N, K }, values);
      if (dk) kernels.product(block, 'SUMS', { M, N: K, K: N }, { ...toKeys, b: queries, c: block.keys(dk) });
      if (gradients.q) {
        const c = transpose(block.rows(gradients.q));
        const sums = { a: transpose(k), b: w, c, adds: segment.before > 0, sight };
        kernels.product(block, 'SUMS', { M: K, N, K: M }, sums);
      }
    });
  }
}
