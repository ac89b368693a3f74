import source from '../../shaders/pointwise.wgsl' with { type: 'text' };
import { expect, expectDType } from '../gpu/errors.ts';
import { type Define, kernel } from '../gpu/kernel.ts';
import { record } from '../tensor/autograd.ts';
import { output, runEach } from '../tensor/dispatch.ts';
import { broadcast, type Shape, sameShape, show, size } from '../tensor/shape.ts';
import { broadcastStrides, collapse } from '../tensor/strided.ts';
import type { DType, Tensor } from '../tensor/tensor.ts';
import { stridedCopy } from './copy.ts';
import { fill } from './fill.ts';
import { sumTo } from './reduce.ts';
import { affine, log, neg } from './unary.ts';

const binaryKernel = kernel(source, 'binary');
const chooseKernel = kernel(source, 'choose');
const accumulateKernel = kernel(source, 'accumulate');
const MAX_AXES = 4;

/** The WGSL type of one element, or of four neighbours. */
function typeOf(dtype: DType, lanes: number): string {
  return lanes === 4 ? `vec4${dtype[0]}` : dtype;
}

/** The aliases of the shader for operands of a dtype and a result of another. */
function types(dtype: DType, lanes: number, result: DType = dtype): Define {
  const [Value, Result, Real, Count] = [dtype, result, 'f32', 'u32'].map((type) =>
    typeOf(type as DType, lanes),
  );
  return { Value, Result, Real, Count, FLOAT: dtype === 'f32' };
}

/** How a kernel walks over y: what it is specialised by, and its params. Undefined with more than four axes. */
function walk(shape: Shape, operands: readonly Tensor[], result: DType) {
  const space = collapse(
    shape,
    operands.map((operand) => broadcastStrides(operand.shape, shape)),
  );
  const axes = space.shape.length;
  if (axes > MAX_AXES) return undefined;
  const last = axes - 1;
  const lanes = space.shape[last] % 4 === 0 ? 4 : 1;
  const extents = space.shape.with(last, space.shape[last] / lanes);
  const sides = space.strides.map((steps, k) => {
    // Read four at a time where the last axis is contiguous; one at a time where it repeats.
    const width = steps[last] === 1 ? lanes : 1;
    const own = steps.map((step, d) => (d === last ? step : step / width));
    return {
      dense: sameShape(operands[k].shape, shape) || (axes === 1 && steps[0] === 1),
      type: typeOf(operands[k].dtype, width),
      // Axis 0 comes first, the others fill the four places from the end.
      strides: [own[0], ...new Array<number>(MAX_AXES - axes).fill(0), ...own.slice(1)],
    };
  });
  const n = size(extents);
  return {
    sides,
    define: { ...types(operands[operands.length - 1].dtype, lanes, result), AXES: `${axes}u` },
    params: { n, extents: [...new Array<number>(MAX_AXES - axes).fill(1), ...extents.slice(1)] },
  };
}

/** f(a, b) without recording. */
function apply<D extends DType>(op: string, a: Tensor<D>, b: Tensor): Tensor<D> {
  return binary(op, a, b, a.dtype);
}

/** 1 where a comparison holds, 0 elsewhere. */
function compare(op: string, a: Tensor, b: Tensor): Tensor<'f32'> {
  return binary(op, a, b, 'f32');
}

function binary<D extends DType>(op: string, a: Tensor, b: Tensor, result: D): Tensor<D> {
  expectDType(op, 'a', a, 'f32', 'i32', 'u32');
  expectDType(op, 'b', b, a.dtype);
  const shape = broadcast(op, a.shape, b.shape);
  const steps = walk(shape, [a, b], result);
  if (!steps) {
    // Axes that alternate between the operands more than four times: write both out.
    using left = stridedCopy(op, a, shape, broadcastStrides(a.shape, shape));
    using right = stridedCopy(op, b, shape, broadcastStrides(b.shape, shape));
    return binary(op, left, right, result);
  }
  const y = output([a, b], shape, result);
  const [left, right] = steps.sides;
  runEach(binaryKernel, {
    bind: { a, b, y },
    define: {
      ...steps.define,
      OP: op.toUpperCase(),
      A: left.type,
      B: right.type,
      A_DENSE: left.dense,
      B_DENSE: right.dense,
    },
    params: { ...steps.params, a_strides: left.strides, b_strides: right.strides },
    flops: y.size,
  });
  return y;
}

/** a + b, with NumPy's broadcasting. @throws ShapeError when the shapes do not broadcast */
export function add<D extends DType>(a: Tensor<D>, b: Tensor): Tensor<D> {
  return record('add', {
    inputs: [a, b],
    output: apply('add', a, b),
    saved: {},
    backward: (dy, _saved, needs) => [
      needs[0] ? sumTo(dy, a.shape) : undefined,
      needs[1] ? sumTo(dy, b.shape) : undefined,
    ],
  });
}

