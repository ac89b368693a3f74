// Element-wise functions of one operand and their derivatives.
//
//   y[i]  = f(x[i])
//   dx[i] = dy[i] f'(x[i]), with f' written in terms of y where that is cheaper (exp: f' = y)
//
// Layout    x, y, dy, dx [n] f32, read as vec4f where n divides by 4.
// Mapping   shaders/lib/elements.wgsl, which counts Vecs.
// Numerics  softplus uses e^-|x|, which cannot overflow; tanh's argument is clamped because it may
//           return NaN for |x| > 88. Near 0, softplus takes log(1 + e) from its series: 1 + e has already
//           lost e's digits. A NaN stays NaN in every function; WGSL may assume that there
//           is none, so bits decide.

#import elements  // share_of(group, groups, i, n)
#import sigmoid  // sigmoid(v)

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
const ERF = 14u;     // its derivative: scalar.wgsl has erf itself, sin and cos
const FLOOR = 17u;
const CEIL = 18u;
const ROUND = 19u;   // halves to the even neighbour
const SIGN = 20u;

const OP : u32 = NEG;
alias Vec = f32;   // or vec4f
alias UVec = u32;  // or vec4u, as wide as Vec

struct Params {
  n : u32,  // Vecs
  low : f32,
  high : f32,
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> x : array<Vec>;        // [n]
@group(0) @binding(2) var<storage, read_write> y : array<Vec>;  // [n]

fn softplus(v : Vec) -> Vec {
  let e = exp(-abs(v));
  let series = e * (1.0 - e * (0.5 - e * (1.0 / 3.0 - 0.25 * e)));
  return max(v, Vec()) + select(log(1.0 + e), series, e < Vec(0.02));
}

const INFINITE = 0x7f800000u;  // the bits of infinity; those of a NaN without its sign are above
const NAN = 0x7fc00000u;

// The operand where it is NaN, otherwise the result.
fn or_nan(result : Vec, operand : Vec) -> Vec {
  return select(result, operand, (bitcast<UVec>(operand) & UVec(0x7fffffffu)) > UVec(INFINITE));
}

// The bits are not a constant: a constant must be finite.
fn float_of(bits : u32) -> Vec { return bitcast<Vec>(UVec(bits | (params.n & 0u))); }

// Outside of its domain, log depends on the driver.
fn logarithm(v : Vec) -> Vec {
  let of_zero = select(log(v), -float_of(INFINITE), v == Vec());
  return select(of_zero, float_of(NAN), v < Vec());
}

fn apply(v : Vec) -> Vec {
  switch OP {
    case NEG: { return -v; }
    case ABS: { return abs(v); }
    case EXP: { return exp(v); }
    case LOG: { return logarithm(v); }
    case SQRT: { return sqrt(v); }
    case RSQRT: { return inverseSqrt(v); }
    case SQUARE: { return v * v; }
    case RECIPROCAL: { return 1.0 / v; }
    case SIGMOID: { return sigmoid(v); }
    case TANH: { return tanh(clamp(v, Vec(-10.0), Vec(10.0))); }
    case RELU: { return max(v, Vec()); }
    case SOFTPLUS: { return softplus(v); }
    case AFFINE: { return params.low * v + params.high; }
    case FLOOR: { return floor(v); }
    case CEIL: { return ceil(v); }
    case ROUND: { return round(v); }
    case SIGN: { return sign(v); }
    default: { return clamp(v, Vec(params.low), Vec(params.high)); }
  }
}

// f' from z, which is y for exp, sqrt, rsqrt, reciprocal, sigmoid, tanh and relu, and x for the others; neg,
// affine and the steps use neither.
fn derivative(z : Vec) -> Vec {
  switch OP {
    case NEG: { return Vec(-1.0); }
    case ABS: { return sign(z); }
    case EXP: { return z; }
    case LOG: { return 1.0 / z; }
    case SQRT: { return 0.5 / z; }
    case RSQRT: { return -0.5 * z * z * z; }
    case SQUARE: { return 2.0 * z; }
    case RECIPROCAL: { return -z * z; }
    case SIGMOID: { return z * (1.0 - z); }
    case TANH: { return 1.0 - z * z; }
    case SOFTPLUS: { return sigmoid(z); }
    case AFFINE: { return Vec(params.low); }
    default: { return or_nan(1.1283792 * exp(-z * z), z); }  // ERF
  }
}

// Where f' is a step, an infinite dy times 0 is 0.
fn gradient(z : Vec, dy : Vec) -> Vec {
  switch OP {
    case RELU: { return select(dy, Vec(), z <= Vec()); }
    case CLAMP: { return select(Vec(), dy, (z >= Vec(params.low)) & (z <= Vec(params.high))); }
    case FLOOR, CEIL, ROUND, SIGN: { return Vec(); }
    default: { return dy * derivative(z); }
  }
}

@compute @workgroup_size(WG)
fn unary(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let share = share_of(group, groups, i, params.n);
  for (var at = share.first; at < share.end; at += INTERLEAVE) {
    let v = x[at];
    y[at] = or_nan(apply(v), v);
  }
}

@group(0) @binding(1) var<storage, read> z : array<Vec>;         // [n], x or y
@group(0) @binding(2) var<storage, read> dy : array<Vec>;        // [n]
@group(0) @binding(3) var<storage, read_write> dx : array<Vec>;  // [n]

@compute @workgroup_size(WG)
fn unary_dx(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let share = share_of(group, groups, i, params.n);
  for (var at = share.first; at < share.end; at += INTERLEAVE) { dx[at] = gradient(z[at], dy[at]); }
}
