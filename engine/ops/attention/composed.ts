// Attention that writes its scores out: for masks of any form, soft caps and grouped heads. Memory grows with Tq Tk; that of
// attention.ts does not.
import { expect } from '../../gpu/errors.ts';
import { output, tidy } from '../../tensor/dispatch.ts';
import { show } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { fill } from '../fill.ts';
import { matmul } from '../matmul/matmul.ts';
import { add, maximum } from '../pointwise.ts';
import { softmax } from '../softmax.ts';
import { affine, tanh } from '../unary.ts';

/** What is done to the scores, as in ONNX's Attention. */
export interface AttentionOptions {
  /** Factor of q k^T. Default 1 / sqrt(K). */
  readonly scale?: number;
  /** Bounds the scores: softcap tanh(scores / softcap). Default: none. */
  readonly softcap?: number;
  /** f32 that broadcasts to [B, H, Tq, Tk], added to the scores; -infinity where a query must not see a key. */
  readonly mask?: Tensor;
  /** Query i sees the keys 0..i + causal: 0 for a first pass, the number of cached keys for a later one. Default: all keys. */
  readonly causal?: number;
  /** Also returns the scores [B, H, Tq, Tk]: the scaled product, capped, then masked, or as the weights of the values. */
  readonly scores?: 'product' | 'capped' | 'masked' | 'weights';
}

/** Finite stand-in for -infinity: a row without any key gets equal weights, not NaN. */
const LOWEST = -3e38;

/**
 * Attention of H query heads over G key and value heads: softmax(cap(scale q k^T) + mask) v. Differentiable.
 *
 * @param q  [B, H, Tq, K] f32; H / G neighbouring heads share one head of keys
 * @param k  [B, G, Tk, K] f32
 * @param v  [B, G, Tk, V] f32
 * @returns  y [B, H, Tq, V], and the scores if asked for
 * @throws ShapeError when the extents disagree, or the mask does not broadcast
 */
export function attention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options: AttentionOptions = {},
): { y: Tensor; scores: Tensor | undefined } {
  const [B, H, Tq, K] = q.shape;
  const [, G, Tk] = k.shape;
  const V = v.shape[3];
  expect(
    q.shape.length === 4 &&
      H % G === 0 &&
      show(k.shape) === show([B, G, Tk, K]) &&
      show(v.shape) === show([B, G, Tk, V]),
    'attention',
    'q must be [B, H, Tq, K], k [B, G, Tk, K] and v [B, G, Tk, V], H a multiple of G',
    `q ${show(q.shape)}, k ${show(k.shape)} and v ${show(v.shape)}`,
  );
  const { scale = 1 / Math.sqrt(K), softcap, causal, scores: stage } = options;
  const inputs = options.mask ? [q, k, v, options.mask] : [q, k, v];
  const [y, scores] = tidy(inputs, (q, k, v, mask) => {
    // The queries of a group stand below each other, so keys and values are read where they are.
    const rows = matmul(q.reshape([B * G, (H / G) * Tq, K]), k.reshape([B * G, Tk, K]), {
      transposeB: true,
      scale,
    });
    const product = rows.reshape([B, H, Tq, Tk]);
    const capped = softcap ? affine(tanh(affine(product, 1 / softcap, 0)), softcap, 0) : product;
    const biased = mask ? add(capped, mask) : capped;
    const masked = causal === undefined ? biased : add(biased, causalMask(q, Tq, Tk, causal));
    const lowest = fill(output([q], [1]), LOWEST);
    const weights = softmax(masked === capped ? masked : maximum(masked, lowest));
    const y = matmul(weights.reshape([B * G, (H / G) * Tq, Tk]), v.reshape([B * G, Tk, V]));
    const shaped = y.reshape([B, H, Tq, V]);
    const stages = { product, capped, masked, weights };
    return stage ? [shaped, stages[stage].in(undefined)] : [shaped];
  });
  return { y, scores };
}

/** [Tq, Tk]: 0 where query i sees key j, -infinity elsewhere. */
function causalMask(like: Tensor, Tq: number, Tk: number, offset: number): Tensor {
  const mask = output([like], [Tq, Tk]);
  mask.write(
    Float32Array.from({ length: Tq * Tk }, (_, e) => (e % Tk <= Math.floor(e / Tk) + offset ? 0 : -Infinity)),
  );
  return mask;
}
