import source from '../../shaders/reduce.wgsl' with { type: 'text' };
import { expect, expectDType, expectKeys, expectTensor, kindOf } from '../gpu/errors.ts';
import { type Define, kernel } from '../gpu/kernel.ts';
import { record } from '../tensor/autograd.ts';
import { output, run } from '../tensor/dispatch.ts';
import { inParts } from '../tensor/part.ts';
import { axisOf, expectList, type Shape, sameShape, show, size } from '../tensor/shape.ts';
import { broadcastStrides } from '../tensor/strided.ts';
import type { DType, Tensor } from '../tensor/tensor.ts';
import { cast } from './cast.ts';
import { permute, stridedCopy } from './copy.ts';
import { fill } from './fill.ts';
import { planReduce } from './reduce_plan.ts';
import { planRows, vectorsOf } from './rows.ts';
import { affine } from './unary/unary.ts';

const rows = kernel(source, 'rows');
const columns = kernel(source, 'columns');
const extremumDx = kernel(source, 'extremum_dx');
const productDx = kernel(source, 'product_dx');

/** Rows up to this length are folded by one invocation each. */
const SHORT_ROW = 32;

type Fold = 'SUM' | 'SQUARES' | 'MAX' | 'MIN' | 'PRODUCT';

/** What a reduction folds, and the shape of its result. */
export interface ReduceOptions {
  /** One axis or several, negative ones counted from the end. Default: all; an empty list folds nothing. */
  readonly axis?: number | readonly number[];
  /** Keeps reduced axes with extent 1. Default false. */
  readonly keepDims?: boolean;
}

/** Folds the rows of x [O, K] into y from element `start` on; returns the number of results, O times the splits. */
function foldRows(x: Tensor, O: number, K: number, fold: Fold, splits: number, y: Tensor, start = 0): void {
  const { perRow, vec } = vectorsOf(K);
  const R = O * splits;
  const { define, groups } = planRows(x.gpu.target, R);
  run(rows, {
    bind: { x, y },
    params: { groups: R, K: perRow, splits, k_split: Math.ceil(perRow / splits), start },
    define: { OP: fold, ...vectorTypes(x, vec), ...define },
    groups,
    flops: O * K,
  });
}

/** Vectors of x, and of indices of the same width. */
export function vectorTypes(x: Tensor, vec: number): Define {
  const FLOAT = x.dtype === 'f32';
  return vec === 4 ? { Vec: `vec4${x.dtype[0]}`, VEC: 4, UVec: 'vec4u', FLOAT } : { Vec: x.dtype, FLOAT };
}

/** Folds the middle axis of x, seen as [O, K, I], K > 0, into a new tensor of the given shape. */
function foldAxis<D extends DType>(
  x: Tensor<D>,
  O: number,
  K: number,
  I: number,
  fold: Fold,
  shape: Shape,
): Tensor<D> {
  const y = output([x], shape, x.dtype);
  if (y.size === 0) return y;
  const again = fold === 'SQUARES' ? 'SUM' : fold;
  const hasTree = x.dtype === 'f32' && fold !== 'MIN' && fold !== 'PRODUCT';
  if (I === 1 && K > SHORT_ROW && hasTree) {
    const { splits } = planReduce(x.gpu.target, { O, K, I, isRow: true });
    if (splits === 1) foldRows(x, O, K, fold, 1, y);
    else {
      const partial = output([x], [O, splits]);
      foldRows(x, O, K, fold, splits, partial);
      foldRows(partial, O, splits, again, 1, y);
      partial.dispose();
    }
    return y;
  }
  const { perRow, vec } = vectorsOf(I);
  const { splits, splitK, loads } = planReduce(x.gpu.target, { O, K, I, isRow: false });
  const partial = splits === 1 ? y : output([x], [O, splits, I], x.dtype);
  const groups = partial.size / vec;
  run(columns, {
    bind: { x, y_values: partial },
    define: { OP: fold, IN_FLIGHT: loads, ...vectorTypes(x, vec) },
    params: { groups, K, I: perRow, splits, k_split: splitK },
    groups: Math.ceil(groups / columns.constant('COLUMN_WG')),
    flops: x.size,
  });
  if (splits === 1) return y;
  y.dispose();
  const folded = foldAxis(partial, O, splits, I, again, shape);
  partial.dispose();
  return folded;
}

