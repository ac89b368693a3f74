// Functions of two operands, of which one may be a number, and their derivatives.
import { record } from '../tensor/autograd.ts';
import { type DType, Tensor } from '../tensor/tensor.ts';
import { binary, choose, type Operand } from './broadcasting.ts';
import { sumTo } from './reduce.ts';
import { log, neg } from './unary/unary.ts';

/** f(a, b) in the dtype of its tensors, without recording. */
function apply<D extends DType>(op: string, a: Tensor<D>, b: Operand): Tensor<D>;
function apply(op: string, a: Operand, b: Operand): Tensor;
function apply(op: string, a: Operand, b: Operand): Tensor {
  const dtype = a instanceof Tensor ? a.dtype : b instanceof Tensor ? b.dtype : 'f32';
  return binary(op, a, b, dtype);
}

/** What the tape knows of an operand: numbers have no gradient. */
const tensorOf = (operand: Operand): Tensor | undefined => (operand instanceof Tensor ? operand : undefined);

const requiresGrad = (operand: Operand): boolean => operand instanceof Tensor && operand.requiresGrad;

/** The gradient of an operand that was broadcast. */
const reduced = (gradient: Tensor, operand: Operand): Tensor | undefined =>
  operand instanceof Tensor ? sumTo(gradient, operand.shape) : undefined;

/** a + b, with NumPy's broadcasting. @throws ShapeError when the shapes do not broadcast */
export function add<D extends DType>(a: Tensor<D>, b: Tensor | number): Tensor<D>;
/** a + b for a number a. */
export function add<D extends DType>(a: number, b: Tensor<D>): Tensor<D>;
export function add(a: Operand, b: Operand): Tensor {
  return record('add', {
    inputs: [tensorOf(a), tensorOf(b)],
    output: apply('add', a, b),
    saved: {},
    backward: (dy, _saved, needs) => [
      needs[0] ? reduced(dy, a) : undefined,
      needs[1] ? reduced(dy, b) : undefined,
    ],
  });
}

/** a - b, with NumPy's broadcasting. @throws ShapeError when the shapes do not broadcast */
export function sub<D extends DType>(a: Tensor<D>, b: Tensor | number): Tensor<D>;
/** a - b for a number a. */
export function sub<D extends DType>(a: number, b: Tensor<D>): Tensor<D>;
export function sub(a: Operand, b: Operand): Tensor {
  return record('sub', {
    inputs: [tensorOf(a), tensorOf(b)],
    output: apply('sub', a, b),
    saved: {},
    backward: (dy, _saved, needs) => [
      needs[0] ? reduced(dy, a) : undefined,
      b instanceof Tensor && needs[1] ? neg(sumTo(dy, b.shape)) : undefined,
    ],
  });
}

/** a b, with NumPy's broadcasting. @throws ShapeError when the shapes do not broadcast */
export function mul<D extends DType>(a: Tensor<D>, b: Tensor | number): Tensor<D>;
/** a b for a number a. */
export function mul<D extends DType>(a: number, b: Tensor<D>): Tensor<D>;
export function mul(a: Operand, b: Operand): Tensor {
  return record('mul', {
    inputs: [tensorOf(a), tensorOf(b)],
    output: apply('mul', a, b),
    // A factor is kept only where the other one needs a gradient.
    saved: {
      left: requiresGrad(b) ? tensorOf(a) : undefined,
      right: requiresGrad(a) ? tensorOf(b) : undefined,
    },
    activations: ['left', 'right'],
    backward: (dy, { left = a, right = b }, needs) => [
      needs[0] ? reduced(apply('mul', dy, right), a) : undefined,
      needs[1] ? reduced(apply('mul', dy, left), b) : undefined,
    ],
  });
}

