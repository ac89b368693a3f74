import source from '../../shaders/elements.wgsl' with { type: 'text' };
import { expect, expectDType, expectKeys, expectTensor, UseError } from '../gpu/errors.ts';
import { type Kernel, kernel } from '../gpu/kernel.ts';
import type { Target } from '../gpu/target.ts';
import { record } from '../tensor/autograd.ts';
import { output, run } from '../tensor/dispatch.ts';
import {
  type AxisOptions,
  axisOf,
  optionalAxis,
  type Shape,
  sameShape,
  show,
  size,
} from '../tensor/shape.ts';
import { contiguousStrides } from '../tensor/strided.ts';
import type { DType, Tensor } from '../tensor/tensor.ts';
import { placeInto, slice, stridedCopy } from './copy.ts';
import { fill } from './fill.ts';

const pick = kernel(source, 'gather_elements');
const put = kernel(source, 'scatter_elements');
const putSplit = kernel(source, 'scatter_elements_split');

/** Invocations that fill a large GPU: the axis of a scatter is cut into splits up to this number, and this many. */
const ENOUGH_INVOCATIONS = 65_536;
const MOST_SPLITS = 32;

/** How an update changes an element: replaces it, or is combined with it. */
export type ScatterReduction = (typeof REDUCTIONS)[number];

const REDUCTIONS = ['none', 'add', 'mul', 'min', 'max'] as const;

/** Where and how `scatter` puts updates. */
export interface ScatterOptions extends AxisOptions {
  /** Default none. */
  readonly reduction?: ScatterReduction;
}

/** A tensor viewed along one axis: [O, N, I], with J indices, which are strided. */
interface Axis {
  readonly O: number;
  readonly N: number;
  readonly J: number;
  readonly I: number;
  readonly strides: readonly [number, number, number];
}

function launch(
  step: Kernel,
  axis: Axis,
  groups: number,
  op: string,
  bind: Record<string, Tensor>,
  splits = 1,
): void {
  const { N, J, I, strides } = axis;
  const { indices, updates } = bind;
  run(step, {
    bind,
    define: {
      SIGNED: indices.dtype === 'i32',
      ...(updates && { OP: op, Scalar: updates.dtype, FLOAT: updates.dtype === 'f32' }),
    },
    params: { groups, N, J, I, strides, splits },
    groups: Math.ceil(groups / step.workgroupSize),
  });
}

/**
 * Invocations that share the axis [O, N, I] of a scatter, a split each; undefined where one takes it whole, as on a CPU.
 * Measured on lavapipe and an H200.
 */
export function planScatter(
  { kind }: Target,
  { O, N, I }: { O: number; N: number; I: number },
): number | undefined {
  if (kind === 'cpu') return undefined;
  return Math.max(1, Math.min(MOST_SPLITS, N, Math.ceil(ENOUGH_INVOCATIONS / (O * I))));
}

/** Combines updates with the result. */
function scatterAlong(axis: Axis, op: string, bind: Record<'indices' | 'updates' | 'result', Tensor>): void {
  const { O, I } = axis;
  const splits = planScatter(bind.result.gpu.target, axis);
  if (splits === undefined) launch(put, axis, O * I, op, bind);
  else launch(putSplit, axis, O * I * splits, op, bind, splits);
}

function gatherAlong<D extends DType>(
  op: string,
  x: Tensor<D>,
  indices: Tensor,
  axis: Axis,
  shape: Shape,
): Tensor<D> {
  expectDType(op, 'x', x, 'f32', 'i32', 'u32');
  expectDType(op, 'indices', indices, 'i32', 'u32');
  const y = output([x, indices], shape, x.dtype);
  if (axis.N === 0) fill(y, 0);
  else launch(pick, axis, y.size, 'NONE', { indices, x, y });
  const from = x.shape;
  return record(op, {
    inputs: [x],
    output: y,
    saved: { indices },
    backward: (dy, { indices }) => {
      const dx = fill(output([dy], from), 0);
      scatterAlong(axis, 'ADD', { indices, updates: dy, result: dx });
      return [dx];
    },
  });
}

/**
 * Slices of x by their index along an axis: y[..., j..., ...] = x[..., indices[j...], ...].
 *
 * Negative indices count from the end; one outside the axis gives zeros and no gradient. The gradient adds the slices of repeated
 * indices one after the other, in parallel only across the other axes: for a long list of rows use `embedding`.
 *
 * @param x        f32, i32 or u32, any shape
 * @param indices  i32 or u32, any shape
 * @returns        x's shape with the shape of the indices in place of the axis
 * @throws ShapeError when x does not have the axis
 */
export function take<D extends DType>(x: Tensor<D>, indices: Tensor, options: AxisOptions = {}): Tensor<D> {
  expectTensor('take', 'x', x);
  expectTensor('take', 'indices', indices);
  const d = optionalAxis('take', options, 0, x.shape.length);
  const [before, after] = [x.shape.slice(0, d), x.shape.slice(d + 1)];
  const along: Axis = { O: size(before), N: x.shape[d], J: indices.size, I: size(after), strides: [0, 1, 0] };
  return gatherAlong('take', x, indices, along, [...before, ...indices.shape, ...after]);
}

