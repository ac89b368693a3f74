// Layer normalisation over the last axis. Ba, Kiros & Hinton 2016, arXiv:1607.06450.
//
//   mean[r] = 1/C sum_c x[r,c]
//   rstd[r] = 1 / sqrt(1/C sum_c (x[r,c] - mean[r])^2 + eps)
//   y[r,c]  = (x[r,c] - mean[r]) * rstd[r] * gamma[c] + beta[c]
//
// With h = (x - mean) * rstd and g = dy * gamma:
//   dx[r,c]   = rstd[r] * (g[r,c] - mean_c(g[r,:]) - h[r,c] * mean_c(g[r,:] * h[r,:]))
//   dgamma[c] = sum_r dy[r,c] * h[r,c],   dbeta[c] = sum_r dy[r,c]
//
// Layout    x, y [R, C] row-major, C counts vectors; mean, rstd [R] f32, kept for the backward pass.
// Mapping   ROW_WG invocations per row; the first owns vectors 0, ROW_WG, 2 ROW_WG, ...
//           dgamma, dbeta: one invocation per vector and split of the rows, then one per vector over the
//           splits, or 32 invocations that each take every 32nd split.
// Traffic   reads x three times (cached after the first), or once where the row is held; writes y once.
// Numerics  two passes, not E[x^2] - E[x]^2: that form cancels when |mean| >> std.

#import reduce  // own_row(group, groups, i, R), workgroup_sum(value, i)
#import vector  // Vec, VEC, vec_sum(value)
#import held    // HELD, HeldRow, held_at(k, i)

