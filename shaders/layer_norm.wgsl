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
// Layout    x, y [R, C] row-major f32; mean, rstd [R], kept for the backward pass.
// Mapping   one workgroup per row; invocation i owns columns i, i + WG, i + 2 WG, ...
//           dgamma, dbeta: one invocation per column and chunk of rows, then one per column over the blocks.
// Traffic   reads x three times (cached after the first), writes y once.
// Numerics  two passes, not E[x^2] - E[x]^2: that form cancels when |mean| >> std.

#import index
#import reduce

struct Params {
  R : u32,       // rows
  C : u32,       // columns per row
  eps : f32,     // added to the variance, not to its root
  blocks : u32,  // row blocks of the partial sums
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> x : array<f32>;               // [R, C]
@group(0) @binding(2) var<storage, read> gamma : array<f32>;           // [C]
@group(0) @binding(3) var<storage, read> beta : array<f32>;            // [C]
@group(0) @binding(4) var<storage, read_write> y : array<f32>;         // [R, C]
@group(0) @binding(5) var<storage, read_write> mean : array<f32>;      // [R]
@group(0) @binding(6) var<storage, read_write> rstd : array<f32>;      // [R]

@compute @workgroup_size(WG)
fn layer_norm(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let r = linear_group(group, groups);
  if (r >= params.R) { return; }
  let start = r * params.C;
  var total = 0.0;
  for (var c = i; c < params.C; c += WG) { total += x[start + c]; }
  let row_mean = workgroup_sum(total, i) / f32(params.C);
  total = 0.0;
  for (var c = i; c < params.C; c += WG) {
    let d = x[start + c] - row_mean;
    total += d * d;
  }
  let row_rstd = inverseSqrt(workgroup_sum(total, i) / f32(params.C) + params.eps);
  for (var c = i; c < params.C; c += WG) {
    y[start + c] = (x[start + c] - row_mean) * row_rstd * gamma[c] + beta[c];
  }
  if (i == 0u) {
    mean[r] = row_mean;
    rstd[r] = row_rstd;
  }
}

@group(0) @binding(3) var<storage, read> dy : array<f32>;              // [R, C]
@group(0) @binding(4) var<storage, read> row_means : array<f32>;       // [R]
@group(0) @binding(5) var<storage, read> row_rstds : array<f32>;       // [R]
@group(0) @binding(6) var<storage, read_write> dx : array<f32>;        // [R, C]

@compute @workgroup_size(WG)
fn layer_norm_dx(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let r = linear_group(group, groups);
  if (r >= params.R) { return; }
  let start = r * params.C;
  let row_mean = row_means[r];
  let row_rstd = row_rstds[r];
  var sum_g = 0.0;
  var sum_gh = 0.0;
  for (var c = i; c < params.C; c += WG) {
    let g = dy[start + c] * gamma[c];
    sum_g += g;
    sum_gh += g * (x[start + c] - row_mean) * row_rstd;
  }
  let mean_g = workgroup_sum(sum_g, i) / f32(params.C);
  let mean_gh = workgroup_sum(sum_gh, i) / f32(params.C);
  for (var c = i; c < params.C; c += WG) {
    let h = (x[start + c] - row_mean) * row_rstd;
    dx[start + c] = row_rstd * (dy[start + c] * gamma[c] - mean_g - h * mean_gh);
  }
}

const COLUMNS = 64u;  // columns of a workgroup of the parameter gradients

@group(0) @binding(6) var<storage, read_write> partial : array<vec2f>; // [blocks, C] of (dgamma, dbeta)

@compute @workgroup_size(COLUMNS)
fn layer_norm_dparams(
  @builtin(workgroup_id) group : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let c = group.x * COLUMNS + i;
  let chunk = group.y;
  if (c >= params.C) { return; }
  let rows = (params.R + params.blocks - 1u) / params.blocks;
  let end = min(params.R, (chunk + 1u) * rows);
  var sums = vec2f();
  for (var r = chunk * rows; r < end; r++) {
    let g = dy[r * params.C + c];
    sums += vec2f(g * (x[r * params.C + c] - row_means[r]) * row_rstds[r], g);
  }
  partial[chunk * params.C + c] = sums;
}

@group(0) @binding(1) var<storage, read> partials : array<vec2f>;      // [blocks, C]
@group(0) @binding(2) var<storage, read_write> dgamma : array<f32>;    // [C]
@group(0) @binding(3) var<storage, read_write> dbeta : array<f32>;     // [C]

@compute @workgroup_size(COLUMNS)
fn layer_norm_dparams_sum(@builtin(global_invocation_id) id : vec3u) {
  let c = id.x;
  if (c >= params.C) { return; }
  var sums = vec2f();
  for (var chunk = 0u; chunk < params.blocks; chunk++) { sums += partials[chunk * params.C + c]; }
  dgamma[c] = sums.x;
  dbeta[c] = sums.y;
}