export interface Reduction {
  /** Reduced axes, ascending. */
  readonly axes: readonly number[];
  /** x's shape with 1 for reduced axes. */
  readonly kept: readonly number[];
  readonly result: readonly number[];
  /** Elements folded into one. */
  readonly count: number;
}

export function reductionOf(op: string, x: Tensor, options: ReduceOptions): Reduction {
  expectDType(op, 'x', x, 'f32', 'i32', 'u32');
  expectKeys(op, options, { axis: true, keepDims: true });
  const { axis, keepDims = false } = options;
  const rank = x.shape.length;
  const given = typeof axis === 'number' ? [axis] : (axis ?? x.shape.map((_extent, d) => d));
  expectList(op, 'axis', given);
  const named = given.map((axis) => axisOf(op, axis, rank));
  expect(new Set(named).size === named.length, op, 'an axis may be named once', `[${named.join(', ')}]`);
  const kept = x.shape.map((extent, d) => (named.includes(d) ? 1 : extent));
  return {
    axes: named.sort((a, b) => a - b),
    kept,
    result: keepDims ? kept : x.shape.filter((_extent, d) => !named.includes(d)),
    count: named.reduce((product, d) => product * x.shape[d], 1),
  };
}

/** Runs of neighbouring reduced axes; an axis of extent 1 may count as reduced. */
function spans(shape: Shape, axes: readonly number[]): { from: number; to: number }[] {
  const found: { from: number; to: number }[] = [];
  for (const d of axes) {
    const last = found[found.length - 1];
    if (last && shape.slice(last.to, d).every((extent) => extent === 1)) last.to = d + 1;
    else found.push({ from: d, to: d + 1 });
  }
  return found;
}

/** Folds axes without recording; the last ones first, so that most of the data is read contiguously and once. */
function foldAxes<D extends DType>(
  x: Tensor<D>,
  axes: readonly number[],
  fold: Fold,
  shape: Shape,
): Tensor<D> {
  const current = [...x.shape];
  let y = x;
  const todo = spans(x.shape, axes).reverse();
  todo.forEach(({ from, to }, step) => {
    const O = size(current.slice(0, from));
    const K = size(current.slice(from, to));
    const I = size(current.slice(to));
    current.fill(1, from, to);
    const folded = foldAxis(y, O, K, I, fold, step === todo.length - 1 ? shape : current);
    if (y !== x) y.dispose();
    y = folded;
  });
  return y;
}

/** dy of a reduction, repeated along the reduced axes. */
function spread<D extends DType>(op: string, dy: Tensor<D>, kept: Shape, shape: Shape): Tensor<D> {
  return stridedCopy(op, dy, shape, broadcastStrides(kept, shape));
}

/**
 * The sum over some axes.
 *
 * @param x     f32, i32 or u32, any shape
 * @returns     x's shape without the axes, or with extent 1 there (`keepDims`); the sum of no element is 0
 * @throws ShapeError when an axis does not exist or is named twice
 */
export function sum<D extends DType>(x: Tensor<D>, options: ReduceOptions = {}): Tensor<D> {
  const { axes: reduced, kept, result, count } = reductionOf('sum', x, options);
  if (reduced.length === 0) return x.reshape(x.shape);
  const y = count === 0 ? fill(output([x], result, x.dtype), 0) : foldAxes(x, reduced, 'SUM', result);
  const { shape } = x;
  return record('sum', {
    inputs: [x],
    output: y,
    saved: {},
    backward: (dy) => [spread('sum', dy, kept, shape)],
  });
}

