// Functions of one operand, element by element, and their derivatives.
//
//   y[i]  = f(x[i])
//   dx[i] = dy[i] f'(x[i]), with f' written in terms of y where that is cheaper (exp: f' = y)
//
// Layout    x, y, dy, dx [n] f32, read as vec4f where n divides by 4.
// Mapping   shaders/lib/each.wgsl; a value is four elements or one.
// Numerics  sigmoid and softplus use e^-|x|, which cannot overflow; tanh's argument is clamped because it may return NaN for
//           |x| > 88. Near 0, softplus takes log(1 + e) from its series: 1 + e has already lost e's digits.

#import each  // share_of(group, groups, i, n)
#import erf   // erf(f32)

const NEG = 0u;
const ABS = 1u;
const EXP = 2u;
const LOG = 3u;
const SQRT = 4u;
const RSQRT = 5u;
const SQUARE = 6u;
const RECIPROCAL = 7u;
const SIGMOID = 8u;
const TANH = 9u;
const RELU = 10u;
const SOFTPLUS = 11u;
const AFFINE = 12u;  // low x + high
const CLAMP = 13u;   // into [low, high]
const ERF = 14u;     // has an entry point of its own
const SIN = 15u;
const COS = 16u;
const FLOOR = 17u;
const CEIL = 18u;
const ROUND = 19u;   // halves to the even neighbour
const SIGN = 20u;

const OP : u32 = NEG;
alias Value = f32;  // or vec4f

struct Params {
  n : u32,      // values
  low : f32,
  high : f32,
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> x : array<Value>;          // [n]
@group(0) @binding(2) var<storage, read_write> y : array<Value>;    // [n]

fn sigmoid(v : Value) -> Value {
  let e = exp(-abs(v));
  return select(e, Value(1.0), v >= Value()) / (1.0 + e);
}

fn softplus(v : Value) -> Value {
  let e = exp(-abs(v));
  let series = e * (1.0 - e * (0.5 - e * (1.0 / 3.0 - 0.25 * e)));
  return max(v, Value()) + select(log(1.0 + e), series, e < Value(0.02));
}

// sin(v + turns pi / 2): WGSL's own may be off by 2^-11. The nearest multiple of pi / 2 is taken off in three parts, whose products with
// whole numbers up to some thousands are exact; the rest, within pi / 4, goes into the polynomials of Cephes' sinf and cosf.
fn sine(v : Value, turns : f32) -> Value {
  let n = round(v * 0.63661977);
  let r = ((v - n * 1.5703125) - n * 4.8375130e-4) - n * 7.5497894e-8;
  let z = r * r;
  let s = r + r * z * (-0.16666655 + z * (8.3321609e-3 - z * 1.9515296e-4));
  let c = (1.0 - 0.5 * z) + z * z * (4.1666646e-2 + z * (-1.3887316e-3 + z * 2.4433157e-5));
  let quadrant = (n + turns) - 4.0 * floor(0.25 * (n + turns));
  let value = select(s, c, (quadrant == Value(1.0)) | (quadrant == Value(3.0)));
  return select(value, -value, quadrant >= Value(2.0));
}

fn apply(v : Value) -> Value {
  switch OP {
    case NEG: { return -v; }
    case ABS: { return abs(v); }
    case EXP: { return exp(v); }
    case LOG: { return log(v); }
    case SQRT: { return sqrt(v); }
    case RSQRT: { return inverseSqrt(v); }
    case SQUARE: { return v * v; }
    case RECIPROCAL: { return 1.0 / v; }
    case SIGMOID: { return sigmoid(v); }
    case TANH: { return tanh(clamp(v, Value(-10.0), Value(10.0))); }
    case RELU: { return max(v, Value()); }
    case SOFTPLUS: { return softplus(v); }
    case AFFINE: { return params.low * v + params.high; }
    case SIN: { return sine(v, 0.0); }
    case COS: { return sine(v, 1.0); }
    case FLOOR: { return floor(v); }
    case CEIL: { return ceil(v); }
    case ROUND: { return round(v); }
    case SIGN: { return sign(v); }
    default: { return clamp(v, Value(params.low), Value(params.high)); }
  }
}

// f' from z, which is y for exp, sqrt, rsqrt, reciprocal, sigmoid, tanh and relu, and x for the others; neg, affine and the
// steps use neither.
fn derivative(z : Value) -> Value {
  switch OP {
    case NEG: { return Value(-1.0); }
    case ABS: { return sign(z); }
    case EXP: { return z; }
    case LOG: { return 1.0 / z; }
    case SQRT: { return 0.5 / z; }
    case RSQRT: { return -0.5 * z * z * z; }
    case SQUARE: { return 2.0 * z; }
    case RECIPROCAL: { return -z * z; }
    case SIGMOID: { return z * (1.0 - z); }
    case TANH: { return 1.0 - z * z; }
    case RELU: { return select(Value(), Value(1.0), z > Value()); }
    case SOFTPLUS: { return sigmoid(z); }
    case AFFINE: { return Value(params.low); }
    case ERF: { return 1.1283792 * exp(-z * z); }
    case SIN: { return sine(z, 1.0); }
    case COS: { return -sine(z, 0.0); }
    case FLOOR, CEIL, ROUND, SIGN: { return Value(); }
    default: { return select(Value(), Value(1.0), (z >= Value(params.low)) & (z <= Value(params.high))); }
  }
}

@compute @workgroup_size(WORKGROUP)
fn unary(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let share = share_of(group, groups, i, params.n);
  for (var at = share.first; at < share.end; at += STEP) { y[at] = apply(x[at]); }
}

@group(0) @binding(1) var<storage, read> x1 : array<f32>;           // [n]
@group(0) @binding(2) var<storage, read_write> y1 : array<f32>;     // [n]

@compute @workgroup_size(WORKGROUP)
fn unary_erf(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let share = share_of(group, groups, i, params.n);
  for (var at = share.first; at < share.end; at += STEP) { y1[at] = erf(x1[at]); }
}

@group(0) @binding(1) var<storage, read> z : array<Value>;          // [n], x or y
@group(0) @binding(2) var<storage, read> dy : array<Value>;         // [n]
@group(0) @binding(3) var<storage, read_write> dx : array<Value>;   // [n]

@compute @workgroup_size(WORKGROUP)
fn unary_dx(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let share = share_of(group, groups, i, params.n);
  for (var at = share.first; at < share.end; at += STEP) { dx[at] = dy[at] * derivative(z[at]); }
}