/**
 * Elements of x by one index each along an axis: y[o, j, i] = x[o, indices[o, j, i], i].
 *
 * @param x        f32, i32 or u32
 * @param indices  i32 or u32 of x's rank, on the other axes at most x's extents; as in `take`
 * @returns        the shape of the indices
 * @throws ShapeError when an extent of the indices exceeds x's on another axis
 */
export function gather<D extends DType>(x: Tensor<D>, indices: Tensor, options: AxisOptions = {}): Tensor<D> {
  expectTensor('gather', 'x', x);
  expectTensor('gather', 'indices', indices);
  const d = optionalAxis('gather', options, 0, x.shape.length);
  expectFit('gather', x, indices, d);
  const part = indices.shape.reduce((y, extent, k) => {
    if (k === d || y.shape[k] === extent) return y;
    const cut = slice(y, { axis: k, length: extent });
    if (y !== x) y.dispose();
    return cut;
  }, x);
  const y = gatherAlong('gather', part, indices, layout(indices.shape, d, x.shape[d]), indices.shape);
  if (part !== x) part.dispose();
  return y;
}

/**
 * x with elements replaced by, or combined with, updates: y[o, indices[o, j, i], i] = updates[o, j, i].
 *
 * Updates of one element are taken in the order of j; with 'none' the last one stays, with 'min' and 'max' a NaN does. Differentiable for 'none' and 'add'; with
 * 'none' every update of an element receives its gradient, so indices should not repeat.
 *
 * @param x        f32, i32 or u32
 * @param indices  i32 or u32 of x's rank, on the other axes at most x's extents; one outside the axis changes nothing
 * @param updates  x's dtype, the shape of the indices
 * @throws ShapeError when the shapes do not fit
 */
export function scatter<D extends DType>(
  x: Tensor<D>,
  indices: Tensor,
  updates: Tensor<D>,
  options: ScatterOptions = {},
): Tensor<D> {
  const op = 'scatter';
  expectDType(op, 'x', x, 'f32', 'i32', 'u32');
  expectDType(op, 'indices', indices, 'i32', 'u32');
  expectDType(op, 'updates', updates, x.dtype);
  expectKeys(op, options, { axis: true, reduction: true });
  const { axis = 0, reduction = 'none' } = options;
  expect(
    REDUCTIONS.includes(reduction),
    op,
    `the reduction must be one of ${REDUCTIONS.join(', ')}`,
    reduction,
  );
  const d = axisOf(op, axis, x.shape.length);
  expectFit(op, x, indices, d);
  const both = `${show(updates.shape)} and ${show(indices.shape)}`;
  expect(sameShape(updates.shape, indices.shape), op, 'updates must have the shape of the indices', both);
  // Where the indices cover a part of the other axes, the rest gets indices outside of the axis.
  const covered = x.shape.with(d, indices.shape[d]);
  if (!sameShape(covered, indices.shape)) {
    const origin = covered.map(() => 0);
    const wide = placeInto(op, indices, covered, origin, x.shape[d]);
    const values = placeInto(op, updates, covered, origin, 0);
    const y = scatter(x, wide, values, { axis: d, reduction });
    wide.dispose();
    values.dispose();
    return y;
  }
  const along = layout(indices.shape, d, x.shape[d]);
  const y = stridedCopy(op, x, x.shape, contiguousStrides(x.shape));
  scatterAlong(along, reduction.toUpperCase(), { indices, updates, result: y });
  return record(op, {
    inputs: [x, updates],
    output: y,
    saved: { indices },
    backward: (dy, { indices }, needs) => {
      if (reduction !== 'none' && reduction !== 'add')
        throw new UseError(`${op}: gradients need the reduction 'none' or 'add', got '${reduction}'.`);
      const zeros = fill(output([dy], indices.shape), 0);
      return [
        needs[0] ? (reduction === 'add' ? dy : scatter(dy, indices, zeros, { axis: d })) : undefined,
        needs[1] ? gather(dy, indices, { axis: d }) : undefined,
      ];
    },
  });
}

function layout(shape: Shape, d: number, N: number): Axis {
  const [O, J, I] = [size(shape.slice(0, d)), shape[d], size(shape.slice(d + 1))];
  return { O, N, J, I, strides: [J * I, I, 1] };
}

/** The axis, counted from the front, once the indices are known to fit. */
function expectFit(op: string, x: Tensor, indices: Tensor, d: number): void {
  expect(
    indices.shape.length === x.shape.length && indices.shape.every((n, k) => k === d || n <= x.shape[k]),
    op,
    `the indices must have x's rank and at most its extents but on axis ${d}`,
    `indices ${show(indices.shape)} and x ${show(x.shape)}`,
  );
}
