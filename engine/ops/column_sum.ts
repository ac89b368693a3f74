import source from '../../shaders/column_sum.wgsl' with { type: 'text' };
import { expect, expectDType, expectKeys } from '../gpu/errors.ts';
import { kernel } from '../gpu/kernel.ts';
import type { Target } from '../gpu/target.ts';
import { output, run } from '../tensor/dispatch.ts';
import { show } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { vectorOf } from './rows.ts';

const forward = kernel(source, 'column_sum');
const forwardSplit = kernel(source, 'column_sum_split');

/** On a CPU: rows that one invocation adds, the square root of a few thousand, so that both stages are short. */
const SPLIT_ROWS_CPU = 64;
/**
 * Rows up to which there is one stage: a second dispatch costs a CPU as much as hundreds of rows, a GPU as
 * a few steps along its splits.
 */
const ROWS_AT_ONCE = 512;
/** On a GPU: the fewest rows of a split, four for each invocation that shares it. */
const SPLIT_ROWS_GPU = 128;
/** Workgroups with which a large GPU reads at full speed. */
const ENOUGH_GROUPS = 256;
const MOST_WG_SPLITS = 32;

/** What `columnSum` keeps. */
export interface ColumnSumOptions {
  /** The shape of the result, equal to the last extents of x. Default [C], x's last. */
  readonly shape?: readonly number[];
  /** Factor on the sums. Default 1. */
  readonly scale?: number;
}

/**
 * Sum over all axes but the last ones: y[c] = scale sum_r x[r,c]. Used by gradients, itself not differentiable.
 *
 * @param x  [..., C] f32
 * @returns  `shape`; zeros when there are no rows
 * @throws ShapeError when x does not end with `shape`
 */
export function columnSum(x: Tensor, options: ColumnSumOptions = {}): Tensor<'f32'> {
  expectDType('columnSum', 'x', x, 'f32');
  expectKeys('columnSum', options, { shape: true, scale: true });
  const { shape = x.shape.slice(-1), scale = 1 } = options;
  const tail = x.shape.slice(x.shape.length - shape.length);
  expect(
    show(tail) === show(shape),
    'columnSum',
    'x must end with the kept shape',
    `x ${show(x.shape)} and ${show(shape)}`,
  );
  const y = output([x], shape);
  const C = y.size;
  const R = C === 0 ? 0 : x.size / C;
  if (R === 0) {
    y.gpu.clear(y.range);
    return y;
  }
  const { target } = x.gpu;
  const plan = planColumnSum(target, R, C);
  if (plan.splitRows >= R) sumSplits(x, y, R, C, scale, plan);
  else {
    using partial = output([x], [Math.ceil(R / plan.splitRows), C]);
    sumSplits(x, partial, R, C, 1, plan);
    const splits = partial.size / C;
    sumSplits(partial, y, splits, C, scale, { ...planColumnSum(target, splits, C), splitRows: splits });
  }
  return y;
}

/** How rows are assigned. */
interface ColumnSumPlan {
  /** Rows of a split, which a workgroup or an invocation adds. */
  readonly splitRows: number;
  /** Invocations of a workgroup that share a split; 0 for the kernel without workgroup memory. */
  readonly wgSplits: number;
}

/** On a GPU invocations share a split until they fill it, as long as each has four rows to add; then there are more splits. Measured on lavapipe and an H200. */
export function planColumnSum({ kind }: Target, R: number, C: number): ColumnSumPlan {
  if (kind === 'cpu') return { splitRows: R <= ROWS_AT_ONCE ? R : SPLIT_ROWS_CPU, wgSplits: 0 };
  const columns = C / vectorOf(C);
  const perGroup = forwardSplit.reflection.workgroupSize;
  const useful = Math.min(MOST_WG_SPLITS, R / 4, (ENOUGH_GROUPS * perGroup) / columns);
  const count = 2 ** Math.max(0, Math.floor(Math.log2(useful)));
  if (R <= ROWS_AT_ONCE) return { splitRows: R, wgSplits: count };
  const groups = Math.ceil((columns * count) / perGroup);
  const splits = Math.min(Math.ceil(R / SPLIT_ROWS_GPU), Math.floor(ENOUGH_GROUPS / groups));
  return { splitRows: Math.ceil(R / Math.max(1, splits)), wgSplits: count };
}

function sumSplits(x: Tensor, y: Tensor, R: number, C: number, scale: number, plan: ColumnSumPlan): void {
  const vec = vectorOf(C);
  const { splitRows } = plan;
  const define = { Vec: vec === 4 ? 'vec4f' : 'f32' };
  const sums = (C / vec) * Math.ceil(R / splitRows);
  const call = {
    bind: { x, y },
    params: { R, C: C / vec, split_rows: splitRows, scale },
    flops: R * C,
  };
  if (plan.wgSplits === 0)
    run(forward, { ...call, define, groups: Math.ceil(sums / x.gpu.target.rowWorkgroup) });
  else {
    const groups = Math.ceil((sums * plan.wgSplits) / forwardSplit.reflection.workgroupSize);
    run(forwardSplit, { ...call, define: { ...define, WG_SPLITS: plan.wgSplits }, groups });
  }
}
