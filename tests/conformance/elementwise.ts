// ONNX operators that work element by element, each by what its definition says.
import {
  abs,
  add,
  cast,
  ceil,
  cos,
  div,
  equal,
  erf,
  exp,
  floor,
  gelu,
  greater,
  greaterEqual,
  less,
  lessEqual,
  log,
  maximum,
  minimum,
  mul,
  neg,
  pow,
  reciprocal,
  relu,
  remainder,
  round,
  sigmoid,
  sign,
  sin,
  sqrt,
  sub,
  type Tensor,
  tanh,
  where,
} from '../../engine/index.ts';
import type { Operator } from './call.ts';

const unary =
  (f: (x: Tensor) => Tensor): Operator =>
  (call) =>
    f(call.x(0));

const binary =
  (f: (a: Tensor, b: Tensor) => Tensor): Operator =>
  (call) =>
    f(call.x(0), call.x(1));

/** A function of any number of operands, folded from the left. */
const variadic =
  (f: (a: Tensor, b: Tensor) => Tensor): Operator =>
  (call) =>
    call.values.map((_value, i) => call.x(i)).reduce((a, b) => f(a, b));

const not = (x: Tensor): Tensor => sub(1, x);

/** -x of any dtype. */
export function negative(x: Tensor): Tensor {
  return x.dtype === 'f32' ? neg(x) : sub(sub(x, x), x);
}

/** |x| of any dtype. */
export function magnitude(x: Tensor): Tensor {
  return x.dtype === 'f32' ? abs(x) : maximum(x, negative(x));
}

/** The sign of the divisor, where `fmod` is 0, as in Python; otherwise that of the dividend, as in C. */
const mod: Operator = (call) => {
  const [a, b] = [call.x(0), call.x(1)];
  if (call.number('fmod', 0) === 0) return remainder(a, b);
  const rest = remainder(magnitude(a), magnitude(b));
  return where(less(a, sub(a, a)), negative(rest), rest);
};

const power: Operator = (call) => {
  const [base, exponent] = [call.x(0), call.x(1)];
  if (exponent.dtype !== 'f32') return pow(base, cast(exponent, base.dtype));
  return cast(pow(cast(base, 'f32'), exponent), base.dtype);
};

/** The bounds are operands since opset 11, attributes before. */
const clip: Operator = (call) => {
  const x = call.x(0);
  const bound = (i: number, name: string, otherwise: number): Tensor | undefined => {
    if (call.has(i)) return call.x(i);
    const value = call.number(name, otherwise);
    return Number.isFinite(value) ? call.constant(value, x) : undefined;
  };
  const [low, high] = [bound(1, 'min', -Infinity), bound(2, 'max', Infinity)];
  const raised = low ? maximum(x, low) : x;
  return high ? minimum(raised, high) : raised;
};

export const ELEMENTWISE: Readonly<Record<string, Operator>> = {
  Add: binary(add),
  Sub: binary(sub),
  Mul: binary(mul),
  Div: binary(div),
  Mod: mod,
  Pow: power,
  Equal: binary(equal),
  Greater: binary(greater),
  GreaterOrEqual: binary(greaterEqual),
  Less: binary(less),
  LessOrEqual: binary(lessEqual),
  And: binary(mul),
  Or: binary(maximum),
  Xor: binary((a, b) => not(equal(a, b))),
  Not: unary(not),
  Max: variadic(maximum),
  Min: variadic(minimum),
  Sum: variadic(add),
  Neg: unary(negative),
  Abs: unary(magnitude),
  Sign: (call) => {
    const x = call.x(0);
    const zero = call.constant(0, x);
    return x.dtype === 'f32' ? sign(x) : cast(sub(greater(x, zero), less(x, zero)), x.dtype);
  },
  Relu: (call) => {
    const x = call.x(0);
    return x.dtype === 'f32' ? relu(x) : maximum(x, call.constant(0, x));
  },
  Exp: unary(exp),
  Log: unary(log),
  Sqrt: unary(sqrt),
  Reciprocal: unary(reciprocal),
  Sigmoid: unary(sigmoid),
  Tanh: unary(tanh),
  Sin: unary(sin),
  Cos: unary(cos),
  Floor: unary(floor),
  Ceil: unary(ceil),
  Round: unary(round),
  Erf: unary(erf),
  Gelu: (call) => gelu(call.x(0), { form: call.text('approximate', 'none') === 'tanh' ? 'tanh' : 'erf' }),
  Clip: clip,
  Where: (call) => where(call.x(0), call.x(1), call.x(2)),
  Identity: unary((x) => x),
};