/**
 * The mean over some axes: their sum, which must be below 3.4e38, by their number.
 *
 * @param x     f32, any shape
 * @returns     as of `sum`
 * @throws ShapeError when there is nothing to average, or an axis does not exist or is named twice
 */
export function mean(x: Tensor, options: ReduceOptions = {}): Tensor<'f32'> {
  const { axes: reduced, kept, result, count } = reductionOf('mean', x, options);
  expectDType('mean', 'x', x, 'f32');
  expect(count > 0, 'mean', 'there must be an element to average', `x ${show(x.shape)}`);
  if (reduced.length === 0) return cast(x, 'f32');
  const total = foldAxes(x, reduced, 'SUM', result);
  const y = affine(total, 1 / count, 0);
  total.dispose();
  const { shape } = x;
  return record('mean', {
    inputs: [x],
    output: y,
    saved: {},
    backward: (dy) => [spread('mean', affine(dy, 1 / count, 0), kept, shape)],
  });
}

/**
 * The maximum over some axes, NaN where there is one; its gradient goes to the first element, in row-major order, that
 * attains it.
 *
 * @param x     f32, i32 or u32, any shape
 * @returns     as of `sum`; the maximum of no element is -infinity, or the smallest integer
 * @throws ShapeError when an axis does not exist or is named twice
 */
export function max<D extends DType>(x: Tensor<D>, options: ReduceOptions = {}): Tensor<D> {
  return foldOrdered('max', 'MAX', { f32: -Infinity, i32: -(2 ** 31), u32: 0 }, x, options);
}

/**
 * The minimum over some axes, NaN where there is one; its gradient goes to the first element, in row-major order, that
 * attains it.
 *
 * @param x     f32, i32 or u32, any shape
 * @returns     as of `sum`; the minimum of no element is infinity, or the largest integer
 * @throws ShapeError when an axis does not exist or is named twice
 */
export function min<D extends DType>(x: Tensor<D>, options: ReduceOptions = {}): Tensor<D> {
  return foldOrdered('min', 'MIN', { f32: Infinity, i32: 2 ** 31 - 1, u32: 2 ** 32 - 1 }, x, options);
}

/**
 * The product over some axes.
 *
 * @param x     f32, i32 or u32, any shape
 * @returns     as of `sum`; the product of no element is 1
 * @throws ShapeError when an axis does not exist or is named twice
 */
export function prod<D extends DType>(x: Tensor<D>, options: ReduceOptions = {}): Tensor<D> {
  return foldOrdered('prod', 'PRODUCT', { f32: 1, i32: 1, u32: 1 }, x, options);
}

/** A fold whose gradient depends on the position of an element along the axis. */
function foldOrdered<D extends DType>(
  op: string,
  fold: 'MAX' | 'MIN' | 'PRODUCT',
  ofNothing: Readonly<Record<string, number>>,
  x: Tensor<D>,
  options: ReduceOptions,
): Tensor<D> {
  const { axes: reduced, result, count } = reductionOf(op, x, options);
  if (reduced.length === 0) return x.reshape(x.shape);
  if (count === 0) return fill(output([x], result, x.dtype), ofNothing[x.dtype]);
  const [span, ...others] = spans(x.shape, reduced);
  if (others.length > 0) {
    // Together at the end, the reduced axes are one, and the first of them is well defined.
    const order = x.shape.map((_extent, d) => d).filter((d) => !reduced.includes(d));
    const last = reduced.map((_d, k) => order.length + k);
    const moved = permute(x, [...order, ...reduced]);
    const folded = foldOrdered(op, fold, ofNothing, moved, { axis: last });
    const y = folded.reshape(result);
    folded.dispose();
    moved.dispose();
    return y;
  }
  const O = size(x.shape.slice(0, span.from));
  const K = size(x.shape.slice(span.from, span.to));
  const I = size(x.shape.slice(span.to));
  const y = foldAxis(x, O, K, I, fold, result);
  return record(op, {
    inputs: [x],
    output: y,
    saved: { x, y },
    backward: (dy, { x, y }) => {
      const dx = output([dy], x.shape);
      const kernel = fold === 'PRODUCT' ? productDx : extremumDx;
      run(kernel, {
        bind: { operand: x, extremum: y, dy, dx },
        params: { groups: O * I, K, I },
        groups: Math.ceil((O * I) / kernel.constant('COLUMN_WG')),
      });
      return [dx];
    },
  });
}

