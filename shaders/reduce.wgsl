// Sums, sums of squares, products and extrema over one axis, in a fixed order, and where the extrema are.
//
//   rows     y[r, p]    = fold_k x[r, k]       k in split p of the row   the reduced axis is the last one
//   columns  y[o, p, i] = fold_k x[o, k, i]    k in split p of the axis  any axis
//   arg_max  y[o, i]    = the first or last k with the largest x[o, k, i]
//
// Layout    x [O, K, I] f32, for columns and arg_max also i32 and u32, in vectors where K, or for those two
//           I, divides by 4; y [O, splits, I]. A long axis is cut into splits, which a second dispatch folds.
// Mapping   rows: ROW_WG invocations per split, the first folds values 0, ROW_WG, ..., then their tree.
//           columns: one invocation per result, so that neighbouring invocations read neighbouring values.
// Traffic   reads x once.
// Numerics  the order depends on the shape and ROW_WG alone, so equal runs give equal bits. An invocation
//           folds chains and then the chains: the rounding errors of a sum grow with the longest chain of
//           additions. NaN is above all numbers and below them; WGSL may assume that there is none, so bits
//           decide.

#import index   // linear_group(group, groups)
#import vector  // Vec, vec_sum(value), vec_max(value)
#import reduce  // own_row(group, groups, i, R), workgroup_sum(value, i), workgroup_max(value, i)

const SUM = 0u;
const SQUARES = 1u;         // sum of x^2
const MAX = 2u;
const MIN = 3u;             // columns alone, like the next one
const PRODUCT = 4u;
const OP : u32 = SUM;
alias UVec = u32;           // u32 or vec4u, as wide as Vec
const LAST : bool = false;  // arg_max: the last one of several
const FLOAT : bool = true;  // whether a Vec holds floats
const CHAIN = 64u;          // values that an invocation folds one after the other

