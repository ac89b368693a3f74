// Element-wise functions of two operands with NumPy's broadcasting, and selection between two by a third.
//
//   binary      y[i] = f(a[i], b[i])
//   choose      y[i] = a[i] if cond[i] != 0, otherwise b[i]
//   accumulate  y[i] += x[i]
//
// Layout    f32, i32 or u32; cond f32. Comparisons give f32. The iteration space has up to four axes; an
//           operand is dense (same order as y) or has a stride per axis, 0 where it repeats. y is written
//           four elements at a time where the last axis divides by 4; an operand that repeats along the last
//           axis is then read one at a time. Strides count Vecs of the operand's own type.
// Mapping   shaders/lib/elements.wgsl.
// Traffic   each operand once; a repeated one comes from the cache.
// Numerics  powers with whole exponents up to 64 are multiplied; others are 2^(v log2 u), NaN for u < 0. A
//           remainder is exact: that of floats comes from their mantissas, by long division. Integers wrap
//           around. A NaN stays one in maxima and minima; WGSL may assume that there is none, so bits decide.

#import elements   // share_of(group, groups, i, n)
#import index  // divmod(n, d)

const ADD = 0u;
const SUB = 1u;
const MUL = 2u;
const DIV = 3u;
const MAXIMUM = 4u;
const MINIMUM = 5u;
const GREATER = 6u;  // 1 or 0, like the next two
const LESS = 7u;
const EQUAL = 8u;
const GREATEREQUAL = 9u;
const LESSEQUAL = 10u;
const POW = 11u;
const REMAINDER = 12u;  // u - v floor(u / v)
const OP : u32 = ADD;

alias Scalar = f32;             // f32, i32 or u32: of Vec
alias Vec = f32;                // f32, i32, u32 or a vector of four of them, like the three below
alias AVec = f32;
alias BVec = f32;
alias ResultVec = f32;          // FVec for comparisons, otherwise Vec
alias FVec = f32;               // f32 or vec4f, as wide as Vec
alias UVec = u32;               // u32 or vec4u, as wide as Vec
alias ConditionVec = f32;       // f32 or vec4f
const FLOAT : bool = true;      // whether Vec is
const A_DENSE : bool = true;
const B_DENSE : bool = true;
const CONDITION_DENSE : bool = true;
const A_NUMBER : bool = false;  // a is a number; what is bound in its place is not read
const B_NUMBER : bool = false;
const AXES = 4u;                // axes in use, the last ones of the four

