// Attention, and its gradients. H / G neighbouring heads of queries share a head of keys.
//
//   forward    q (B, T, H, K), k and v (B, M, G, K)
//              -> scores = scale q k' (B, H, T, M), of some queries at a time -> weights = softmax(scores)
//              -> out = weights v (B, T, H, K), lse (B, H, T)
//   backward   dout (B, T, H, K) -> delta = dout . out (B, H, T)
//              -> weights = exp(scores - lse), made again for some queries at a time -> dv = weights' dout
//              -> dscores = scale weights (dout v' - delta) (B, H, T, M) -> dq = dscores k, dk = dscores' q
import source from '../../../shaders/attention/delta.wgsl' with { type: 'text' };
import { expectKeys } from '../../gpu/errors.ts';
import { kernel } from '../../gpu/kernel.ts';
import type { MatrixShape } from '../../gpu/target.ts';
import { record } from '../../tensor/autograd.ts';
import { output, planned } from '../../tensor/dispatch.ts';
import { Tensor } from '../../tensor/tensor.ts';
import { columnSum } from '../column_sum.ts';
import { concat, slice } from '../copy.ts';
import { fill } from '../fill.ts';
import { currentProducts } from '../matmul/product.ts';
import { vectorOf } from '../rows.ts';
import { attendInBlocks, differentiateBlocks } from './blocks.ts';
import { compose } from './composed.ts';
import { keyBias } from './key_mask.ts';
import {
  ATTENTION_KEYS,
  type AttentionOperand,
  type AttentionOptions,
  type HeadRows,
  type Heads,
  headsOf,
  listOf,
  tidyHeads,
} from './operands.ts';
import { type AttentionPlan, planAttention } from './plan.ts';
import type { Problem, Rows, Segment } from './query_block.ts';
import { type Sight, sightOf } from './sight.ts';
import { attendInSplits } from './split_kv.ts';

const deltaKernel = kernel(source, 'attention_delta');

/**
 * Scaled dot product attention: softmax(scale q k^T) v, head by head. Differentiable. Memory is linear in T and
 * M, causal or not, packed or not: at most 128 MiB of scores are held at a time.
 *
 * `mask`, `softcap`, and values of another size than keys hold all scores in memory, several times
 * B * H * T * (N + M) * 4 bytes. Neither way limits the size of a head.
 *
 * A query with a score that is NaN or infinite, of a key that `keyMask` hides too, gets NaN; a NaN in v the
 * elements it is in. Keys after a causal query, and those of other sequences, may hold anything finite.
 *
 * @param q  [B, T, H, K] f32; [1, T, H, K] serves the whole batch
 * @param k  [B, M, G, K] f32; H / G neighbouring heads of q share one head of k
 * @param v  [B, M, G, V] f32
 * @returns  [B, T, H, V]
 * @throws ShapeError when the extents disagree, there is no key, the mask does not broadcast, or sequences do not fit
 * Source: Vaswani et al. 2017, arXiv:1706.03762; two segments of keys as in Shi et al. 2025,
 * arXiv:2503.19903, low-res K/V cache; sequences as in Dao et al.'s FlashAttention, flash_attn_varlen_func.
 */
export function attention(
  q: AttentionOperand,
  k: AttentionOperand,
  v: AttentionOperand,
  options: AttentionOptions = {},
): Tensor<'f32'> {
  expectKeys('attention', options, { ...ATTENTION_KEYS, force: true });
  const heads = headsOf('attention', q, k, v, options);
  const { mask, softcap } = options;
  if (mask || softcap || heads.v.shape[3] !== heads.k.shape[3]) return compose(heads, options)[0];
  return attend(heads, options);
}