struct Params {
  groups : u32,   // rows: splits of all rows; columns: values in y
  K : u32,        // vectors along the reduced axis
  I : u32,        // vectors along the axes after it
  splits : u32,   // of the axis
  k_split : u32,  // vectors of a split
  start : u32,    // rows: where y begins
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> x : array<Vec>;        // [O, K, I]
@group(0) @binding(2) var<storage, read_write> y : array<f32>;  // [start + O * splits]

const INFINITE = 0x7f800000u;  // the bits of infinity; those of a NaN without its sign are above
const ALL_BUT_SIGN = 0x7fffffffu;

// The one of the two that is NaN, the result where neither is.
fn or_nan(result : Vec, one : Vec, other : Vec) -> Vec {
  if (!FLOAT) { return result; }
  let chosen = select(result, other, (bitcast<UVec>(other) & UVec(ALL_BUT_SIGN)) > UVec(INFINITE));
  return select(chosen, one, (bitcast<UVec>(one) & UVec(ALL_BUT_SIGN)) > UVec(INFINITE));
}

fn fold_workgroup(value : Vec, i : u32) -> f32 {
  if (OP != MAX) { return workgroup_sum(vec_sum(value), i); }
  let lost = any((bitcast<UVec>(value) & UVec(ALL_BUT_SIGN)) > UVec(INFINITE));
  let highest = workgroup_max(vec_max(value), i);
  let is_lost = workgroup_max(select(0.0, 1.0, lost), i) > 0.0;
  return select(highest, bitcast<f32>(0x7fc00000u | (params.K & 0u)), is_lost);  // a constant must be finite
}

fn folded(acc : Vec, v : Vec) -> Vec {
  switch OP {
    case MAX: { return or_nan(max(acc, v), acc, v); }
    case MIN: { return or_nan(min(acc, v), acc, v); }
    case PRODUCT: { return acc * v; }
    default: { return acc + select(v, v * v, OP == SQUARES); }
  }
}

// Two results of `folded`.
fn joined(one : Vec, other : Vec) -> Vec {
  if (OP == SUM || OP == SQUARES) { return one + other; }
  return folded(one, other);
}

@compute @workgroup_size(WG)
fn rows(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let own = own_row(group, groups, i, params.groups);
  let g = own.r;
  let row = g / params.splits;
  let begin = (g - row * params.splits) * params.k_split;
  let end = row * params.K + min(params.K, begin + params.k_split);
  let first = row * params.K + begin;
  let nothing = select(Vec(), x[first], OP == MAX);
  var acc = nothing;
  for (var head = first + own.lane; head < end; head += CHAIN * ROW_WG) {
    let stop = min(end, head + CHAIN * ROW_WG);
    var chain_sum = nothing;
    var k = head;
    for (; k + 3u * ROW_WG < stop; k += 4u * ROW_WG) {  // four loads in flight together
      let v0 = x[k];
      let v1 = x[k + ROW_WG];
      let v2 = x[k + 2u * ROW_WG];
      let v3 = x[k + 3u * ROW_WG];
      chain_sum = folded(folded(folded(folded(chain_sum, v0), v1), v2), v3);
    }
    for (; k < stop; k += ROW_WG) { chain_sum = folded(chain_sum, x[k]); }
    acc = joined(acc, chain_sum);
  }
  let total = fold_workgroup(acc, i);
  if (own.index < params.groups && own.lane == 0u) { y[params.start + g] = total; }
}

const COLUMN_WG = 64u;
// loads in flight: 8 for a GPU, where each takes long; a CPU is slower with more than one
const IN_FLIGHT : u32 = 1u;

@group(0) @binding(2) var<storage, read_write> y_values : array<Vec>;  // [O, splits, I]

@compute @workgroup_size(COLUMN_WG)
fn columns(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let at = linear_group(group, groups) * COLUMN_WG + i;
  if (at >= params.groups) { return; }
  let row = at / params.I;
  let column = at - row * params.I;
  let outer = row / params.splits;
  let begin = (row - outer * params.splits) * params.k_split;
  let end = min(params.K, begin + params.k_split);
  let base = outer * params.K * params.I + column;
  var acc = Vec();
  for (var first = begin; first < end; first += CHAIN) {
    let stop = min(end, first + CHAIN);
    var chain_sum = x[base + first * params.I];
    if (OP == SQUARES) { chain_sum *= chain_sum; }
    var k = first + 1u;
    for (; k + IN_FLIGHT <= stop; k += IN_FLIGHT) {
      var some : array<Vec, IN_FLIGHT>;
      for (var j = 0u; j < IN_FLIGHT; j++) { some[j] = x[base + (k + j) * params.I]; }
      for (var j = 0u; j < IN_FLIGHT; j++) { chain_sum = folded(chain_sum, some[j]); }
    }
    for (; k < stop; k++) { chain_sum = folded(chain_sum, x[base + k * params.I]); }
    if (first == begin) { acc = chain_sum; } else { acc = joined(acc, chain_sum); }
  }
  y_values[at] = acc;
}

// The first of the K values that result `at` of [O, I] is made of.
fn first_of(at : u32) -> u32 {
  let outer = at / params.I;
  return outer * params.K * params.I + (at - outer * params.I);
}

@group(0) @binding(2) var<storage, read_write> winners : array<UVec>;  // [O, I]

@compute @workgroup_size(COLUMN_WG)
fn arg_max(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let at = linear_group(group, groups) * COLUMN_WG + i;
  if (at >= params.groups) { return; }
  let base = first_of(at);
  var best = x[base];
  var winner = UVec();
  for (var k = 1u; k < params.K; k++) {
    let v = x[base + k * params.I];
    var wins = select(v > best, v >= best, LAST);
    if (FLOAT) {  // NaN is the largest
      let new_nan = (bitcast<UVec>(v) & UVec(ALL_BUT_SIGN)) > UVec(INFINITE);
      let had_nan = (bitcast<UVec>(best) & UVec(ALL_BUT_SIGN)) > UVec(INFINITE);
      wins = select(wins & !had_nan, select(!had_nan, new_nan, LAST), new_nan);
    }
    best = select(best, v, wins);
    winner = select(winner, UVec(k), wins);
  }
  winners[at] = winner;
}

fn is_nan(value : f32) -> bool { return (bitcast<u32>(value) & ALL_BUT_SIGN) > INFINITE; }

// dx of the maximum or minimum: dy goes to the first element that equals it, or to the first NaN.
@group(0) @binding(1) var<storage, read> operand : array<f32>;      // [O, K, I]
@group(0) @binding(2) var<storage, read> extremum : array<f32>;     // [O, I]
@group(0) @binding(3) var<storage, read> dy : array<f32>;           // [O, I]
@group(0) @binding(4) var<storage, read_write> dx : array<f32>;     // [O, K, I]

@compute @workgroup_size(COLUMN_WG)
fn extremum_dx(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let at = linear_group(group, groups) * COLUMN_WG + i;
  if (at >= params.groups) { return; }
  let base = first_of(at);
  var gradient = dy[at];
  for (var k = 0u; k < params.K; k++) {
    let e = base + k * params.I;
    let hit = operand[e] == extremum[at] || (is_nan(operand[e]) && is_nan(extremum[at]));
    dx[e] = select(0.0, gradient, hit);
    gradient = select(gradient, 0.0, hit);
  }
}

// dx of the product: dy times the elements before and after, which needs no division.
@compute @workgroup_size(COLUMN_WG)
fn product_dx(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let at = linear_group(group, groups) * COLUMN_WG + i;
  if (at >= params.groups) { return; }
  let base = first_of(at);
  var before = dy[at];
  for (var k = 0u; k < params.K; k++) {
    let e = base + k * params.I;
    dx[e] = before;
    before *= operand[e];
  }
  var behind = 1.0;
  for (var k = params.K; k > 0u; k--) {
    let e = base + (k - 1u) * params.I;
    dx[e] *= behind;
    behind *= operand[e];
  }
}
