import source from '../../shaders/copy.wgsl' with { type: 'text' };
import { expect, expectDType, expectKeys, expectTensor, kindOf } from '../gpu/errors.ts';
import { kernel } from '../gpu/kernel.ts';
import { record } from '../tensor/autograd.ts';
import { output, runEach } from '../tensor/dispatch.ts';
import { isBindable } from '../tensor/part.ts';
import {
  type AxisOptions,
  axisOf,
  expectList,
  optionalAxis,
  type Shape,
  show,
  size,
} from '../tensor/shape.ts';
import { collapse, contiguousStrides } from '../tensor/strided.ts';
import type { DType, Tensor } from '../tensor/tensor.ts';
import { fill } from './fill.ts';

const gather = kernel(source, 'gather');
const place = kernel(source, 'place');
const MAX_AXES = 6;

/** What both kernels are called with for a strided arrangement of `shape`; offsets that only one of them has are 0. */
function stridedCall(
  op: string,
  shape: Shape,
  strides: readonly number[],
  start: number,
  begin = 0,
  add = false,
) {
  const merged = collapse(shape, [strides]);
  const axes = merged.shape.length;
  expect(
    axes <= MAX_AXES,
    op,
    `at most ${MAX_AXES} axes may remain after merging`,
    show(merged.shape),
    'Reshape first.',
  );
  const extents = [...merged.shape];
  const steps = [...merged.strides[0]];
  const inner = axes - 1;
  const vec =
    steps[inner] === 1 &&
    [extents[inner], start, begin, ...steps.slice(0, -1)].every((count) => count % 4 === 0)
      ? 4
      : 1;
  extents[inner] /= vec;
  for (let d = 0; d < inner; d++) steps[d] /= vec;
  // The outermost axis is digit 0; the others fill the digits from the last one down.
  const digit = new Array<number>(MAX_AXES).fill(1);
  const stride = new Array<number>(MAX_AXES).fill(0);
  for (let d = 0; d < axes; d++) {
    const to = d === 0 ? 0 : MAX_AXES - axes + d;
    digit[to] = extents[d];
    stride[to] = steps[d];
  }
  const n = size(shape) / vec;
  return {
    define: {
      Vec: `${vec === 4 ? 'vec4' : ''}${add ? 'f' : 'u'}${vec === 4 ? '' : '32'}`,
      DIGITS: `${axes}u`,
      ADD: add,
    },
    params: {
      extents: digit.slice(1, 5),
      last_extent: digit[5],
      strides: stride.slice(0, 4),
      last_strides: stride.slice(4),
      n,
      start: start / vec,
      begin: begin / vec,
    },
  };
}

/**
 * Copies x, read with any strides, into a new contiguous tensor. Not differentiable: the ops below are.
 *
 * @param strides  in elements, one per axis of `shape`; 0 repeats, negative ones go backwards
 * @param start    first element of x
 * @throws ShapeError when more than six axes remain after merging neighbours
 */
export function stridedCopy<D extends DType>(
  op: string,
  x: Tensor<D>,
  shape: Shape,
  strides: readonly number[],
  start = 0,
): Tensor<D> {
  expectDType(op, 'x', x, 'f32', 'i32', 'u32');
  const y = output([x], shape, x.dtype);
  runEach(gather, { bind: { x, y }, ...stridedCall(op, shape, strides, start) });
  return y;
}

/**
 * Writes x, or its elements from `begin` on, as a tensor of `shape` into y from element `start` on. Not differentiable.
 *
 * @param strides  of y, in elements, one per axis of `shape`; no two elements may have one target
 * @param add      f32: adds to what y holds
 */
export function stridedPlace(
  op: string,
  x: Tensor,
  y: Tensor,
  shape: Shape,
  strides: readonly number[],
  { start = 0, begin = 0, add = false }: { start?: number; begin?: number; add?: boolean } = {},
): void {
  runEach(place, { bind: { x, y }, ...stridedCall(op, shape, strides, start, begin, add) });
}