function attend(heads: Heads, options: AttentionOptions): Tensor<'f32'> {
  const { q, k, cached } = heads;
  const [, T, H, K] = q.shape;
  const [B, , G] = k.shape;
  const { scale = K ** -0.5, keyMask, force } = options;
  const M = keysSeen(heads, options);
  const keys = [cached?.k.shape[1] ?? 0, M].filter((count) => count > 0);
  const { target } = q.tensor.gpu;
  const { forward: products, backward } = currentProducts();
  const plan = planAttention(target, { B, T, H, K, keys, group: H / G, products }, force);
  if (plan.padding > 0) return attendPadded(heads, { ...options, scale }, plan.padding);

  const list = listOf(heads);
  const tensors = list.map(({ tensor }) => tensor);
  using bias = keyMask && keyBias(keyMask);
  const { sight, ends } = sightOf(options, [B, T]);
  const offset = sight?.offset;
  const problem = problemOf(heads, M, tensors, scale, bias, sight, plan.unit);
  const out = output(tensors, [B, T, H, K]);
  const lse = output(tensors, [B, H, T]);
  if (plan.variant === 'query_blocks') attendInBlocks(problem, plan, out, lse);
  else attendInSplits(problem, plan, out, lse);

  const slots = gradientSlots(list);
  const slotOf = list.map((rows) => slots.findIndex((slot) => slot.includes(rows)));
  const operands = Object.fromEntries(slots.map(([{ tensor }], i) => [`operand${i}`, tensor]));
  const offsets = offset instanceof Tensor ? offset : undefined;
  const saved: Readonly<Record<string, Tensor | undefined>> = { bias, offsets, out, lse, ...operands };
  record('attention', {
    inputs: slots.map(([{ tensor }]) => tensor),
    output: out,
    saved,
    activations: ['out', ...Object.keys(operands)],
    backward: (dout, saved, needs) => {
      const kept = slotOf.map((slot) => saved[`operand${slot}`]!);
      const seen = sight && { ...sight, offset: saved.offsets ?? sight.offset };
      const again = problemOf(
        heads,
        M,
        kept,
        scale,
        saved.bias,
        seen,
        backward === 'f16' ? plan.unit : undefined,
      );
      const gradients = slots.map((slot, i) =>
        needs[i] ? gradientOf(slot, dout, B, M < k.shape[1]) : undefined,
      );
      const [dq, dk, dv, dcachedK, dcachedV] = list.map((rows, i) => {
        const gradient = gradients[slotOf[i]];
        return gradient && rowsIn(rows, gradient, B);
      });
      const own = M > 0 ? [{ k: dk, v: dv }] : [];
      const segments = again.segments.length > own.length ? [{ k: dcachedK, v: dcachedV }, ...own] : own;
      using delta = rowDelta(saved.out!, dout, plan);
      differentiateBlocks(again, plan, { dout, lse: saved.lse!, delta }, { q: dq, segments });
      return gradients.map((gradient, i) => gradient && sumTo(gradient, slots[i][0].tensor));
    },
  });
  lse.dispose();
  ends?.dispose();
  return out;
}

/** Attention of heads padded with zeros, which change neither scores nor other columns of the result. */
function attendPadded(heads: Heads, options: AttentionOptions, padding: number): Tensor<'f32'> {
  const { scale, keyMask, causal, offset, sequences, force } = options;
  const offsets = offset instanceof Tensor ? offset : undefined;
  return tidyHeads(heads, { keyMask, offsets, sequences }, ({ q, k, v, cached }, others) => {
    const wide = (x: Tensor): Tensor => {
      const zeros = fill(output([x], [...x.shape.slice(0, 3), padding]), 0);
      return concat([x, zeros], { axis: 3 });
    };
    const kept = cached && { k: wide(cached.k), v: wide(cached.v) };
    const out = attention(wide(q), wide(k), wide(v), {
      ...{ scale, causal, force, cached: kept },
      offset: others.offsets ?? offset,
      keyMask: others.keyMask,
      sequences: others.sequences,
    });
    return slice(out, { axis: 3, length: q.shape[3] });
  });
}

