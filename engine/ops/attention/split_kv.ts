// Attention that stores no scores: partial results of splits of the keys, then their merge.
import flashSource from '../../../shaders/attention/flash.wgsl' with { type: 'text' };
import mergeSource from '../../../shaders/attention/merge.wgsl' with { type: 'text' };
import splitSource from '../../../shaders/attention/split.wgsl' with { type: 'text' };
import { kernel } from '../../gpu/kernel.ts';
import { output, run } from '../../tensor/dispatch.ts';
import type { Tensor } from '../../tensor/tensor.ts';
import { vectorOf } from '../rows.ts';
import { type AttentionPlan, FLASH_QUERIES } from './plan.ts';
import type { Problem } from './query_block.ts';
import { sightCall } from './sight.ts';

const splitKernel = kernel(splitSource, 'attention_split');
const flashKernel = kernel(flashSource, 'attention_flash');
const mergeKernel = kernel(mergeSource, 'attention_merge');

/** out [B, T, H, K] and lse [B, H, T]. */
export function attendInSplits(problem: Problem, plan: AttentionPlan, out: Tensor, lse: Tensor): void {
  const { B, T, H, K, group, scale, q, segments } = problem;
  const vec = vectorOf(K);
  const Vec = vec === 4 ? 'vec4f' : 'f32';
  const HEAD_VECS = K / vec;
  const isFlash = plan.variant === 'flash';
  const splits = segments.map(({ keys }, i) => Math.ceil(keys / plan.splitKeys[i]));
  const all_splits = splits.reduce((sum, count) => sum + count, 0);
  using max_sum = output([out], [B, all_splits, T, H, 2]);
  using values = output([out], [B, all_splits, T, H, K]);
  let first_split = 0;
  segments.forEach(({ k, v, keys, bias, sight }, i) => {
    const hidden = sightCall(sight, 'ELEMENTS');
    const blocks = B * splits[i] * H;
    run(isFlash ? flashKernel : splitKernel, {
      bind: {
        ...{ q_rows: q.tensor, k_rows: k.tensor, v_rows: v.tensor, mask_bias: bias, max_sum, values },
        ...hidden.bind,
      },
      params: {
        ...hidden.params,
        T,
        keys,
        heads: H,
        batch: B,
        q_start: q.start / vec,
        q_row: q.row / vec,
        q_batch: q.batch / vec,
        k_start: k.start / vec,
        k_row: k.row / vec,
        k_batch: k.batch / vec,
        v_start: v.start / vec,
        v_row: v.row / vec,
        v_batch: v.batch / vec,
        scale,
        split_keys: plan.splitKeys[i],
        splits: splits[i],
        first_split,
        all_splits,
      },
      define: {
        ...{ HEAD_VECS, HAS_MASK: !!bias, KV_GROUP: group },
        ...(isFlash
          ? { SCORE_LOADS: Math.ceil((FLASH_QUERIES + K) / (2 * K)) }
          : { Vec, VEC: vec, UNROLLED: plan.unrolled }),
        ...hidden.define,
      },
      groups: isFlash
        ? blocks * Math.ceil(T / FLASH_QUERIES)
        : Math.ceil((blocks * T) / splitKernel.workgroupSize),
      flops: 4 * B * H * T * keys * K,
    });
    first_split += splits[i];
  });
  run(mergeKernel, {
    bind: { max_sum, values, out, lse },
    params: { T, heads: H, batch: B, all_splits },
    define: { Vec, HEAD_VECS, IN_FLIGHT: plan.mergedAtOnce },
    groups: Math.ceil((B * T * H * HEAD_VECS) / mergeKernel.workgroupSize),
    flops: 2 * values.size,
  });
}