/**
 * Copies runs of neighbours from buffer to buffer, for tensors larger than a binding. In elements of
 * 32 bits; runs follow each other unless a step is given.
 */
function copyRuns(
  x: Tensor,
  y: Tensor,
  runs: number,
  length: number,
  { from = 0, fromStep = length, to = 0, toStep = length },
): void {
  const at = ({ range }: Tensor, element: number) => ({
    buffer: range.buffer,
    offset: range.offset + 4 * element,
    sizeBytes: 4 * length,
  });
  for (let i = 0; i < runs; i++) x.gpu.copy(at(x, from + i * fromStep), at(y, to + i * toStep));
}

/**
 * Where neighbours stay neighbours, contiguous reads and scattered writes wait less for memory than the
 * reverse.
 */
function permuted<D extends DType>(
  x: Tensor<D>,
  order: readonly number[],
  inverse: readonly number[],
): Tensor<D> {
  const shape = order.map((axis) => x.shape[axis]);
  const from = contiguousStrides(x.shape);
  const to = contiguousStrides(shape);
  const last = order.length - 1;
  const [reads, writes] = [order.map((axis) => from[axis]), inverse.map((d) => to[d])];
  if (order[last] !== last) return stridedCopy('permute', x, shape, reads);
  const y = output([x], shape, x.dtype);
  stridedPlace('permute', x, y, x.shape, writes);
  return y;
}

/**
 * Reorders the axes: axis d of the result is axis `axes[d]` of x.
 *
 * @param x     f32, i32 or u32, any shape
 * @param axes  every axis of x once; negative ones count from the end
 * @returns     x's extents in that order
 * @throws ShapeError when an axis is missing or repeated
 */
export function permute<D extends DType>(x: Tensor<D>, axes: readonly number[]): Tensor<D> {
  expectTensor('permute', 'x', x);
  expectList('permute', 'axes', axes);
  const rank = x.shape.length;
  const order = axes.map((axis) => axisOf('permute', axis, rank));
  expect(
    order.length === rank && new Set(order).size === rank,
    'permute',
    'every axis must be named once',
    `axes [${axes.join(', ')}] for x ${show(x.shape)}`,
  );
  const inverse = order.map((_axis, d) => order.indexOf(d));
  const y = permuted(x, order, inverse);
  return record('permute', { inputs: [x], output: y, saved: {}, backward: (dy) => [permute(dy, inverse)] });
}

/** Which elements `slice` takes. */
export interface SliceOptions {
  /** Negative ones count from the end. Default 0. */
  readonly axis?: number;
  /** The first element. Default 0, or with a negative step the last one of the axis. */
  readonly start?: number;
  /** Number of elements. Default: as many as there are from `start` on. */
  readonly length?: number;
  /** From one element to the next: not 0; negative goes backwards. Default 1. */
  readonly step?: number;
}

/**
 * The elements start, start + step, ... of one axis, `length` of them.
 *
 * @param x  f32, i32 or u32, any shape
 * @returns  x's shape with extent `length` there
 * @throws ShapeError when they are not within the axis
 */
export function slice<D extends DType>(x: Tensor<D>, options: SliceOptions = {}): Tensor<D> {
  expectTensor('slice', 'x', x);
  expectKeys('slice', options, { axis: true, start: true, length: true, step: true });
  const { axis = 0, step = 1 } = options;
  const d = axisOf('slice', axis, x.shape.length);
  const { start = step < 0 ? x.shape[d] - 1 : 0 } = options;
  const { length = Math.max(0, Math.ceil((step < 0 ? start + 1 : x.shape[d] - start) / Math.abs(step))) } =
    options;
  const last = start + (length - 1) * step;
  expect(
    [start, length, step].every(Number.isInteger) &&
      step !== 0 &&
      length >= 0 &&
      (length === 0 || (Math.min(start, last) >= 0 && Math.max(start, last) < x.shape[d])),
    'slice',
    'the first and the last element must lie within the axis',
    `start ${start}, length ${length} and step ${step} for axis ${d} of x ${show(x.shape)}`,
  );
  const own = contiguousStrides(x.shape);
  const strides = own.with(d, own[d] * step);
  const first = length === 0 ? 0 : start * own[d];
  const kept = x.shape.with(d, length);
  let y: Tensor<D>;
  if (isBindable(x) || step !== 1) y = stridedCopy('slice', x, kept, strides, first);
  else {
    y = output([x], kept, x.dtype);
    const whole = { from: first, fromStep: x.shape[d] * own[d] };
    copyRuns(x, y, size(x.shape.slice(0, d)), length * own[d], whole);
  }
  const { shape } = x;
  return record('slice', {
    inputs: [x],
    output: y,
    saved: {},
    backward: (dy) => {
      const dx = fill(output([dy], shape), 0);
      stridedPlace('slice', dy, dx, dy.shape, strides, { start: first });
      return [dx];
    },
  });
}

