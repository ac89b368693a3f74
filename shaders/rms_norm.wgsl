// Root mean square normalisation over the last axis, after a residual where there is one. Zhang & Sennrich
// 2019, arXiv:1910.07467.
//
//   h[r,c]  = x[r,c], or x[r,c] + residual[r,c]
//   rstd[r] = 1 / sqrt(1/C sum_c h[r,c]^2 + eps)
//   y[r,c]  = h[r,c] * rstd[r] * gamma[c]
//
// With n = h * rstd and g = dy * gamma:
//   dh[r,c]   = rstd[r] * (g[r,c] - n[r,c] * mean_c(g[r,:] * n[r,:])), plus the gradient of the sum h
//   dgamma[c] = sum_r dy[r,c] * n[r,c]
//
// Layout    x, residual, h, y [R, C] row-major, C counts vectors; rstd [R] f32, kept for the backward pass.
// Mapping   ROW_WG invocations per row; the first owns vectors 0, ROW_WG, 2 ROW_WG, ...
//           dgamma: one invocation per vector and split of the rows; column_sum.wgsl adds the splits.
// Traffic   reads x twice (cached after the first), or once where the row is held; writes y once, h once.
// Numerics  squares are added in f32: from 1.8e19 / sqrt(C) on they overflow, and y is 0.

#import reduce  // own_row(group, groups, i, R), workgroup_sum(value, i)
#import vector  // Vec, VEC, vec_sum(value)
#import held    // HELD, HeldRow, held_at(k, i)