/** a - b, with NumPy's broadcasting. @throws ShapeError when the shapes do not broadcast */
export function sub<D extends DType>(a: Tensor<D>, b: Tensor): Tensor<D> {
  return record('sub', {
    inputs: [a, b],
    output: apply('sub', a, b),
    saved: {},
    backward: (dy, _saved, needs) => [
      needs[0] ? sumTo(dy, a.shape) : undefined,
      needs[1] ? neg(sumTo(dy, b.shape)) : undefined,
    ],
  });
}

/** a b, with NumPy's broadcasting. @throws ShapeError when the shapes do not broadcast */
export function mul<D extends DType>(a: Tensor<D>, b: Tensor): Tensor<D> {
  return record('mul', {
    inputs: [a, b],
    output: apply('mul', a, b),
    // A factor is kept only where the other one needs a gradient.
    saved: { left: b.requiresGrad ? a : undefined, right: a.requiresGrad ? b : undefined },
    backward: (dy, { left, right }) => [
      right && sumTo(apply('mul', dy, right), a.shape),
      left && sumTo(apply('mul', dy, left), b.shape),
    ],
  });
}

/** a / b, with NumPy's broadcasting, for b != 0. @throws ShapeError when the shapes do not broadcast */
export function div<D extends DType>(a: Tensor<D>, b: Tensor): Tensor<D> {
  const y = apply('div', a, b);
  return record('div', {
    inputs: [a, b],
    output: y,
    saved: { divisor: b, quotient: b.requiresGrad ? y : undefined },
    backward: (dy, { divisor, quotient }, needs) => {
      // d(a/b) = da / b - (a/b) db / b
      const scaled = apply('div', dy, divisor);
      return [
        needs[0] ? sumTo(scaled, a.shape) : undefined,
        quotient && neg(sumTo(apply('mul', scaled, quotient), b.shape)),
      ];
    },
  });
}

/**
 * The larger of a and b, with NumPy's broadcasting; where they are equal each gets half the gradient. NaN where either
 * is, and then both get the gradient.
 *
 * @throws ShapeError when the shapes do not broadcast
 */
export function maximum<D extends DType>(a: Tensor<D>, b: Tensor): Tensor<D> {
  return extremum('maximum', 'less', a, b);
}

/**
 * The smaller of a and b, with NumPy's broadcasting; where they are equal each gets half the gradient. NaN where either
 * is, and then both get the gradient.
 *
 * @throws ShapeError when the shapes do not broadcast
 */
export function minimum<D extends DType>(a: Tensor<D>, b: Tensor): Tensor<D> {
  return extremum('minimum', 'greater', a, b);
}

function extremum<D extends DType>(
  op: string,
  loses: 'greater' | 'less',
  a: Tensor<D>,
  b: Tensor,
): Tensor<D> {
  return record(op, {
    inputs: [a, b],
    output: apply(op, a, b),
    saved: { a, b },
    backward: (dy, { a, b }, needs) => {
      const none = fill(output([dy], [1]), 0);
      const half = affine(dy, 0.5, 0);
      const share = (u: Tensor, v: Tensor) =>
        sumTo(choose(compare(loses, u, v), none, choose(compare('equal', u, v), half, dy)), u.shape);
      return [needs[0] ? share(a, b) : undefined, needs[1] ? share(b, a) : undefined];
    },
  });
}

/**
 * a^b, with NumPy's broadcasting: NaN where a < 0 and b is no whole number. Integers wrap around, and their negative
 * powers are 0 but for those of 1 and -1. The gradient of b is NaN where a < 0, and that of a is 0 where b = 0.
 *
 * @throws ShapeError when the shapes do not broadcast
 */
export function pow<D extends DType>(a: Tensor<D>, b: Tensor): Tensor<D> {
  const y = apply('pow', a, b);
  return record('pow', {
    inputs: [a, b],
    output: y,
    saved: { a, b, y: b.requiresGrad ? y : undefined },
    backward: (dy, { a, b, y }, needs) => {
      // d(a^b) = b a^(b-1) da + a^b log(a) db, where 0 times infinity is 0
      const none = fill(output([dy], [1]), 0);
      const slope = () => apply('mul', b, apply('pow', a, affine(b, 1, -1)));
      const still = () => mul(compare('equal', a, none), compare('greaterEqual', b, none));
      return [
        needs[0] ? sumTo(mul(dy, choose(compare('equal', b, none), none, slope())), a.shape) : undefined,
        y && sumTo(mul(dy, choose(still(), none, mul(y, log(a)))), b.shape),
      ];
    },
  });
}

/**
 * What is left of a after taking away whole multiples of b, with the sign of b and NumPy's broadcasting:
 * a - b floor(a / b), exactly. Of integers, 0 where b is 0.
 *
 * @throws ShapeError when the shapes do not broadcast
 * Source: torch.remainder.
 */
export function remainder<D extends DType>(a: Tensor<D>, b: Tensor): Tensor<D> {
  const y = apply('remainder', a, b);
  return record('remainder', {
    inputs: [a, b],
    output: y,
    saved: { a, b, y },
    backward: (dy, { a, b, y }, needs) => [
      needs[0] ? sumTo(dy, a.shape) : undefined,
      // The whole quotient: (a - y) / b.
      needs[1] ? sumTo(apply('mul', dy, apply('div', apply('sub', y, a), b)), b.shape) : undefined,
    ],
  });
}