/**
 * Puts x into a larger tensor that holds `value` elsewhere. Differentiable.
 *
 * @param x      f32, i32 or u32, any shape
 * @param shape  of the result
 * @param at     where x begins, one index per axis
 * @throws ShapeError when x does not lie within the result
 */
export function placeInto<D extends DType>(
  op: string,
  x: Tensor<D>,
  shape: Shape,
  at: readonly number[],
  value: number,
): Tensor<D> {
  expect(
    shape.length === x.shape.length && shape.every((extent, d) => at[d] >= 0 && at[d] + x.shape[d] <= extent),
    op,
    'x must lie within the result',
    `x ${show(x.shape)} at ${show(at)} of ${show(shape)}`,
  );
  const strides = contiguousStrides(shape);
  const start = strides.reduce((sum, stride, d) => sum + stride * at[d], 0);
  const y = fill(output([x], shape, x.dtype), value);
  stridedPlace(op, x, y, x.shape, strides, { start });
  const inner = x.shape;
  return record(op, {
    inputs: [x],
    output: y,
    saved: {},
    backward: (dy) => [stridedCopy(op, dy, inner, strides, x.size === 0 ? 0 : start)],
  });
}

/**
 * Joins tensors along one axis.
 *
 * @param xs    one dtype (f32, i32 or u32), equal extents but on the axis
 * @returns     the xs' shape with the sum of their extents there
 * @throws ShapeError when there is none, or another extent differs
 */
export function concat<D extends DType>(xs: readonly Tensor<D>[], options: AxisOptions = {}): Tensor<D> {
  expect(xs?.length > 0, 'concat', 'there must be a tensor to join', xs ? 'none' : kindOf(xs));
  expectTensor('concat', 'every x', xs[0]);
  const first = xs[0];
  const d = optionalAxis('concat', options, 0, first.shape.length);
  for (const x of xs) {
    expectDType('concat', 'x', x, 'f32', 'i32', 'u32');
    expectDType('concat', 'every x', x, first.dtype);
    expect(
      x.shape.length === first.shape.length &&
        x.shape.every((extent, k) => k === d || extent === first.shape[k]),
      'concat',
      `extents must be equal but on axis ${d}`,
      `${show(first.shape)} and ${show(x.shape)}`,
    );
  }
  const total = xs.reduce((sum, x) => sum + x.shape[d], 0);
  const y = output(xs, first.shape.with(d, total), first.dtype);
  const strides = contiguousStrides(y.shape);
  const starts: number[] = [];
  let at = 0;
  for (const x of xs) {
    starts.push(at);
    const start = at * strides[d];
    if (isBindable(y)) stridedPlace('concat', x, y, x.shape, strides, { start });
    else
      copyRuns(x, y, size(x.shape.slice(0, d)), x.shape[d] * strides[d], {
        to: start,
        toStep: total * strides[d],
      });
    at += x.shape[d];
  }
  const lengths = xs.map((x) => x.shape[d]);
  return record('concat', {
    inputs: xs,
    output: y,
    saved: {},
    backward: (dy, _saved, needs) =>
      lengths.map((length, k) => (needs[k] ? slice(dy, { axis: d, start: starts[k], length }) : undefined)),
  });
}
