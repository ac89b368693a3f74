// Softmax and its logarithm over the last axis.
//
//   softmax       y[r,c]  = e^(x[r,c] - max_c x[r,:]) / sum_c e^(x[r,c] - max_c x[r,:])
//                 dx[r,c] = y[r,c] (dy[r,c] - sum_c dy[r,c] y[r,c])
//   log-softmax   y[r,c]  = x[r,c] - max_c x[r,:] - log sum_c e^(x[r,c] - max_c x[r,:])
//                 dx[r,c] = dy[r,c] - e^y[r,c] sum_c dy[r,c]
//
// Layout    x, y, dy, dx [R, C] row-major f32; C counts vectors where rows are held.
// Mapping   ROW_WG invocations per row; the first owns columns 0, ROW_WG, 2 ROW_WG, ...
// Traffic   reads x twice (cached after the first time), or once where the row is held; writes y once.
// Numerics  the maximum is subtracted first, so no exponential exceeds 1 and the sum is at least 1.

#import reduce  // own_row(group, groups, i, R), workgroup_sum(value, i), workgroup_max(value, i)
#import vector  // Vec, vec_sum(value), vec_max(value)
#import held    // HELD, HeldRow, held_at(k, i)

const LOG : bool = false;
const FINITE_MIN = -3.4028234e38;  // the lowest number there is: a row of nothing else is uniform

