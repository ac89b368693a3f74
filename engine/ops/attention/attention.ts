import source from '../../../shaders/attention/split.wgsl' with { type: 'text' };
import { expect, expectDType } from '../../gpu/errors.ts';
import { kernel } from '../../gpu/kernel.ts';
import { record } from '../../tensor/autograd.ts';
import { output, run } from '../../tensor/dispatch.ts';
import { sameShape, show } from '../../tensor/shape.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { columnSum } from '../column_sum.ts';
import { fill } from '../fill.ts';
import { type AttentionOperands, attendInStrips, differentiateStrips } from './blocks.ts';
import { type AttentionVariant, planAttention, planChunk } from './plan.ts';
import type { AttentionLayout } from './views.ts';

const chunkKernel = kernel(source, 'attention_chunk');
const mergeKernel = kernel(source, 'attention_merge');
const deltaKernel = kernel(source, 'attention_delta');
const maskKernel = kernel(source, 'attention_mask');

const MAX_HEAD = 128;
/** `SPAN` of the shader: invocations of a workgroup. */
const SPAN = 64;

/** How `selfAttention` attends. */
export interface SelfAttentionOptions {
  /** H; divides C, into heads of at most 128. */
  readonly heads: number;
  /** [B, N, 3C], keys and values of an earlier pass, attended to before the own ones. */
  readonly cached?: Tensor;
  /** Overrides the planner, for tests and tuning. */
  readonly force?: AttentionVariant;
}

/**
 * Multi-head self-attention: softmax(q k^T / sqrt(K)) v per head, in memory linear in T: scores of at most
 * 128 MiB are held at a time.
 *
 * @param qkv   [B, T, 3C] f32, columns q, k, v; heads contiguous within each
 * @returns     [B, T, C]
 * @throws ShapeError when C is not a multiple of heads, a head is larger than 128, or cached does not fit
 * Source: Vaswani et al. 2017, arXiv:1706.03762; two segments as in Shi et al. 2025, arXiv:2503.19903, low-res K/V cache.
 */
export function selfAttention(qkv: Tensor, { heads, cached, force }: SelfAttentionOptions): Tensor<'f32'> {
  const op = 'self_attention';
  expectDType(op, 'qkv', qkv, 'f32');
  const [B, T, packed] = qkv.shape;
  expect(qkv.shape.length === 3 && packed % 3 === 0, op, 'qkv must be [B, T, 3C]', show(qkv.shape));
  const C = packed / 3;
  const K = headSize(op, C, heads);
  if (cached)
    expect(
      cached.shape.length === 3 && cached.shape[0] === B && cached.shape[2] === packed,
      op,
      `cached must be [${B}, N, ${packed}]`,
      show(cached.shape),
    );
  const layout: AttentionLayout = {
    ...{ B, T, heads, K, ownKeys: T, cachedKeys: cached?.shape[1] ?? 0 },
    ...{ qRow: packed, qBatch: T * packed, kvRow: packed, kCol: C, vCol: 2 * C },
  };
  const variant = planAttention(qkv.gpu.adapterClass, layout, force);
  const { out, lse } = attend({ q: qkv, own: qkv, cached, bias: undefined }, layout, variant);
  record(op, {
    inputs: [qkv, cached],
    output: out,
    saved: { qkv, cached, out, lse },
    backward: (dout, saved, needs) => {
      const operands: AttentionOperands = {
        q: saved.qkv,
        own: saved.qkv,
        cached: saved.cached,
        bias: undefined,
      };
      using delta = rowDelta(saved.out, dout, layout);
      // The gradients of queries, keys and values are columns of one tensor.
      const dqkv = needs[0] ? output([dout], saved.qkv.shape) : undefined;
      const dcached = needs[1] && saved.cached ? output([dout], saved.cached.shape) : undefined;
      const gradients = { dq: dqkv, dkv: dqkv, dcached };
      if (dcached) fill(dcached, 0); // its query columns stay so
      differentiateStrips(operands, { dout, lse: saved.lse, delta }, gradients, layout);
      return [dqkv, dcached];
    },
  });
  lse.dispose();
  return out;
}

/** How `poolAttention` attends. */
export interface PoolAttentionOptions {
  /** H; divides C. */
  readonly heads: number;
  /** [B, M] f32, nonzero = attend; a row of zeros attends to everything. */
  readonly keyMask?: Tensor;
  /** Overrides the planner, for tests and tuning. */
  readonly force?: AttentionVariant;
}

/**
 * Multi-head attention of given queries over a batch of keys and values.
 *
 * @param q   [1 or B, Tq, C] f32; one set of queries serves the whole batch
 * @param kv  [B, M, 2C] f32, columns k, v; heads contiguous within each
 * @returns   [B, Tq, C]
 * @throws ShapeError when the extents disagree, C is not a multiple of heads, or a head is larger than 128
 */
