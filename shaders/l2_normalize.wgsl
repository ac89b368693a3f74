// Rows scaled to unit length.
//
//   length[r] = sqrt(sum_c x[r,c]^2)
//   y[r,c]    = x[r,c] / max(length[r], eps)
//   dx        = (dy - y <y, dy>) / length   where length > eps, else dy / eps
//
// Layout    x, y [R, C] row-major; length [R], kept for the backward pass. C counts vectors.
// Mapping   ROW_WG invocations per row; the first owns vectors 0, ROW_WG, 2 ROW_WG, ...
// Traffic   forward reads x twice (cached after the first); backward reads y and dy twice. Held rows
//           are read once.

#import reduce  // own_row(group, groups, i, R), workgroup_sum(value, i)
#import vector  // Vec, vec_sum(value)
#import numerics  // is_nan
#import held    // HELD, HeldRow, held_at(k, i)

struct Params {
  R : u32,
  C : u32,    // vectors per row
  eps : f32,  // shorter rows are divided by this instead of their length
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> x : array<Vec>;               // [R, C]
@group(0) @binding(2) var<storage, read_write> y : array<Vec>;         // [R, C]
@group(0) @binding(3) var<storage, read_write> lengths : array<f32>;    // [R]
@group(0) @binding(1) var<storage, read> unit : array<Vec>;            // [R, C] y of the forward pass
@group(0) @binding(2) var<storage, read> dy : array<Vec>;              // [R, C]
@group(0) @binding(3) var<storage, read> row_lengths : array<f32>;      // [R]
@group(0) @binding(4) var<storage, read_write> dx : array<Vec>;        // [R, C]

// A row with a NaN becomes NaN as a whole: max(NaN, eps) may be eps.
fn scale_of(length : f32) -> f32 {
  return select(1.0 / max(length, params.eps), length, is_nan(length));
}

@compute @workgroup_size(WG)
fn l2_normalize(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let own = own_row(group, groups, i, params.R);
  let row = own.r;
  var sum = Vec();
  for (var first = 0u; first < params.C; first += CHAIN_TERMS) {
    let end = min(params.C, first + CHAIN_TERMS);
    var part = Vec();
    for (var c = first + own.lane; c < end; c += ROW_WG) {
      let value = x[row * params.C + c];
      part += value * value;
    }
    sum += part;
  }
  let length = sqrt(workgroup_sum(vec_sum(sum), i));
  let scale = scale_of(length);
  if (own.index >= params.R) { return; }
  for (var c = own.lane; c < params.C; c += ROW_WG) {
    y[row * params.C + c] = x[row * params.C + c] * scale;
  }
  if (own.lane == 0u) {
    lengths[row] = length;
  }
}

@compute @workgroup_size(WG)
fn l2_normalize_dx(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let own = own_row(group, groups, i, params.R);
  let row = own.r;
  var sum = Vec();
  for (var first = 0u; first < params.C; first += CHAIN_TERMS) {
    let end = min(params.C, first + CHAIN_TERMS);
    var part = Vec();
    for (var c = first + own.lane; c < end; c += ROW_WG) {
      part += unit[row * params.C + c] * dy[row * params.C + c];
    }
    sum += part;
  }
  let along = workgroup_sum(vec_sum(sum), i);
  let length = row_lengths[row];
  let radial = select(0.0, along, length > params.eps);
  let scale = scale_of(length);
  if (own.index >= params.R) { return; }
  for (var c = own.lane; c < params.C; c += ROW_WG) {
    let n = row * params.C + c;
    dx[n] = (dy[n] - unit[n] * radial) * scale;
  }
}

@compute @workgroup_size(WG)
fn l2_normalize_held(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let row = linear_group(group, groups);
  if (row >= params.R) { return; }
  let start = row * params.C;
  var values : HeldRow;
  for (var k = 0u; k < HELD; k++) {
    let c = held_at(k, i);
    values[k] = select(Vec(), x[start + min(c, params.C - 1u)], c < params.C);
  }
  var sum = Vec();
  for (var k = 0u; k < HELD; k++) { sum += values[k] * values[k]; }
  let length = sqrt(workgroup_sum(vec_sum(sum), i));
  let scale = scale_of(length);
  for (var k = 0u; k < HELD; k++) {
    let c = held_at(k, i);
    if (c < params.C) { y[start + c] = values[k] * scale; }
  }
  if (i == 0u) { lengths[row] = length; }
}

@compute @workgroup_size(WG)
fn l2_normalize_dx_held(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let row = linear_group(group, groups);
  if (row >= params.R) { return; }
  let start = row * params.C;
  var units : HeldRow;
  var slopes : HeldRow;
  for (var k = 0u; k < HELD; k++) {
    let c = held_at(k, i);
    let nearest = min(c, params.C - 1u);
    units[k] = unit[start + nearest];
    slopes[k] = dy[start + nearest];
  }
  var sum = Vec();
  for (var k = 0u; k < HELD; k++) { sum += select(Vec(), units[k] * slopes[k], held_at(k, i) < params.C); }
  let along = workgroup_sum(vec_sum(sum), i);
  let length = row_lengths[row];
  let radial = select(0.0, along, length > params.eps);
  let scale = scale_of(length);
  for (var k = 0u; k < HELD; k++) {
    let c = held_at(k, i);
    if (c < params.C) { dx[start + c] = (slopes[k] - units[k] * radial) * scale; }
  }
}