struct Params {
  R : u32,       // rows
  C : u32,       // vectors per row
  eps : f32,     // added to the variance, not to its root
  splits : u32,  // of the rows, for the parameter gradients
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> x : array<Vec>;              // [R, C]
@group(0) @binding(2) var<storage, read> gamma : array<Vec>;          // [C]
@group(0) @binding(3) var<storage, read> beta : array<Vec>;           // [C]
@group(0) @binding(4) var<storage, read_write> y : array<Vec>;        // [R, C]
@group(0) @binding(5) var<storage, read_write> mean : array<f32>;      // [R]
@group(0) @binding(6) var<storage, read_write> rstd : array<f32>;      // [R]

fn row_sum(value : Vec, i : u32) -> f32 { return workgroup_sum(vec_sum(value), i); }

@compute @workgroup_size(WG)
fn layer_norm(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let own = own_row(group, groups, i, params.R);
  let r = own.r;
  let start = r * params.C;
  let count = f32(params.C * VEC);
  var total = Vec();
  for (var first = 0u; first < params.C; first += CHAIN_TERMS) {
    let end = min(params.C, first + CHAIN_TERMS);
    var part = Vec();
    for (var c = first + own.lane; c < end; c += ROW_WG) { part += x[start + c]; }
    total += part;
  }
  let row_mean = row_sum(total, i) / count;
  total = Vec();
  for (var first = 0u; first < params.C; first += CHAIN_TERMS) {
    let end = min(params.C, first + CHAIN_TERMS);
    var part = Vec();
    for (var c = first + own.lane; c < end; c += ROW_WG) {
      let d = x[start + c] - row_mean;
      part += d * d;
    }
    total += part;
  }
  let row_rstd = inverseSqrt(row_sum(total, i) / count + params.eps);
  if (own.index >= params.R) { return; }
  for (var c = own.lane; c < params.C; c += ROW_WG) {
    y[start + c] = (x[start + c] - row_mean) * row_rstd * gamma[c] + beta[c];
  }
  if (own.lane == 0u) {
    mean[r] = row_mean;
    rstd[r] = row_rstd;
  }
}

@compute @workgroup_size(WG)
fn layer_norm_held(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let r = linear_group(group, groups);
  if (r >= params.R) { return; }
  let start = r * params.C;
  let count = f32(params.C * VEC);
  var row : HeldRow;
  for (var k = 0u; k < HELD; k++) {
    let c = held_at(k, i);
    row[k] = select(Vec(), x[start + min(c, params.C - 1u)], c < params.C);
  }
  var gains : HeldRow;
  var shifts : HeldRow;
  for (var k = 0u; k < HELD; k++) {
    let c = min(held_at(k, i), params.C - 1u);
    gains[k] = gamma[c];
    shifts[k] = beta[c];
  }
  var total = Vec();
  for (var k = 0u; k < HELD; k++) { total += row[k]; }
  let row_mean = row_sum(total, i) / count;
  total = Vec();
  for (var k = 0u; k < HELD; k++) {
    let d = select(Vec(), row[k] - row_mean, held_at(k, i) < params.C);
    total += d * d;
  }
  let row_rstd = inverseSqrt(row_sum(total, i) / count + params.eps);
  for (var k = 0u; k < HELD; k++) {
    let c = held_at(k, i);
    if (c < params.C) { y[start + c] = (row[k] - row_mean) * row_rstd * gains[k] + shifts[k]; }
  }
  if (i == 0u) {
    mean[r] = row_mean;
    rstd[r] = row_rstd;
  }
}

@group(0) @binding(3) var<storage, read> dy : array<Vec>;             // [R, C]
@group(0) @binding(4) var<storage, read> row_means : array<f32>;       // [R]
@group(0) @binding(5) var<storage, read> row_rstds : array<f32>;       // [R]
@group(0) @binding(6) var<storage, read_write> dx : array<Vec>;       // [R, C]

// Specialisation: to what dx, dgamma and dbeta hold.
const ADDS : bool = false;

fn put(value : Vec, at : u32) {
  if (ADDS) { dx[at] += value; } else { dx[at] = value; }
}

@compute @workgroup_size(WG)
fn layer_norm_dx(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let own = own_row(group, groups, i, params.R);
  let r = own.r;
  let start = r * params.C;
  let count = f32(params.C * VEC);
  let row_mean = row_means[r];
  let row_rstd = row_rstds[r];
  var sum_g = Vec();
  var sum_gh = Vec();
  for (var first = 0u; first < params.C; first += CHAIN_TERMS) {
    let end = min(params.C, first + CHAIN_TERMS);
    var part_g = Vec();
    var part_gh = Vec();
    for (var c = first + own.lane; c < end; c += ROW_WG) {
      let g = dy[start + c] * gamma[c];
      part_g += g;
      part_gh += g * (x[start + c] - row_mean) * row_rstd;
    }
    sum_g += part_g;
    sum_gh += part_gh;
  }
  let mean_g = row_sum(sum_g, i) / count;
  let mean_gh = row_sum(sum_gh, i) / count;
  if (own.index >= params.R) { return; }
  for (var c = own.lane; c < params.C; c += ROW_WG) {
    let h = (x[start + c] - row_mean) * row_rstd;
    put(row_rstd * (dy[start + c] * gamma[c] - mean_g - h * mean_gh), start + c);
  }
}

@compute @workgroup_size(WG)
fn layer_norm_dx_held(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let r = linear_group(group, groups);
  if (r >= params.R) { return; }
  let start = r * params.C;
  let count = f32(params.C * VEC);
  let row_mean = row_means[r];
  let row_rstd = row_rstds[r];
  var g : HeldRow;
  var h : HeldRow;
  for (var k = 0u; k < HELD; k++) {
    let c = held_at(k, i);
    let nearest = min(c, params.C - 1u);
    g[k] = select(Vec(), dy[start + nearest] * gamma[nearest], c < params.C);
    h[k] = (x[start + nearest] - row_mean) * row_rstd;
  }
  var sum_g = Vec();
  var sum_gh = Vec();
  for (var k = 0u; k < HELD; k++) {
    sum_g += g[k];
    sum_gh += g[k] * h[k];
  }
  let mean_g = row_sum(sum_g, i) / count;
  let mean_gh = row_sum(sum_gh, i) / count;
  for (var k = 0u; k < HELD; k++) {
    let c = held_at(k, i);
    if (c < params.C) { put(row_rstd * (g[k] - mean_g - h[k] * mean_gh), start + c); }
  }
}

const COLUMN_WG = 64u;   // vectors of a workgroup of the parameter gradients
const NEIGHBOURS = 64u;  // rows of a split added one after the other, and then their sums

@group(0) @binding(6) var<storage, read_write> partial : array<Vec>;  // [splits, 2, C]: dgamma, dbeta

@compute @workgroup_size(COLUMN_WG)
fn layer_norm_dparams(
  @builtin(workgroup_id) group : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let c = group.x * COLUMN_WG + i;
  let split = group.y;
  if (c >= params.C) { return; }
  let rows = (params.R + params.splits - 1u) / params.splits;
  let end = min(params.R, (split + 1u) * rows);
  var sum_gh = Vec();
  var sum_g = Vec();
  for (var first = split * rows; first < end; first += NEIGHBOURS) {
    var part_gh = Vec();
    var part_g = Vec();
    for (var r = first; r < min(first + NEIGHBOURS, end); r++) {
      let g = dy[r * params.C + c];
      part_gh += g * (x[r * params.C + c] - row_means[r]) * row_rstds[r];
      part_g += g;
    }
    sum_gh += part_gh;
    sum_g += part_g;
  }
  partial[split * 2u * params.C + c] = sum_gh;
  partial[(split * 2u + 1u) * params.C + c] = sum_g;
}

@group(0) @binding(1) var<storage, read> partials : array<Vec>;      // [splits, 2, C]
@group(0) @binding(2) var<storage, read_write> dgamma : array<Vec>;  // [C]
@group(0) @binding(3) var<storage, read_write> dbeta : array<Vec>;   // [C]

@compute @workgroup_size(COLUMN_WG)
fn layer_norm_dparams_sum(@builtin(global_invocation_id) id : vec3u) {
  let c = id.x;
  if (c >= params.C) { return; }
  var sum_gh = Vec();
  var sum_g = Vec();
  for (var split = 0u; split < params.splits; split++) {
    sum_gh += partials[split * 2u * params.C + c];
    sum_g += partials[(split * 2u + 1u) * params.C + c];
  }
  if (ADDS) {
    sum_gh += dgamma[c];
    sum_g += dbeta[c];
  }
  dgamma[c] = sum_gh;
  dbeta[c] = sum_g;
}

const SPLIT_WG = 256u;  // invocations that add the splits where there are many
const WG_VECS = 8u;     // neighbouring vectors; 32 invocations share each
const WG_SPLITS = SPLIT_WG / WG_VECS;

var<workgroup> split_gh : array<Vec, SPLIT_WG>;
var<workgroup> split_g : array<Vec, SPLIT_WG>;

@compute @workgroup_size(SPLIT_WG)
fn layer_norm_dparams_sum_split(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let c = linear_group(group, groups) * WG_VECS + i % WG_VECS;
  let column = min(c, params.C - 1u);
  var sum_gh = Vec();
  var sum_g = Vec();
  for (var split = i / WG_VECS; split < params.splits; split += WG_SPLITS) {
    sum_gh += partials[split * 2u * params.C + column];
    sum_g += partials[(split * 2u + 1u) * params.C + column];
  }
  split_gh[i] = sum_gh;
  split_g[i] = sum_g;
  workgroupBarrier();
  if (i >= WG_VECS || c >= params.C) { return; }
  for (var share = 1u; share < WG_SPLITS; share++) {
    sum_gh += split_gh[share * WG_VECS + i];
    sum_g += split_g[share * WG_VECS + i];
  }
  if (ADDS) {
    sum_gh += dgamma[c];
    sum_g += dbeta[c];
  }
  dgamma[c] = sum_gh;
  dbeta[c] = sum_g;
}