/** a / b, with NumPy's broadcasting, for b != 0. @throws ShapeError when the shapes do not broadcast */
export function div<D extends DType>(a: Tensor<D>, b: Tensor | number): Tensor<D>;
/** a / b for a number a. */
export function div<D extends DType>(a: number, b: Tensor<D>): Tensor<D>;
export function div(a: Operand, b: Operand): Tensor {
  const y = apply('div', a, b);
  return record('div', {
    inputs: [tensorOf(a), tensorOf(b)],
    output: y,
    saved: { divisor: tensorOf(b), quotient: requiresGrad(b) ? y : undefined },
    backward: (dy, { divisor = b, quotient }, needs) => {
      // d(a/b) = da / b - (a/b) db / b
      const scaled = apply('div', dy, divisor);
      return [
        needs[0] ? reduced(scaled, a) : undefined,
        quotient && b instanceof Tensor ? neg(sumTo(apply('mul', scaled, quotient), b.shape)) : undefined,
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
export function maximum<D extends DType>(a: Tensor<D>, b: Tensor | number): Tensor<D>;
/** The larger of a number a and b. */
export function maximum<D extends DType>(a: number, b: Tensor<D>): Tensor<D>;
export function maximum(a: Operand, b: Operand): Tensor {
  return extremum('maximum', 'less', a, b);
}

/**
 * The smaller of a and b, with NumPy's broadcasting; where they are equal each gets half the gradient. NaN where either
 * is, and then both get the gradient.
 *
 * @throws ShapeError when the shapes do not broadcast
 */
export function minimum<D extends DType>(a: Tensor<D>, b: Tensor | number): Tensor<D>;
/** The smaller of a number a and b. */
export function minimum<D extends DType>(a: number, b: Tensor<D>): Tensor<D>;
export function minimum(a: Operand, b: Operand): Tensor {
  return extremum('minimum', 'greater', a, b);
}

function extremum(op: string, loses: 'greater' | 'less', a: Operand, b: Operand): Tensor {
  return record(op, {
    inputs: [tensorOf(a), tensorOf(b)],
    output: apply(op, a, b),
    saved: { left: tensorOf(a), right: tensorOf(b) },
    backward: (dy, { left = a, right = b }, needs) => {
      const half = mul(dy, 0.5);
      const share = (u: Operand, v: Operand) =>
        reduced(choose(binary(loses, u, v, 'f32'), 0, choose(binary('equal', u, v, 'f32'), half, dy)), u);
      return [needs[0] ? share(left, right) : undefined, needs[1] ? share(right, left) : undefined];
    },
  });
}

/**
 * a^b, with NumPy's broadcasting: NaN where a < 0 and b is no whole number. Integers wrap around, and their negative
 * powers are 0 but for those of 1 and -1. The gradient of b is NaN where a < 0, and that of a is 0 where b = 0.
 *
 * @throws ShapeError when the shapes do not broadcast
 */
export function pow<D extends DType>(a: Tensor<D>, b: Tensor | number): Tensor<D>;
/** a^b for a number a. */
export function pow<D extends DType>(a: number, b: Tensor<D>): Tensor<D>;
export function pow(a: Operand, b: Operand): Tensor {
  const y = apply('pow', a, b);
  return record('pow', {
    inputs: [tensorOf(a), tensorOf(b)],
    output: y,
    saved: { base: tensorOf(a), exponent: tensorOf(b), y: requiresGrad(b) ? y : undefined },
    // d(a^b) = b a^(b-1) da + a^b log(a) db
    backward: (dy, { base = a, exponent = b, y }, needs) => [
      needs[0] ? reduced(apply('mul', dy, slope(base, exponent)), a) : undefined,
      y && reduced(apply('mul', dy, growth(y, base, exponent)), b),
    ],
  });
}

/** b a^(b-1), where 0 times infinity is 0. */
function slope(a: Operand, b: Operand): Operand {
  if (b === 0) return 0;
  const power = apply('pow', a, typeof b === 'number' ? b - 1 : apply('sub', b, 1));
  const product = apply('mul', b, power);
  return typeof b === 'number' ? product : choose(equal(b, 0), 0, product);
}

/** y log(a), where 0 times infinity is 0. */
function growth(y: Tensor, a: Operand, b: Operand): Tensor {
  const product = apply('mul', y, typeof a === 'number' ? Math.log(a) : log(a));
  if (typeof a !== 'number') return choose(mul(equal(a, 0), greaterEqual(b, 0)), 0, product);
  return a === 0 ? choose(greaterEqual(b, 0), 0, product) : product;
}

/**
 * What is left of a after taking away whole multiples of b, with the sign of b and NumPy's broadcasting:
 * a - b floor(a / b), exactly. Of integers, 0 where b is 0.
 *
 * @throws ShapeError when the shapes do not broadcast
 * Source: torch.remainder.
 */
export function remainder<D extends DType>(a: Tensor<D>, b: Tensor | number): Tensor<D>;
/** The remainder of a number a. */
export function remainder<D extends DType>(a: number, b: Tensor<D>): Tensor<D>;
export function remainder(a: Operand, b: Operand): Tensor {
  const y = apply('remainder', a, b);
  return record('remainder', {
    inputs: [tensorOf(a), tensorOf(b)],
    output: y,
    saved: { dividend: tensorOf(a), divisor: tensorOf(b), y },
    backward: (dy, { dividend = a, divisor = b, y }, needs) => [
      needs[0] ? reduced(dy, a) : undefined,
      // The whole quotient: (a - y) / b.
      needs[1] ? reduced(apply('mul', dy, apply('div', apply('sub', y, dividend), divisor)), b) : undefined,
    ],
  });
}

/** 1 where a > b, 0 elsewhere, as f32. No gradient. @throws ShapeError when the shapes do not broadcast */
export function greater(a: Tensor | number, b: Tensor | number): Tensor<'f32'> {
  return binary('greater', a, b, 'f32');
}

/** 1 where a < b, 0 elsewhere, as f32. No gradient. @throws ShapeError when the shapes do not broadcast */
export function less(a: Tensor | number, b: Tensor | number): Tensor<'f32'> {
  return binary('less', a, b, 'f32');
}

/** 1 where a = b, 0 elsewhere, as f32. No gradient. @throws ShapeError when the shapes do not broadcast */
export function equal(a: Tensor | number, b: Tensor | number): Tensor<'f32'> {
  return binary('equal', a, b, 'f32');
}

/** 1 where a >= b, 0 elsewhere, as f32. No gradient. @throws ShapeError when the shapes do not broadcast */
export function greaterEqual(a: Tensor | number, b: Tensor | number): Tensor<'f32'> {
  return binary('greaterEqual', a, b, 'f32');
}

/** 1 where a <= b, 0 elsewhere, as f32. No gradient. @throws ShapeError when the shapes do not broadcast */
export function lessEqual(a: Tensor | number, b: Tensor | number): Tensor<'f32'> {
  return binary('lessEqual', a, b, 'f32');
}

/**
 * a where cond is not 0, b elsewhere, with NumPy's broadcasting of all three.
 *
 * @param cond  f32; gets no gradient
 * @throws ShapeError when the shapes do not broadcast
 */
export function where<D extends DType>(cond: Tensor, a: Tensor<D>, b: Tensor | number): Tensor<D>;
/** The choice between a number a and b. */
export function where<D extends DType>(cond: Tensor, a: number, b: Tensor<D>): Tensor<D>;
/** The choice between two numbers. */
export function where(cond: Tensor, a: number, b: number): Tensor<'f32'>;
export function where(cond: Tensor, a: Operand, b: Operand): Tensor {
  return record('where', {
    inputs: [tensorOf(a), tensorOf(b)],
    output: choose(cond, a, b),
    saved: { cond },
    backward: (dy, { cond }, needs) => [
      needs[0] ? reduced(choose(cond, dy, 0), a) : undefined,
      needs[1] ? reduced(choose(cond, 0, dy), b) : undefined,
    ],
  });
}