export function poolAttention(
  q: Tensor,
  kv: Tensor,
  { heads, keyMask, force }: PoolAttentionOptions,
): Tensor<'f32'> {
  const op = 'pool_attention';
  expectDType(op, 'q', q, 'f32');
  expectDType(op, 'kv', kv, 'f32');
  const [B, M, packed] = kv.shape;
  const [qB, T, C] = q.shape;
  expect(
    q.shape.length === 3 && kv.shape.length === 3 && packed === 2 * C && (qB === B || qB === 1),
    op,
    'q must be [1 or B, Tq, C] and kv [B, M, 2C]',
    `q ${show(q.shape)} and kv ${show(kv.shape)}`,
  );
  const K = headSize(op, C, heads);
  if (keyMask) {
    expectDType(op, 'keyMask', keyMask, 'f32');
    expect(sameShape(keyMask.shape, [B, M]), op, `keyMask must be [${B}, ${M}]`, show(keyMask.shape));
  }
  const layout: AttentionLayout = {
    ...{ B, T, heads, K, ownKeys: M, cachedKeys: 0 },
    ...{ qRow: C, qBatch: qB === 1 ? 0 : T * C, kvRow: packed, kCol: 0, vCol: C },
  };
  using bias = keyMask && maskBias(keyMask, layout);
  const variant = planAttention(q.gpu.adapterClass, layout, force);
  const { out, lse } = attend({ q, own: kv, cached: undefined, bias }, layout, variant);
  record(op, {
    inputs: [q, kv],
    output: out,
    saved: { q, kv, bias, out, lse },
    backward: (dout, saved, needs) => {
      const operands: AttentionOperands = { q: saved.q, own: saved.kv, cached: undefined, bias: saved.bias };
      using delta = rowDelta(saved.out, dout, layout);
      const dq = needs[0] ? output([dout], [B, T, C]) : undefined;
      const dkv = needs[1] ? output([dout], saved.kv.shape) : undefined;
      differentiateStrips(operands, { dout, lse: saved.lse, delta }, { dq, dkv }, layout);
      return [dq && qB !== B ? columnSum(dq, [T, C]).reshape([1, T, C]) : dq, dkv];
    },
  });
  lse.dispose();
  return out;
}

function headSize(op: string, C: number, heads: number): number {
  expect(
    Number.isInteger(heads) && heads >= 1 && C % heads === 0,
    op,
    'the width must be a multiple of heads',
    `C = ${C}, heads = ${heads}`,
  );
  const K = C / heads;
  expect(
    K <= MAX_HEAD,
    op,
    `a head must not exceed ${MAX_HEAD}`,
    `${C} / ${heads} = ${K}`,
    'Use more heads.',
  );
  return K;
}

/** The params and specialisation that all kernels share. */
function setting({ B, T, heads, K, ...layout }: AttentionLayout, gpu: Tensor['gpu']) {
  const lane = K % 4 === 0 ? 4 : 1;
  const LANES = K / lane;
  return {
    params: {
      ...{ T, heads, batch: B, keys: layout.ownKeys, scale: K ** -0.5 },
      ...{ q_row: layout.qRow / lane, q_batch: layout.qBatch / lane, kv_row: layout.kvRow / lane },
      ...{ k_col: layout.kCol / lane, v_col: layout.vCol / lane },
      ...{ chunk: 0, chunks: 0, first_chunk: 0, all_chunks: 0 },
    },
    define: {
      Lane: lane === 4 ? 'vec4f' : 'f32',
      WIDE: lane === 4,
      LANES,
      UNROLLED: gpu.target.kind === 'cpu',
    },
  };
}

function attend(
  operands: AttentionOperands,
  layout: AttentionLayout,
  variant: AttentionVariant,
): { out: Tensor<'f32'>; lse: Tensor<'f32'> } {
  const { q, own, cached } = operands;
  const { B, T, heads, K } = layout;
  const out = output([q, own, cached], [B, T, heads * K]);
  const lse = output([q, own, cached], [B, heads, T]);
  if (variant === 'strips') attendInStrips(operands, layout, out, lse);
  else attendInChunks(operands, layout, out, lse);
  return { out, lse };
}

function attendInChunks(
  { q, own, cached, bias }: AttentionOperands,
  layout: AttentionLayout,
  out: Tensor,
  lse: Tensor,
): void {
  const { B, T, heads, K } = layout;
  const { params, define } = setting(layout, q.gpu);
  const segments = [
    { kv: cached, keys: layout.cachedKeys, mask: undefined },
    { kv: own, keys: layout.ownKeys, mask: bias },
  ].map((segment) => {
    const chunk = planChunk(q.gpu.adapterClass, layout, segment.keys);
    return { ...segment, chunk, chunks: Math.ceil(segment.keys / chunk) };
  });
  const all_chunks = segments[0].chunks + segments[1].chunks;
  using tops = output([out], [B, all_chunks, T, heads, 2]);
  using sums = output([out], [B, all_chunks, T, heads, K]);
  let first_chunk = 0;
  for (const { kv, keys, mask, chunk, chunks } of segments) {
    if (kv && chunks > 0)
      run(chunkKernel, {
        bind: { q_rows: q, kv_rows: kv, mask_bias: mask, tops, sums },
        params: { ...params, keys, chunk, chunks, first_chunk, all_chunks },
        define: { ...define, HAS_MASK: mask !== undefined },
        groups: Math.ceil((B * chunks * T * heads) / SPAN),
        flops: 4 * B * heads * T * keys * K,
      });
    first_chunk += chunks;
  }
  run(mergeKernel, {
    bind: { chunk_tops: tops, chunk_sums: sums, out, lse },
    params: { ...params, all_chunks },
    define,
    groups: Math.ceil((B * T * heads * define.LANES) / SPAN),
    flops: 2 * sums.size,
  });
}

function rowDelta(out: Tensor, dout: Tensor, layout: AttentionLayout): Tensor {
  const { B, T, heads, K } = layout;
  const delta = output([dout], [B, heads, T]);
  run(deltaKernel, {
    ...setting(layout, dout.gpu),
    bind: { made: out, dout, delta },
    groups: Math.ceil((B * T * heads) / SPAN),
    flops: 2 * B * T * heads * K,
  });
  return delta;
}

function maskBias(keyMask: Tensor, layout: AttentionLayout): Tensor {
  const bias = output([keyMask], keyMask.shape);
  run(maskKernel, {
    ...setting(layout, keyMask.gpu),
    bind: { key_mask: keyMask, key_bias: bias },
    groups: layout.B,
  });
  return bias;
}