/** The rows of an operand, or of its gradient, in `tensor`. */
function rowsIn({ shape, start, row }: HeadRows, tensor: Tensor, B: number): Rows {
  return { tensor, start, row, batch: tensor.shape[0] < B ? 0 : shape[1] * row };
}

/** Keys that some query sees, where the host knows. */
function keysSeen({ q, k }: Heads, { causal, offset = 0, keyMask }: AttentionOptions): number {
  const [, T] = q.shape;
  const [, M] = k.shape;
  return causal && typeof offset === 'number' && !keyMask && T > 0 ? Math.min(M, offset + T) : M;
}

/**
 * @param M        keys of k that are attended to, the first ones
 * @param tensors  of q, k, v and the cached keys and values; may be other handles than those given
 */
function problemOf(
  { q, k, v, cached }: Heads,
  M: number,
  tensors: readonly Tensor[],
  scale: number,
  bias: Tensor | undefined,
  sight: Sight | undefined,
  unit: MatrixShape | undefined,
): Problem {
  const [, T, H, K] = q.shape;
  const [B, , G] = k.shape;
  const segments: Segment[] = [];
  if (cached && cached.k.shape[1] > 0)
    segments.push({
      k: rowsIn(cached.k, tensors[3], B),
      v: rowsIn(cached.v, tensors[4], B),
      keys: cached.k.shape[1],
      bias: undefined,
      sight: undefined,
    });
  if (M > 0)
    segments.push({ k: rowsIn(k, tensors[1], B), v: rowsIn(v, tensors[2], B), keys: M, bias, sight });
  return { B, T, H, K, group: H / G, scale, unit, q: rowsIn(q, tensors[0], B), segments };
}

/** The operands by their tensors, each of which gets one gradient; operands that overlap get one each. */
function gradientSlots(list: readonly HeadRows[]): HeadRows[][] {
  const slots: HeadRows[][] = [];
  const endOf = (rows: HeadRows): number => rows.start + rows.shape[2] * rows.shape[3];
  for (const rows of list) {
    const slot = slots.find((members) =>
      members.every(
        (one) => one.tensor === rows.tensor && (endOf(one) <= rows.start || endOf(rows) <= one.start),
      ),
    );
    if (slot) slot.push(rows);
    else slots.push([rows]);
  }
  return slots;
}

/** Memory for the gradient of a tensor, zero where it holds no operand or, with `partly`, keys that no query sees. */
function gradientOf(slot: readonly HeadRows[], dout: Tensor, B: number, partly: boolean): Tensor {
  const [{ tensor, row }] = slot;
  const width = slot.reduce((columns, { shape }) => columns + shape[2] * shape[3], 0);
  const gradient = output([dout], [B, ...tensor.shape.slice(1)]);
  return partly || width < row ? fill(gradient, 0) : gradient;
}

/** The gradient of a tensor that a batch shares is a sum over the batch. */
function sumTo(gradient: Tensor, { shape }: Tensor): Tensor {
  if (gradient.shape[0] === shape[0]) return gradient;
  return columnSum(gradient, { shape: shape.slice(1) }).reshape(shape);
}

/** [B, H, T] */
function rowDelta(out: Tensor, dout: Tensor, { unrolled }: AttentionPlan): Tensor {
  const [B, T, H, K] = out.shape;
  const delta = output([dout], [B, H, T]);
  runDelta({ out, dout, delta }, B, T, H, K, unrolled);
  return delta;
}

const runDelta = planned((_gpu, B: number, T: number, H: number, K: number, UNROLLED: boolean) => {
  const VEC = vectorOf(K);
  return {
    kernel: deltaKernel,
    params: { T, heads: H, batch: B },
    define: { Vec: VEC === 4 ? 'vec4f' : 'f32', VEC, HEAD_VECS: K / VEC, UNROLLED },
    groups: Math.ceil((B * T * H) / deltaKernel.workgroupSize),
    flops: 2 * B * T * H * K,
  };
});