/** 1 where a > b, 0 elsewhere, as f32. No gradient. @throws ShapeError when the shapes do not broadcast */
export function greater(a: Tensor, b: Tensor): Tensor<'f32'> {
  return compare('greater', a, b);
}

/** 1 where a < b, 0 elsewhere, as f32. No gradient. @throws ShapeError when the shapes do not broadcast */
export function less(a: Tensor, b: Tensor): Tensor<'f32'> {
  return compare('less', a, b);
}

/** 1 where a = b, 0 elsewhere, as f32. No gradient. @throws ShapeError when the shapes do not broadcast */
export function equal(a: Tensor, b: Tensor): Tensor<'f32'> {
  return compare('equal', a, b);
}

/** 1 where a >= b, 0 elsewhere, as f32. No gradient. @throws ShapeError when the shapes do not broadcast */
export function greaterEqual(a: Tensor, b: Tensor): Tensor<'f32'> {
  return compare('greaterEqual', a, b);
}

/** 1 where a <= b, 0 elsewhere, as f32. No gradient. @throws ShapeError when the shapes do not broadcast */
export function lessEqual(a: Tensor, b: Tensor): Tensor<'f32'> {
  return compare('lessEqual', a, b);
}

/**
 * a where cond is not 0, b elsewhere, with NumPy's broadcasting of all three.
 *
 * @param cond  f32; gets no gradient
 * @throws ShapeError when the shapes do not broadcast
 */
export function where<D extends DType>(cond: Tensor, a: Tensor<D>, b: Tensor): Tensor<D> {
  return record('where', {
    inputs: [a, b],
    output: choose(cond, a, b),
    saved: { cond },
    backward: (dy, { cond }, needs) => {
      const zero = fill(output([dy], [1]), 0);
      return [
        needs[0] ? sumTo(choose(cond, dy, zero), a.shape) : undefined,
        needs[1] ? sumTo(choose(cond, zero, dy), b.shape) : undefined,
      ];
    },
  });
}

function choose<D extends DType>(cond: Tensor, a: Tensor<D>, b: Tensor): Tensor<D> {
  expectDType('where', 'cond', cond, 'f32');
  expectDType('where', 'a', a, 'f32', 'i32', 'u32');
  expectDType('where', 'b', b, a.dtype);
  const shape = broadcast('where', cond.shape, broadcast('where', a.shape, b.shape));
  const steps = walk(shape, [cond, a, b], b.dtype);
  if (!steps) {
    using condition = stridedCopy('where', cond, shape, broadcastStrides(cond.shape, shape));
    using left = stridedCopy('where', a, shape, broadcastStrides(a.shape, shape));
    using right = stridedCopy('where', b, shape, broadcastStrides(b.shape, shape));
    return choose(condition, left, right);
  }
  const y = output([cond, a, b], shape, a.dtype);
  const [condition, left, right] = steps.sides;
  runEach(chooseKernel, {
    bind: { a, b, cond, y },
    define: {
      ...steps.define,
      Condition: condition.type,
      A: left.type,
      B: right.type,
      CONDITION_DENSE: condition.dense,
      A_DENSE: left.dense,
      B_DENSE: right.dense,
    },
    params: {
      ...steps.params,
      cond_strides: condition.strides,
      a_strides: left.strides,
      b_strides: right.strides,
    },
  });
  return y;
}

/**
 * total += x, in place. Not differentiable.
 *
 * @throws ShapeError when the shapes differ
 */
export function accumulate(total: Tensor, x: Tensor): void {
  expectSame('accumulate', total, x);
  const lanes = x.size % 4 === 0 ? 4 : 1;
  runEach(accumulateKernel, {
    bind: { x, y: total },
    define: types('f32', lanes),
    params: { n: x.size / lanes },
    flops: x.size,
  });
}

/**
 * y = a + b into a tensor that exists. Not differentiable.
 *
 * @throws ShapeError when the shapes differ
 */
export function addInto(y: Tensor, a: Tensor, b: Tensor): void {
  expectSame('addInto', y, a);
  expectSame('addInto', y, b);
  const lanes = y.size % 4 === 0 ? 4 : 1;
  const type = lanes === 4 ? 'vec4f' : 'f32';
  runEach(binaryKernel, {
    bind: { a, b, y },
    define: { ...types('f32', lanes), OP: 'ADD', A: type, B: type },
    params: { n: y.size / lanes, extents: [1, 1, 1], a_strides: [0, 0, 0, 0], b_strides: [0, 0, 0, 0] },
    flops: y.size,
  });
}

function expectSame(op: string, total: Tensor, x: Tensor): void {
  expectDType(op, 'the result', total, 'f32');
  expectDType(op, 'x', x, 'f32');
  expect(
    sameShape(total.shape, x.shape),
    op,
    'shapes must be equal',
    `${show(total.shape)} and ${show(x.shape)}`,
  );
}
