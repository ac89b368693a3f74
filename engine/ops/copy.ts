import source from '../../shaders/copy.wgsl' with { type: 'text' };
import { expect, expectDType } from '../gpu/errors.ts';
import { kernel } from '../gpu/kernel.ts';
import { record } from '../tensor/autograd.ts';
import { output, run } from '../tensor/dispatch.ts';
import { axisOf, type Shape, show, size } from '../tensor/shape.ts';
import { collapse, contiguousStrides } from '../tensor/strided.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { fill } from './fill.ts';

const gather = kernel(source, 'gather');
const place = kernel(source, 'place');
const MAX_AXES = 6;

const NO_PLACE = { run_length: 0, pitch: 0 };
const NO_GATHER = { extents: [0, 0, 0, 0], strides: [0, 0, 0, 0], last_strides: [0, 0], last_extent: 0 };

/**
 * Copies x, read with any strides, into a new contiguous tensor. Not differentiable: the ops below are.
 *
 * @param strides  in elements, one per axis of `shape`; 0 repeats
 * @param start    first element of x
 * @throws ShapeError when more than six axes remain after merging neighbours
 */
export function stridedCopy(
  op: string,
  x: Tensor,
  shape: Shape,
  strides: readonly number[],
  start = 0,
): Tensor {
  expectDType(op, 'x', x, 'f32', 'i32', 'u32');
  const y = output([x], shape, x.dtype);
  const walk = collapse(shape, [strides]);
  const axes = walk.shape.length;
  expect(
    axes <= MAX_AXES,
    op,
    `at most ${MAX_AXES} axes may remain after merging`,
    show(walk.shape),
    'Reshape first.',
  );
  const extents = [...walk.shape];
  const steps = [...walk.strides[0]];
  const lanes =
    extents[axes - 1] % 4 === 0 &&
    steps[axes - 1] === 1 &&
    [start, ...steps.slice(0, -1)].every((s) => s % 4 === 0)
      ? 4
      : 1;
  if (lanes === 4) {
    extents[axes - 1] /= 4;
    for (let d = 0; d < axes - 1; d++) steps[d] /= 4;
  }
  // The outermost axis is digit 0; the others fill the digits from the last one down.
  const digit = new Array<number>(MAX_AXES).fill(1);
  const stride = new Array<number>(MAX_AXES).fill(0);
  for (let d = 0; d < axes; d++) {
    const to = d === 0 ? 0 : MAX_AXES - axes + d;
    digit[to] = extents[d];
    stride[to] = steps[d];
  }
  const n = y.size / lanes;
  run(gather, {
    bind: { x, y },
    define: { Value: lanes === 4 ? 'vec4u' : 'u32', DIGITS: `${axes}u` },
    params: {
      extents: digit.slice(1, 5),
      last_extent: digit[5],
      strides: stride.slice(0, 4),
      last_strides: stride.slice(4),
      n,
      start: start / lanes,
      ...NO_PLACE,
    },
    groups: Math.ceil(n / gather.workgroupSize),
  });
  return y;
}

/** Writes x, as runs of `length` elements, into y at `start`, `start + pitch`, ... */
function placeRuns(x: Tensor, y: Tensor, length: number, start: number, pitch: number): void {
  if (x.size === 0) return;
  const lanes = [length, start, pitch].every((count) => count % 4 === 0) ? 4 : 1;
  const n = x.size / lanes;
  run(place, {
    bind: { x, y },
    define: { Value: lanes === 4 ? 'vec4u' : 'u32' },
    params: { ...NO_GATHER, n, start: start / lanes, run_length: length / lanes, pitch: pitch / lanes },
    groups: Math.ceil(n / place.workgroupSize),
  });
}

/**
 * Reorders the axes: axis d of the result is axis `axes[d]` of x.
 *
 * @param x     f32, i32 or u32, any shape
 * @param axes  every axis of x once; negative ones count from the end
 * @returns     x's extents in that order
 * @throws ShapeError when an axis is missing or repeated
 */
export function permute(x: Tensor, axes: readonly number[]): Tensor {
  const rank = x.shape.length;
  const order = axes.map((axis) => axisOf('permute', axis, rank));
  expect(
    order.length === rank && new Set(order).size === rank,
    'permute',
    'every axis must be named once',
    `axes [${axes.join(', ')}] for x ${show(x.shape)}`,
  );
  const strides = contiguousStrides(x.shape);
  const y = stridedCopy(
    'permute',
    x,
    order.map((axis) => x.shape[axis]),
    order.map((axis) => strides[axis]),
  );
  const inverse = order.map((_axis, d) => order.indexOf(d));
  return record('permute', { inputs: [x], output: y, saved: {}, backward: (dy) => [permute(dy, inverse)] });
}

/**
 * The elements start, ..., start + length - 1 of one axis.
 *
 * @param x     f32, i32 or u32, any shape
 * @param axis  negative counts from the end
 * @returns     x's shape with extent `length` there
 * @throws ShapeError when they do not lie within the axis
 */
export function slice(x: Tensor, axis: number, start: number, length: number): Tensor {
  const d = axisOf('slice', axis, x.shape.length);
  expect(
    Number.isInteger(start) &&
      Number.isInteger(length) &&
      start >= 0 &&
      length >= 0 &&
      start + length <= x.shape[d],
    'slice',
    `start and start + length must lie within the axis`,
    `start ${start} and length ${length} for axis ${d} of x ${show(x.shape)}`,
  );
  const strides = contiguousStrides(x.shape);
  const inner = strides[d];
  const y = stridedCopy('slice', x, x.shape.with(d, length), strides, start * inner);
  const { shape } = x;
  return record('slice', {
    inputs: [x],
    output: y,
    saved: {},
    backward: (dy) => {
      const dx = fill(output([dy], shape), 0);
      placeRuns(dy, dx, length * inner, start * inner, shape[d] * inner);
      return [dx];
    },
  });
}

/**
 * Joins tensors along one axis.
 *
 * @param xs    one dtype (f32, i32 or u32), equal extents but on `axis`
 * @param axis  negative counts from the end
 * @returns     the xs' shape with the sum of their extents there
 * @throws ShapeError when there is none, or another extent differs
 */
export function concat(xs: readonly Tensor[], axis: number): Tensor {
  expect(xs.length > 0, 'concat', 'there must be a tensor to join', 'none');
  const first = xs[0];
  const d = axisOf('concat', axis, first.shape.length);
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
  const inner = size(first.shape.slice(d + 1));
  const starts: number[] = [];
  let at = 0;
  for (const x of xs) {
    starts.push(at);
    placeRuns(x, y, x.shape[d] * inner, at * inner, total * inner);
    at += x.shape[d];
  }
  const lengths = xs.map((x) => x.shape[d]);
  return record('concat', {
    inputs: xs,
    output: y,
    saved: {},
    backward: (dy, _saved, needs) =>
      lengths.map((length, k) => (needs[k] ? slice(dy, d, starts[k], length) : undefined)),
  });
}