struct Params {
  extents : vec3u,    // of axes 1..3, in Vecs; axis 0 has the rest
  n : u32,            // Vecs of y
  a_strides : vec4u,  // of a number: its bits, first
  b_strides : vec4u,
  cond_strides : vec4u,
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> a : array<AVec>;             // [shape that broadcasts to y]
@group(0) @binding(2) var<storage, read> b : array<BVec>;             // [shape that broadcasts to y]
@group(0) @binding(3) var<storage, read> cond : array<ConditionVec>;  // [shape that broadcasts to y]
@group(0) @binding(4) var<storage, read_write> y : array<ResultVec>;  // [n]

// Index along each axis. Axes that are not in use have extent 1 and cost nothing.
fn index_of(at : u32) -> vec4u {
  var index = vec4u(at, 0u, 0u, 0u);
  if (AXES > 1u) {
    let parts = divmod(index.x, params.extents.z);
    index.x = parts[0];
    index.w = parts[1];
  }
  if (AXES > 2u) {
    let parts = divmod(index.x, params.extents.y);
    index.x = parts[0];
    index.z = parts[1];
  }
  if (AXES > 3u) {
    let parts = divmod(index.x, params.extents.x);
    index.x = parts[0];
    index.y = parts[1];
  }
  return index;
}

fn position(index : vec4u, strides : vec4u) -> u32 {
  let steps = index * strides;
  return (steps.x + steps.y) + (steps.z + steps.w);
}

const INFINITE = 0x7f800000u;  // the bits of infinity; those of a NaN without its sign are above
const NAN = 0x7fc00000u;
const SIGN = 0x80000000u;

fn left(at : u32) -> Vec {
  if (A_NUMBER) { return Vec(bitcast<Scalar>(params.a_strides.x)); }
  return Vec(a[at]);
}

fn right(at : u32) -> Vec {
  if (B_NUMBER) { return Vec(bitcast<Scalar>(params.b_strides.x)); }
  return Vec(b[at]);
}

// The bits of |v|.
fn magnitude(v : Vec) -> UVec { return bitcast<UVec>(v) & UVec(~SIGN); }

// The bits are not a constant: a constant must be finite.
fn float_of(bits : u32) -> Vec { return bitcast<Vec>(UVec(bits | (params.n & 0u))); }

// The operand that is NaN, the result where neither is.
fn or_nan(result : Vec, u : Vec, v : Vec) -> Vec {
  if (!FLOAT) { return result; }
  let chosen = select(result, v, magnitude(v) > UVec(INFINITE));
  return select(chosen, u, magnitude(u) > UVec(INFINITE));
}

fn power(u : Vec, v : Vec) -> Vec {
  let base = FVec(u);
  let exponent = FVec(v);
  let whole = exponent == trunc(exponent);
  let short = whole & (abs(exponent) <= FVec(64.0));
  var rest = UVec(select(FVec(), abs(exponent), short));
  if (!FLOAT) { rest = UVec(abs(v)); }
  var product = Vec(1);
  var factor = u;  // u, u^2, u^4, ...
  for (var bit = 0u; bit < select(32u, 7u, FLOAT); bit++) {
    product *= select(Vec(1), factor, (rest & UVec(1u)) == UVec(1u));
    factor *= factor;
    rest = rest >> UVec(1u);
  }
  // The reciprocal of an integer is 0, unless it is 1 or -1.
  if (!FLOAT) { return select(product, Vec(), (exponent < FVec()) & (abs(base) != FVec(1.0))); }

  // log2 of 0, infinity and negative numbers depends on the driver.
  let to_0 = (abs(base) > FVec(1.0)) == (exponent < FVec());
  var long = Vec(exp2(exponent * log2(abs(base))));
  long = select(long, select(float_of(INFINITE), Vec(), to_0),
    (magnitude(u) == UVec()) | (magnitude(u) == UVec(INFINITE)));
  long = select(long, Vec(1), abs(base) == FVec(1.0));
  let odd = whole & (0.5 * exponent != trunc(0.5 * exponent));
  let negative = odd & (bitcast<UVec>(u) >= UVec(SIGN));
  long = select(long, bitcast<Vec>(bitcast<UVec>(long) | UVec(SIGN)), negative);
  let root = !whole & (base < FVec()) & (magnitude(u) != UVec(INFINITE));
  long = select(long, float_of(NAN), root);
  let result = select(long, select(product, Vec(1) / product, exponent < FVec()), short);
  return select(or_nan(result, u, v), Vec(1), (base == FVec(1.0)) | (exponent == FVec()));
}

// Long division in base 256: |u| = m 2^e with whole numbers m below 2^24, so that m 256 fits into a word.
fn remainder(u : Vec, v : Vec) -> Vec {
  if (!FLOAT) {
    let rest = u % v;
    return select(rest, rest + v, (rest != Vec()) & ((rest < Vec()) != (v < Vec())));
  }
  let a = magnitude(u);
  let b = magnitude(v);
  let exponent_a = max(a >> UVec(23u), UVec(1u));
  let exponent = max(b >> UVec(23u), UVec(1u));
  let divisor = max(b - ((exponent - UVec(1u)) << UVec(23u)), UVec(1u));
  var steps = select(UVec(), exponent_a - exponent, exponent_a > exponent);
  var rest = (a - ((exponent_a - UVec(1u)) << UVec(23u))) % divisor;
  while (any(steps > UVec())) {
    let shift = min(steps, UVec(8u));
    rest = (rest << shift) % divisor;
    steps -= shift;
  }
  // Back to a float's bits: the leading bit of a normal number adds one to the exponent.
  let shift = min(UVec(23u) - firstLeadingBit(max(rest, UVec(1u))), exponent - UVec(1u));
  var bits = select(((exponent - UVec(1u) - shift) << UVec(23u)) + (rest << shift), rest, rest == UVec());
  bits = select(bits, a, exponent_a < exponent);
  let signs = bitcast<UVec>(u) ^ bitcast<UVec>(v);
  let cut = bitcast<Vec>(bits | (bitcast<UVec>(u) & UVec(SIGN)));
  let result = select(cut, cut + v, (bits != UVec()) & (signs >= UVec(SIGN)));
  let undefined = (a >= UVec(INFINITE)) | (b > UVec(INFINITE)) | (b == UVec());
  return select(result, float_of(NAN), undefined);
}

fn apply(u : Vec, v : Vec) -> Vec {
  switch OP {
    case ADD: { return u + v; }
    case SUB: { return u - v; }
    case MUL: { return u * v; }
    case DIV: { return u / v; }
    case MAXIMUM: { return or_nan(max(u, v), u, v); }
    case MINIMUM: { return or_nan(min(u, v), u, v); }
    case GREATER: { return select(Vec(), Vec(1), u > v); }
    case LESS: { return select(Vec(), Vec(1), u < v); }
    case GREATEREQUAL: { return select(Vec(), Vec(1), u >= v); }
    case LESSEQUAL: { return select(Vec(), Vec(1), u <= v); }
    case POW: { return power(u, v); }
    case REMAINDER: { return remainder(u, v); }
    default: { return select(Vec(), Vec(1), u == v); }
  }
}

@compute @workgroup_size(WG)
fn binary(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let share = share_of(group, groups, i, params.n);
  for (var at = share.first; at < share.end; at += INTERLEAVE) {
    var at_a = at;
    var at_b = at;
    if (!A_DENSE || !B_DENSE) {
      let index = index_of(at);
      if (!A_DENSE) { at_a = position(index, params.a_strides); }
      if (!B_DENSE) { at_b = position(index, params.b_strides); }
    }
    y[at] = ResultVec(apply(left(at_a), right(at_b)));
  }
}

@compute @workgroup_size(WG)
fn choose(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let share = share_of(group, groups, i, params.n);
  for (var at = share.first; at < share.end; at += INTERLEAVE) {
    let index = index_of(at);
    let u = left(select(position(index, params.a_strides), at, A_DENSE));
    let v = right(select(position(index, params.b_strides), at, B_DENSE));
    let c = FVec(cond[select(position(index, params.cond_strides), at, CONDITION_DENSE)]);
    y[at] = ResultVec(select(v, u, (bitcast<UVec>(c) << UVec(1u)) != UVec()));  // by its bits: a NaN is not 0
  }
}

@group(0) @binding(1) var<storage, read> x : array<Vec>;  // [n]

@compute @workgroup_size(WG)
fn accumulate(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let share = share_of(group, groups, i, params.n);
  for (var at = share.first; at < share.end; at += INTERLEAVE) { y[at] += ResultVec(x[at]); }
}