/**
 * Sums x to a shape that broadcasts to x's: the gradient of broadcasting.
 *
 * @param x  f32, any shape
 * @returns  [...shape]
 * @throws ShapeError when `shape` does not broadcast to x's shape
 */
export function sumTo<D extends DType>(x: Tensor<D>, shape: Shape): Tensor<D> {
  expectTensor('sumTo', 'x', x);
  expectList('sumTo', 'the shape', shape);
  const missing = x.shape.length - shape.length;
  expect(
    missing >= 0 && shape.every((extent, d) => extent === 1 || extent === x.shape[d + missing]),
    'sumTo',
    "the shape must broadcast to x's",
    `${show(shape)} and x ${show(x.shape)}`,
  );
  if (sameShape(x.shape, shape)) return x.reshape(shape);
  const axes = x.shape
    .map((_extent, d) => d)
    .filter((d) => d < missing || (shape[d - missing] === 1 && x.shape[d] !== 1));
  const total = sum(x, { axis: axes });
  if (sameShape(total.shape, shape)) return total;
  const y = total.reshape(shape);
  total.dispose();
  return y;
}

/**
 * Repeats x along axes of extent 1 and new leading axes.
 *
 * @param x  f32, i32 or u32
 * @returns  [...shape]
 * @throws ShapeError when x's shape does not broadcast to `shape`
 */
export function broadcastTo<D extends DType>(x: Tensor<D>, shape: Shape): Tensor<D> {
  expectTensor('broadcastTo', 'x', x);
  expectList('broadcastTo', 'the shape', shape);
  const missing = shape.length - x.shape.length;
  expect(
    missing >= 0 && x.shape.every((extent, d) => extent === 1 || extent === shape[d + missing]),
    'broadcastTo',
    "x's shape must broadcast to the shape",
    `x ${show(x.shape)} and ${show(shape)}`,
  );
  const y = spread('broadcastTo', x, x.shape, shape);
  const from = x.shape;
  return record('broadcastTo', { inputs: [x], output: y, saved: {}, backward: (dy) => [sumTo(dy, from)] });
}

/**
 * The sum of squares of all elements of all tensors, in a fixed order: the squared global norm of gradients. Infinite from
 * a norm of 1.8e19 on, and without numbers below 1e-19, whose squares adapters may take for 0.
 *
 * @param xs  f32, at least one
 * @returns   [1]; not differentiable
 */
export function squaredNorm(xs: readonly Tensor[]): Tensor<'f32'> {
  expect(xs?.length > 0, 'squaredNorm', 'there must be a tensor', xs ? 'none' : kindOf(xs));
  for (const x of xs) expectDType('squaredNorm', 'x', x, 'f32');
  const filled = xs.filter((x) => x.size > 0);
  if (filled.length === 0) return fill(output(xs, [1]), 0);
  const parts = filled.flatMap((x) => {
    const views: Tensor[] = [];
    inParts({ x }, ({ x }) => views.push(x.alias()));
    return views;
  });
  const splits = parts.map((x) => planReduce(x.gpu.target, { O: 1, K: x.size, I: 1, isRow: true }).splits);
  using partial = output(xs, [splits.reduce((total, count) => total + count, 0)]);
  let start = 0;
  parts.forEach((x, k) => {
    foldRows(x, 1, x.size, 'SQUARES', splits[k], partial, start);
    start += splits[k];
    x.dispose();
  });
  return foldAxis(partial, 1, partial.size, 1, 'SUM', [1]);
}
