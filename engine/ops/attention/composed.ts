// Attention as two matmuls and a softmax, all scores in memory: for masks of any form, soft caps, values
// of another size than keys, and for those who want to see the scores.
import { expectKeys } from '../../gpu/errors.ts';
import { output } from '../../tensor/dispatch.ts';
import { type DType, Tensor } from '../../tensor/tensor.ts';
import { concat, permute } from '../copy.ts';
import { fill } from '../fill.ts';
import { matmul } from '../matmul/matmul.ts';
import { add, maximum } from '../pointwise.ts';
import { broadcastTo } from '../reduce.ts';
import { softmax } from '../softmax.ts';
import { affine, tanh } from '../unary/unary.ts';
import { keyBias } from './key_mask.ts';
import {
  ATTENTION_KEYS,
  type AttentionOperand,
  type AttentionOptions,
  type Heads,
  headsOf,
  tidyHeads,
} from './operands.ts';
import { sightMask, sightOf } from './sight.ts';

/** q k^T, scaled; capped; then masked; or softmax of that, the weights of the values. */
export type ScoreStage = 'product' | 'capped' | 'masked' | 'weights';

/** Finite stand-in for -infinity: a row without any key gets equal weights, not NaN. */
const LOWEST = -3e38;

/**
 * `attention` that also returns its scores, at one stage. All of them are in memory. Differentiable in `out`.
 *
 * @param options  as of `attention`, and the stage, by default the weights
 * @returns        out [B, T, H, V] and scores [B, H, T, N + M]
 * @throws ShapeError as `attention`
 */
export function attentionWithScores(
  q: AttentionOperand,
  k: AttentionOperand,
  v: AttentionOperand,
  options: Omit<AttentionOptions, 'force'> & { readonly stage?: ScoreStage } = {},
): { out: Tensor<'f32'>; scores: Tensor<'f32'> } {
  expectKeys('attentionWithScores', options, { ...ATTENTION_KEYS, stage: true });
  const { stage = 'weights' } = options;
  const heads = headsOf('attentionWithScores', q, k, v, options);
  const [out, scores] = compose(heads, options, stage);
  return { out, scores };
}

/** out [B, T, H, V] and, where a stage is named, the scores [B, H, T, N + M]. */
export function compose(heads: Heads, options: AttentionOptions, stage?: ScoreStage): Tensor<'f32'>[] {
  const [, T, H, K] = heads.q.shape;
  const [B, M, G, V] = heads.v.shape;
  const N = heads.cached?.k.shape[1] ?? 0;
  const { scale = 1 / Math.sqrt(K), softcap, offset, keyMask, mask, sequences } = options;
  const offsets = offset instanceof Tensor ? offset : undefined;
  return tidyHeads(heads, { keyMask, mask, offsets, sequences }, ({ q, k, v, cached }, others) => {
    const byHead = <D extends DType>(x: Tensor<D>): Tensor<D> => permute(x, [0, 2, 1, 3]);
    const joined = (own: Tensor, kept?: Tensor): Tensor =>
      byHead(kept ? concat([kept, own], { axis: 1 }) : own);
    // The queries of a group are below each other, so keys and values are read where they are.
    const queries = byHead(broadcastTo(q, [B, T, H, K])).reshape([B * G, (H / G) * T, K]);
    const keys = joined(k, cached?.k).reshape([B * G, N + M, K]);
    const values = joined(v, cached?.v).reshape([B * G, N + M, V]);
    const product = matmul(queries, keys, { transposeB: true, scale }).reshape([B, H, T, N + M]);
    const capped = softcap ? affine(tanh(affine(product, 1 / softcap, 0)), softcap, 0) : product;
    let masked = capped;
    if (others.mask) masked = add(masked, others.mask);
    const seen = { ...options, sequences: others.sequences, offset: others.offsets ?? offset };
    const { sight, ends } = sightOf(seen, [B, T]);
    if (sight) masked = add(masked, sightMask(q, sight, { B, T, keys: N + M, before: N }));
    ends?.dispose();
    if (others.keyMask) masked = add(masked, allKeysBias(others.keyMask, N));
    const weights = softmax(masked === capped ? masked : maximum(masked, fill(output([q], [1]), LOWEST)));
    const y = matmul(weights.reshape([B * G, (H / G) * T, N + M]), values);
    const out = byHead(y.reshape([B, H, T, V]));
    const stages = { product, capped, masked, weights };
    return stage ? [out, stages[stage].in(undefined)] : [out];
  });
}

/** [B, 1, 1, N + M]: the bias of a mask of M keys, after N that are attended to. */
function allKeysBias(keyMask: Tensor, N: number): Tensor {
  const [B, M] = keyMask.shape;
  const own = keyBias(keyMask);
  const bias = N > 0 ? concat([fill(output([keyMask], [B, N]), 0), own], { axis: 1 }) : own;
  return bias.reshape([B, 1, 1, N + M]);
}
