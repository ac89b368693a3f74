import source from '../../shaders/column_sum.wgsl' with { type: 'text' };
import { expect, expectDType, expectKeys } from '../gpu/errors.ts';
import { kernel } from '../gpu/kernel.ts';
import type { Target } from '../gpu/target.ts';
import { output, planned } from '../tensor/dispatch.ts';
import { type Shape, sameShape, show } from '../tensor/shape.ts';
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
    sameShape(tail, shape),
    'columnSum',
    'x must end with the kept shape',
    `x ${show(x.shape)} and ${show(shape)}`,
  );
  return sumColumns(x, shape, scale);
}

/**
 * `columnSum` of a shape that x ends with.
 *
 * @param total  gets the sums added, and is returned; default: a new tensor
 */
export function sumColumns(x: Tensor, shape: Shape, scale = 1, total?: Tensor<'f32'>): Tensor<'f32'> {
  const y = total ?? output([x], shape);
  const C = y.size;
  const R = C === 0 ? 0 : x.size / C;
  if (R === 0) {
    if (!total) y.gpu.clear(y.range);
    return y;
  }
  const { splitRows, wgSplits } = planColumnSum(x.gpu.target, R, C);
  const adds = !!total;
  if (splitRows >= R) sumSplits({ x, y }, R, C, R, wgSplits, scale, adds);
  else {
    const splits = Math.ceil(R / splitRows);
    using partial = output([x], [splits, C]);
    sumSplits({ x, y: partial }, R, C, splitRows, wgSplits, 1, false);
    const again = planColumnSum(x.gpu.target, splits, C);
    sumSplits({ x: partial, y }, splits, C, splits, again.wgSplits, scale, adds);
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

const sumSplits = planned(
  ({ target }, R: number, C: number, splitRows: number, wgSplits: number, scale: number, ADDS: boolean) => {
    const vec = vectorOf(C);
    const inWorkgroup = wgSplits > 0;
    const perGroup = inWorkgroup ? forwardSplit.reflection.workgroupSize / wgSplits : target.rowWorkgroup;
    return {
      kernel: inWorkgroup ? forwardSplit : forward,
      params: { R, C: C / vec, split_rows: splitRows, scale },
      define: { Vec: vec === 4 ? 'vec4f' : 'f32', ADDS, ...(inWorkgroup && { WG_SPLITS: wgSplits }) },
      groups: Math.ceil(((C / vec) * Math.ceil(R / splitRows)) / perGroup),
      flops: R * C,
    };
  },
);