struct Params {
  R : u32,       // rows
  C : u32,       // vectors per row
  eps : f32,     // added to the mean square, not to its root
  splits : u32,  // of the rows, for dgamma
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> x : array<Vec>;              // [R, C]
@group(0) @binding(2) var<storage, read> residual : array<Vec>;       // [R, C]
@group(0) @binding(3) var<storage, read> gamma : array<Vec>;          // [C]
@group(0) @binding(4) var<storage, read_write> h : array<Vec>;        // [R, C], where there is a residual
@group(0) @binding(5) var<storage, read_write> y : array<Vec>;        // [R, C]
@group(0) @binding(6) var<storage, read_write> rstd : array<f32>;     // [R]

const HAS_RESIDUAL : bool = false;

fn row_sum(value : Vec, i : u32) -> f32 { return workgroup_sum(vec_sum(value), i); }

// The element of h at e, which is kept where it is a sum.
fn summed(e : u32, keeps : bool) -> Vec {
  if (!HAS_RESIDUAL) { return x[e]; }
  let sum = x[e] + residual[e];
  if (keeps) { h[e] = sum; }
  return sum;
}

@compute @workgroup_size(WG)
fn rms_norm(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let own = own_row(group, groups, i, params.R);
  let r = own.r;
  let start = r * params.C;
  var total = Vec();
  for (var first = 0u; first < params.C; first += CHAIN_TERMS) {
    let end = min(params.C, first + CHAIN_TERMS);
    var part = Vec();
    for (var c = first + own.lane; c < end; c += ROW_WG) {
      let value = summed(start + c, false);
      part += value * value;
    }
    total += part;
  }
  let row_rstd = inverseSqrt(row_sum(total, i) / f32(params.C * VEC) + params.eps);
  if (own.index >= params.R) { return; }
  for (var c = own.lane; c < params.C; c += ROW_WG) {
    y[start + c] = summed(start + c, true) * row_rstd * gamma[c];
  }
  if (own.lane == 0u) { rstd[r] = row_rstd; }
}

@compute @workgroup_size(WG)
fn rms_norm_held(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let r = linear_group(group, groups);
  if (r >= params.R) { return; }
  let start = r * params.C;
  var row : HeldRow;
  var gains : HeldRow;
  for (var k = 0u; k < HELD; k++) {
    let c = held_at(k, i);
    let nearest = min(c, params.C - 1u);
    row[k] = select(Vec(), summed(start + nearest, c < params.C), c < params.C);
    gains[k] = gamma[nearest];
  }
  var total = Vec();
  for (var k = 0u; k < HELD; k++) { total += row[k] * row[k]; }
  let row_rstd = inverseSqrt(row_sum(total, i) / f32(params.C * VEC) + params.eps);
  for (var k = 0u; k < HELD; k++) {
    let c = held_at(k, i);
    if (c < params.C) { y[start + c] = row[k] * row_rstd * gains[k]; }
  }
  if (i == 0u) { rstd[r] = row_rstd; }
}

@group(0) @binding(2) var<storage, read> dy : array<Vec>;             // [R, C]
@group(0) @binding(4) var<storage, read> row_rstds : array<f32>;      // [R]
@group(0) @binding(5) var<storage, read> dsum : array<Vec>;           // [R, C]
@group(0) @binding(6) var<storage, read_write> dh : array<Vec>;       // [R, C]

const ADDS : bool = false;  // the gradient of the sum h

// dh of one vector, of g, n and the mean of their products.
fn slope(e : u32, g : Vec, n : Vec, mean_gn : f32, row_rstd : f32) -> Vec {
  let value = row_rstd * (g - n * mean_gn);
  if (!ADDS) { return value; }
  return value + dsum[e];
}

@compute @workgroup_size(WG)
fn rms_norm_dx(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let own = own_row(group, groups, i, params.R);
  let start = own.r * params.C;
  let row_rstd = row_rstds[own.r];
  var sum_gn = Vec();
  for (var first = 0u; first < params.C; first += CHAIN_TERMS) {
    let end = min(params.C, first + CHAIN_TERMS);
    var part = Vec();
    for (var c = first + own.lane; c < end; c += ROW_WG) {
      part += dy[start + c] * gamma[c] * x[start + c] * row_rstd;
    }
    sum_gn += part;
  }
  let mean_gn = row_sum(sum_gn, i) / f32(params.C * VEC);
  if (own.index >= params.R) { return; }
  for (var c = own.lane; c < params.C; c += ROW_WG) {
    let e = start + c;
    dh[e] = slope(e, dy[e] * gamma[c], x[e] * row_rstd, mean_gn, row_rstd);
  }
}

@compute @workgroup_size(WG)
fn rms_norm_dx_held(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let r = linear_group(group, groups);
  if (r >= params.R) { return; }
  let start = r * params.C;
  let row_rstd = row_rstds[r];
  var g : HeldRow;
  var n : HeldRow;
  for (var k = 0u; k < HELD; k++) {
    let c = held_at(k, i);
    let nearest = min(c, params.C - 1u);
    g[k] = select(Vec(), dy[start + nearest] * gamma[nearest], c < params.C);
    n[k] = x[start + nearest] * row_rstd;
  }
  var sum_gn = Vec();
  for (var k = 0u; k < HELD; k++) { sum_gn += g[k] * n[k]; }
  let mean_gn = row_sum(sum_gn, i) / f32(params.C * VEC);
  for (var k = 0u; k < HELD; k++) {
    let c = held_at(k, i);
    if (c < params.C) { dh[start + c] = slope(start + c, g[k], n[k], mean_gn, row_rstd); }
  }
}

const COLUMN_WG = 64u;   // vectors of a workgroup of dgamma
const NEIGHBOURS = 64u;  // rows of a split added one after the other, and then their sums

@group(0) @binding(5) var<storage, read_write> partial : array<Vec>;  // [splits, C]

@compute @workgroup_size(COLUMN_WG)
fn rms_norm_dgamma(
  @builtin(workgroup_id) group : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let c = group.x * COLUMN_WG + i;
  if (c >= params.C) { return; }
  let rows = (params.R + params.splits - 1u) / params.splits;
  let end = min(params.R, (group.y + 1u) * rows);
  var sum = Vec();
  for (var first = group.y * rows; first < end; first += NEIGHBOURS) {
    var part = Vec();
    for (var r = first; r < min(first + NEIGHBOURS, end); r++) {
      part += dy[r * params.C + c] * x[r * params.C + c] * row_rstds[r];
    }
    sum += part;
  }
  partial[group.y * params.C + c] = sum;
}