struct Params {
  R : u32,  // rows
  C : u32,  // columns
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> x : array<f32>;          // [R, C]
@group(0) @binding(2) var<storage, read_write> y : array<f32>;    // [R, C]

// The element at e and the next three of the same invocation.
fn four(e : u32) -> vec4f { return vec4f(x[e], x[e + ROW_WG], x[e + 2u * ROW_WG], x[e + 3u * ROW_WG]); }

// WGSL may assume that there is no NaN, and one driver's exp makes infinity of it: bits decide.
fn magnitude_bits(number : f32) -> u32 { return bitcast<u32>(number) & 0x7fffffffu; }
fn has_nan(numbers : vec4f) -> bool {
  let xy = max(magnitude_bits(numbers.x), magnitude_bits(numbers.y));
  let zw = max(magnitude_bits(numbers.z), magnitude_bits(numbers.w));
  return max(xy, zw) > 0x7f800000u;
}

// The sum, or NaN for a row with a NaN or with infinity.
fn sum_or_nan(sum : f32, lost : bool) -> f32 {
  return select(sum, bitcast<f32>(0x7fc00000u | (params.R & 0u)), lost);  // a constant must be finite
}

// The sum is at least 1, 0 in a row of -infinity alone, or NaN.
fn logarithm(total : f32) -> f32 { return sum_or_nan(log(total), total == 0.0 || has_nan(vec4f(total))); }

fn finish(below_highest : vec4f, total : f32) -> vec4f {
  if (LOG) { return below_highest - logarithm(total); }
  return exp(below_highest) / total;
}

@compute @workgroup_size(WG)
fn softmax(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let row = own_row(group, groups, i, params.R);
  let start = row.r * params.C;
  let end = start + params.C;
  // Four columns per step as far as possible: on a CPU the loop itself costs more than its body.
  let even = start + params.C / (4u * ROW_WG) * (4u * ROW_WG);
  // An invocation's running maximum grows, and its sum is rescaled with it. Finite from the start: -inf -
  // -inf is NaN.
  var own = max(x[start], FINITE_MIN);
  var lost = false;
  var total4 = vec4f();
  for (var first = start; first < even; first += 4u * CHAIN_TERMS) {
    let stop = min(even, first + 4u * CHAIN_TERMS);
    let before = own;
    var part4 = vec4f();
    for (var e = first + row.lane; e < stop; e += 4u * ROW_WG) {
      let numbers = four(e);
      let next = max(own, max(max(numbers.x, numbers.y), max(numbers.z, numbers.w)));
      lost = lost || has_nan(numbers - next);
      part4 = part4 * exp(own - next) + exp(numbers - next);
      own = next;
    }
    if (first == start) { total4 = part4; } else { total4 = total4 * exp(before - own) + part4; }
  }
  var total = (total4.x + total4.y) + (total4.z + total4.w);
  for (var e = even + row.lane; e < end; e += ROW_WG) {
    let next = max(own, x[e]);
    lost = lost || has_nan(vec4f(x[e] - next));
    total = total * exp(own - next) + exp(x[e] - next);
    own = next;
  }
  let highest = workgroup_max(own, i);
  total = workgroup_sum(sum_or_nan(total * exp(own - highest), lost), i);
  if (row.index >= params.R) { return; }
  for (var e = start + row.lane; e < even; e += 4u * ROW_WG) {
    let value = finish(four(e) - highest, total);
    y[e] = value.x;
    y[e + ROW_WG] = value.y;
    y[e + 2u * ROW_WG] = value.z;
    y[e + 3u * ROW_WG] = value.w;
  }
  for (var e = even + row.lane; e < end; e += ROW_WG) { y[e] = finish(vec4f(x[e] - highest), total).x; }
}

@group(0) @binding(1) var<storage, read> result : array<f32>;     // [R, C], y of the forward pass
@group(0) @binding(2) var<storage, read> dy : array<f32>;         // [R, C]
@group(0) @binding(3) var<storage, read_write> dx : array<f32>;   // [R, C]

@compute @workgroup_size(WG)
fn softmax_dx(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let row = own_row(group, groups, i, params.R);
  let start = row.r * params.C;
  let end = start + params.C;
  var total = 0.0;
  for (var first = start; first < end; first += CHAIN_TERMS) {
    let stop = min(end, first + CHAIN_TERMS);
    var part = 0.0;
    for (var e = first + row.lane; e < stop; e += ROW_WG) { part += select(dy[e] * result[e], dy[e], LOG); }
    total += part;
  }
  total = sum_or_nan(workgroup_sum(total, i), has_nan(vec4f(result[start])));  // such a row is NaN throughout
  if (row.index >= params.R) { return; }
  for (var e = start + row.lane; e < end; e += ROW_WG) {
    if (LOG) { dx[e] = dy[e] - exp(result[e]) * total; } else { dx[e] = result[e] * (dy[e] - total); }
  }
}

@group(0) @binding(1) var<storage, read> x_vecs : array<Vec>;          // [R, C]
@group(0) @binding(2) var<storage, read_write> y_vecs : array<Vec>;    // [R, C]

@compute @workgroup_size(WG)
fn softmax_held(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let r = linear_group(group, groups);
  if (r >= params.R) { return; }
  let start = r * params.C;
  var row : HeldRow;
  for (var k = 0u; k < HELD; k++) {
    let c = held_at(k, i);
    row[k] = select(Vec(FINITE_MIN), x_vecs[start + min(c, params.C - 1u)], c < params.C);
  }
  var own = FINITE_MIN;
  for (var k = 0u; k < HELD; k++) { own = max(own, vec_max(row[k])); }
  let highest = workgroup_max(own, i);
  var lost = false;
  var sum = Vec();
  for (var k = 0u; k < HELD; k++) {
    row[k] -= highest;
    lost = lost || has_nan(vec4f(vec4(row[k])));
    let power = exp(row[k]);
    sum += select(Vec(), power, held_at(k, i) < params.C);
    if (!LOG) { row[k] = power; }
  }
  let total = workgroup_sum(sum_or_nan(vec_sum(sum), lost), i);
  for (var k = 0u; k < HELD; k++) {
    let c = held_at(k, i);
    if (c < params.C) {
      if (LOG) { y_vecs[start + c] = row[k] - logarithm(total); } else { y_vecs[start + c] = row[k] / total; }
    }
  }
}

@group(0) @binding(1) var<storage, read> result_vecs : array<Vec>;     // [R, C], y of the forward pass
@group(0) @binding(2) var<storage, read> dy_vecs : array<Vec>;         // [R, C]
@group(0) @binding(3) var<storage, read_write> dx_vecs : array<Vec>;   // [R, C]

@compute @workgroup_size(WG)
fn softmax_dx_held(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let r = linear_group(group, groups);
  if (r >= params.R) { return; }
  let start = r * params.C;
  var results : HeldRow;
  var slopes : HeldRow;
  for (var k = 0u; k < HELD; k++) {
    let nearest = min(held_at(k, i), params.C - 1u);
    results[k] = result_vecs[start + nearest];
    slopes[k] = dy_vecs[start + nearest];
  }
  var sum = Vec();
  for (var k = 0u; k < HELD; k++) {
    sum += select(Vec(), select(slopes[k] * results[k], slopes[k], LOG), held_at(k, i) < params.C);
  }
  let total = sum_or_nan(workgroup_sum(vec_sum(sum), i), has_nan(vec4f(vec4(result_vecs[start]))));
  for (var k = 0u; k < HELD; k++) {
    let c = held_at(k, i);
    if (c < params.C) {
      if (LOG) {
        dx_vecs[start + c] = slopes[k] - exp(results[k]) * total;
      } else {
        dx_vecs[start + c] = results[k] * (slopes[k] - total);
      }
    }
  }
}
