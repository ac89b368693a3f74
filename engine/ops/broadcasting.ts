// Element-wise kernels of two operands, which `pointwise.ts` records. Nothing here is differentiable.
import source from '../../shaders/pointwise.wgsl' with { type: 'text' };
import { expect, expectDType, kindOf } from '../gpu/errors.ts';
import { type Define, kernel } from '../gpu/kernel.ts';
import { output, runEach } from '../tensor/dispatch.ts';
import { bitsOf } from '../tensor/numbers.ts';
import { inParts } from '../tensor/part.ts';
import { broadcast, type Shape, sameShape, show, size } from '../tensor/shape.ts';
import { broadcastStrides, collapse } from '../tensor/strided.ts';
import { type DType, Tensor } from '../tensor/tensor.ts';
import { stridedCopy } from './copy.ts';
import { vectorOf } from './rows.ts';

/** A tensor, or a number of the other operand's dtype that is read as a tensor of its shape. */
export type Operand<D extends DType = DType> = Tensor<D> | number;

const binaryKernel = kernel(source, 'binary');
const chooseKernel = kernel(source, 'choose');
const accumulateKernel = kernel(source, 'accumulate');
const MAX_AXES = 4;

/** The WGSL type of one element, or of four neighbours. */
function typeOf(dtype: DType, vec: number): string {
  return vec === 4 ? `vec4${dtype[0]}` : dtype;
}

/** The aliases of the shader for operands of a dtype and a result of another. */
function types(dtype: DType, vec: number, result: DType = dtype): Define {
  const [Vec, ResultVec, FVec, UVec] = [dtype, result, 'f32', 'u32'].map((type) =>
    typeOf(type as DType, vec),
  );
  return { Scalar: dtype, Vec, ResultVec, FVec, UVec, FLOAT: dtype === 'f32' };
}

/** How a kernel reads one operand. */
interface Side {
  /** In the order of y, element by element. */
  readonly dense: boolean;
  /** f32, i32, u32 or a vector of four. */
  readonly type: string;
  readonly strides: readonly number[];
}

/** How a kernel reads its operands in the order of y, what it is specialised by, and its params. Undefined with more than four axes. */
function broadcastCall(shape: Shape, operands: readonly Tensor[], result: DType) {
  const space = collapse(
    shape,
    operands.map((operand) => broadcastStrides(operand.shape, shape)),
  );
  const axes = space.shape.length;
  if (axes > MAX_AXES) return undefined;
  const last = axes - 1;
  const vec = vectorOf(space.shape[last]);
  const extents = space.shape.with(last, space.shape[last] / vec);
  const sides = space.strides.map((steps, k): Side => {
    // Read four at a time where the last axis is contiguous; one at a time where it repeats.
    const width = steps[last] === 1 ? vec : 1;
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
    define: { ...types(operands[operands.length - 1].dtype, vec, result), AXES: `${axes}u` },
    params: { n, extents: [...new Array<number>(MAX_AXES - axes).fill(1), ...extents.slice(1)] },
  };
}

/** The tensor among two operands, by which a number gets its dtype. @throws ShapeError when there is none */
function tensorOf(op: string, a: Operand, b: Operand): Tensor {
  if (a instanceof Tensor) return a;
  if (b instanceof Tensor) return b;
  const got =
    typeof a === 'number' && typeof b === 'number'
      ? `the numbers ${a} and ${b}`
      : `${kindOf(a)} and ${kindOf(b)}`;
  expect(false, op, 'an operand must be a tensor', got);
}

/** How a kernel reads the operands a and b of a dtype; a number's bits are in the place of its strides. */
function readPair(op: string, a: Operand, b: Operand, sides: readonly [Side, Side], dtype: DType) {
  const [left, right] = [a, b].map((operand, k) =>
    typeof operand === 'number'
      ? { ...sides[k], dense: true, strides: [bitsOf(op, operand, dtype), 0, 0, 0] }
      : sides[k],
  );
  return {
    define: {
      AVec: left.type,
      BVec: right.type,
      A_DENSE: left.dense,
      B_DENSE: right.dense,
      A_NUMBER: typeof a === 'number',
      B_NUMBER: typeof b === 'number',
    },
    params: { a_strides: left.strides, b_strides: right.strides },
  };
}

/** f(a, b). */
export function binary<D extends DType>(op: string, a: Operand, b: Operand, result: D): Tensor<D> {
  const tensor = tensorOf(op, a, b);
  const { dtype } = tensor;
  // A number is not read: what is bound in its place is the other operand.
  const [u, v] = [a, b].map((operand) => (typeof operand === 'number' ? tensor : operand));
  expectDType(op, 'a', u, 'f32', 'i32', 'u32');
  expectDType(op, 'b', v, dtype);
  const shape = broadcast(op, u.shape, v.shape);
  const steps = broadcastCall(shape, [u, v], result);
  if (!steps) {
    // Axes that alternate between the operands more than four times: copy both.
    using left = stridedCopy(op, u, shape, broadcastStrides(u.shape, shape));
    using right = stridedCopy(op, v, shape, broadcastStrides(v.shape, shape));
    return binary(op, typeof a === 'number' ? a : left, typeof b === 'number' ? b : right, result);
  }
  const y = output([u, v], shape, result);
  const [left, right] = steps.sides;
  const pair = readPair(op, a, b, [left, right], dtype);
  runEach(binaryKernel, {
    bind: { a: u, b: v, y },
    define: { ...steps.define, OP: op.toUpperCase(), ...pair.define },
    params: { ...steps.params, ...pair.params },
    flops: y.size,
  });
  return y;
}

/** a where cond is not 0, b elsewhere; two numbers make f32. */
export function choose(cond: Tensor, a: Operand, b: Operand): Tensor {
  const op = 'where';
  expectDType(op, 'cond', cond, 'f32');
  const tensor = a instanceof Tensor ? a : b instanceof Tensor ? b : cond;
  const { dtype } = tensor;
  const [u, v] = [a, b].map((operand) => (typeof operand === 'number' ? tensor : operand));
  expectDType(op, 'a', u, 'f32', 'i32', 'u32');
  expectDType(op, 'b', v, dtype);
  const shape = broadcast(op, cond.shape, broadcast(op, u.shape, v.shape));
  const steps = broadcastCall(shape, [cond, u, v], dtype);
  if (!steps) {
    using condition = stridedCopy(op, cond, shape, broadcastStrides(cond.shape, shape));
    using left = stridedCopy(op, u, shape, broadcastStrides(u.shape, shape));
    using right = stridedCopy(op, v, shape, broadcastStrides(v.shape, shape));
    return choose(condition, typeof a === 'number' ? a : left, typeof b === 'number' ? b : right);
  }
  const y = output([cond, u, v], shape, dtype);
  const [condition, left, right] = steps.sides;
  const pair = readPair(op, a, b, [left, right], dtype);
  runEach(chooseKernel, {
    bind: { a: u, b: v, cond, y },
    define: {
      ...steps.define,
      ConditionVec: condition.type,
      CONDITION_DENSE: condition.dense,
      ...pair.define,
    },
    params: { ...steps.params, cond_strides: condition.strides, ...pair.params },
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
  inParts({ x, y: total }, (bind) => {
    const { size } = bind.x;
    const vec = vectorOf(size);
    runEach(accumulateKernel, { bind, define: types('f32', vec), params: { n: size / vec }, flops: size });
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
