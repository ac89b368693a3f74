import source from '../../shaders/top_k.wgsl' with { type: 'text' };
import { expect, expectDType } from '../gpu/errors.ts';
import { kernel } from '../gpu/kernel.ts';
import type { Target } from '../gpu/target.ts';
import { record } from '../tensor/autograd.ts';
import { output, run } from '../tensor/dispatch.ts';
import { show } from '../tensor/shape.ts';
import { Scope, type Tensor } from '../tensor/tensor.ts';
import { fill } from './fill.ts';
import { scatterRows } from './gather.ts';
import { rowBlocks } from './rows.ts';
import { sortKeys } from './sort.ts';

const histogram = kernel(source, 'top_k_histogram');
const count = kernel(source, 'top_k_count');
const emit = kernel(source, 'top_k_emit');
const rank = kernel(source, 'top_k_rank');
const descendingKeys = kernel(source, 'top_k_descending_keys');
const place = kernel(source, 'top_k_place');

const DIGITS = 3;
/**
 * Invocations of a workgroup, a square; elements that each has in flight; elements per workgroup, not fewer than
 * the bins it must clear; and workgroups per row at most. A driver for CPUs gives invocations that wait at a barrier stacks
 * each: SwiftShader takes 20 to 40 µs for each four.
 */
const PLANS = {
  cpu: { side: 4, loads: 1, leastElements: 8192, mostSplits: 512 },
  gpu: { side: 16, loads: 4, leastElements: 2048, mostSplits: 2048 },
};
/** Up to here counting what precedes each number (k^2 comparisons) beats the twelve dispatches of a sort. */
const RANK_LIMIT = 4096;

/** The patches, tokens or cells that were chosen in each row. */
export interface Selection {
  /** u32 [B, k], ascending. */
  readonly indices: Tensor<'u32'>;
  /** f32 [B, N], exactly k ones per row, else 0. */
  readonly map: Tensor<'f32'>;
}

/**
 * Selects the k largest elements of each row; among equals the lower index wins, -0 equals +0, and NaN is
 * the largest. Not differentiable.
 *
 * @param values_BN  f32 [B, N]
 * @param k          0..N
 * @returns          indices u32 [B, k] ascending (raster order), map f32 [B, N] of 0 and 1
 * @throws ShapeError when values is not [B, N] or k exceeds N
 * Source: Shi et al. 2025, arXiv:2503.19903, patch selection. Five dispatches for each block of some 600 rows.
 */
export function selectTopK(values_BN: Tensor, k: number): Selection {
  const { keys, ...selection } = selected('selectTopK', values_BN, k);
  keys.dispose();
  return selection;
}

/**
 * The selection with the keys that order the elements, [B, k] in the order of the indices, rows filled up to
 * whole runs.
 */
function selected(op: string, values_BN: Tensor, k: number): Selection & { keys: Tensor } {
  const [B, N] = checked(op, 'values', values_BN, k);
  const runKeys = rank.constant('RUN');
  const keys = output([values_BN], [B, runKeys * Math.ceil(k / runKeys)], 'u32');
  const indices = output([values_BN], [B, k], 'u32');
  const map = output([values_BN], [B, N]);
  if (k === 0) return { indices, map: fill(map, 0), keys };
  const { splitElements, splits, define } = planTopK(values_BN.gpu.target, N);
  const bins = DIGITS * histogram.constant('BINS');
  for (const { first, rows } of rowBlocks(B, 4 * bins + 8 * splits)) {
    using scratch = new Scope();
    const block = (x: Tensor): Tensor => x.view((first * x.size) / B, [rows, x.size / B]).moveTo(scratch);
    const fresh = (...columns: number[]): Tensor =>
      output([values_BN], [rows, ...columns], 'u32').moveTo(scratch);
    const bind = {
      values: block(values_BN),
      totals: fill(fresh(bins), 0),
      progress: fresh(DIGITS, 2),
      counts: fresh(splits, 2),
      indices: block(indices),
      selection: block(map),
      selected_keys: block(keys),
    };
    const call = { bind, define, groups: rows * splits };
    const params = { B: rows, N, k, split_elements: splitElements, splits };
    for (let digit = 0; digit < DIGITS; digit++) run(histogram, { ...call, params: { ...params, digit } });
    run(count, { ...call, params });
    run(emit, { ...call, params });
  }
  return { indices, map, keys };
}

/**
 * The k largest elements of each row in descending order; among equals the lower index comes first, and NaN
 * before all.
 *
 * @param values_BN  f32 [B, N]
 * @param k          0..N
 * @returns          values f32 [B, k], differentiable in values_BN, and indices u32 [B, k]; six dispatches up to k = 4096
 * @throws ShapeError when values is not [B, N] or k exceeds N
 */
export function topK(
  values_BN: Tensor,
  k: number,
): {
  values: Tensor<'f32'>;
  indices: Tensor<'u32'>;
} {
  const { indices: unsorted, map, keys } = selected('topK', values_BN, k);
  map.dispose();
  const [B, N] = values_BN.shape;
  const params = { B, N, k };
  const values = output([values_BN], [B, k]);
  const indices = output([values_BN], [B, k], 'u32');
  const bind = { values: values_BN, indices: unsorted, sorted_indices: indices, sorted_values: values };
  const { define, rankShared } = planTopK(values_BN.gpu.target, N);
  const { SCAN_WG, SCAN_SIDE } = define;
  if (k <= RANK_LIMIT) {
    const blocks = B * Math.ceil(k / rank.constant('RUN'));
    run(rank, {
      bind: { ...bind, key_runs: keys },
      params,
      define: { SHARED: rankShared, SCAN_WG, SCAN_SIDE },
      groups: rankShared ? blocks : Math.ceil(blocks / SCAN_WG),
    });
  } else {
    const call = { params, define: { SCAN_WG, SCAN_SIDE }, groups: Math.ceil((B * k) / SCAN_WG) };
    using descending = output([values_BN], [B, k], 'u32');
    run(descendingKeys, { ...call, bind: { values: values_BN, indices: unsorted, keys: descending } });
    const { keys: sorted, order } = sortKeys(descending);
    run(place, { ...call, bind: { ...bind, order } });
    sorted.dispose();
    order.dispose();
  }
  keys.dispose();
  unsorted.dispose();
  record('topK', {
    inputs: [values_BN],
    output: values,
    saved: { indices },
    backward: (dy, saved) => {
      const rows = scatterRows(dy.reshape([B, k, 1]), saved.indices, N);
      return [rows.reshape([B, N])];
    },
  });
  return { values, indices };
}

/**
 * Positions of the nonzero entries of each row in ascending order: the indices of a selection map.
 *
 * @param map_BN  f32 [B, N]
 * @param k       how many nonzero entries every row has; a row with more keeps its first k, one with fewer is
 *                filled up with 0
 * @returns       u32 [B, k]
 * @throws ShapeError when map is not [B, N] or k exceeds N
 */
export function compactMap(map_BN: Tensor, k: number): Tensor<'u32'> {
  const [B, N] = checked('compactMap', 'map', map_BN, k);
  const { splitElements, splits, define } = planTopK(map_BN.gpu.target, N);
  const indices = fill(output([map_BN], [B, k], 'u32'), 0);
  using counts = output([map_BN], [B, splits, 2], 'u32');
  const bind = { values: map_BN, counts, indices };
  const params = { B, N, k, split_elements: splitElements, splits };
  const call = { bind, params, define: { ...define, FROM_MAP: true }, groups: B * splits };
  run(count, call);
  run(emit, call);
  return indices;
}

function checked(op: string, name: string, rows: Tensor, k: number): [number, number] {
  expectDType(op, name, rows, 'f32');
  expect(rows.shape.length === 2, op, `${name} must be [B, N]`, show(rows.shape), 'Reshape it.');
  const [B, N] = rows.shape;
  expect(Number.isInteger(k) && k >= 0 && k <= N, op, `k must be within 0..N = ${N}`, `${k}`);
  return [B, N];
}

/** How a row of N elements is searched. */
interface TopKPlan {
  /** Elements of a workgroup, and workgroups per row. */
  readonly splitElements: number;
  readonly splits: number;
  readonly define: { readonly SCAN_WG: number; readonly SCAN_SIDE: number; readonly IN_FLIGHT: number };
  /** A workgroup ranks a run of keys, which a GPU has room for; otherwise an invocation does. */
  readonly rankShared: boolean;
}

/** Measured on lavapipe, SwiftShader and an H200. */
export function planTopK({ kind }: Target, N: number): TopKPlan {
  const { side, loads, leastElements, mostSplits } = PLANS[kind];
  const splitElements = Math.max(leastElements, Math.ceil(N / mostSplits));
  const define = { SCAN_WG: side * side, SCAN_SIDE: side, IN_FLIGHT: loads };
  return {
    splitElements,
    splits: Math.max(1, Math.ceil(N / splitElements)),
    define,
    rankShared: kind === 'gpu',
  };
}
