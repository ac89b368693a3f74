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

// Four columns of an invocation per step, as far as they go: the steps of a loop cost a CPU more than what is in them.
const STEP : u32 = 4u * WG;
fn x_four(at : u32) -> vec4f { return vec4f(x[at], x[at + WG], x[at + 2u * WG], x[at + 3u * WG]); }
fn sum_of(parts : vec4f) -> f32 { return (parts.x + parts.y) + (parts.z + parts.w); }

@compute @workgroup_size(WG)
fn layer_norm(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let r = linear_group(group, groups);
  if (r >= params.R) { return; }
  let start = r * params.C;
  let even = params.C / STEP * STEP;
  var total4 = vec4f();
  for (var c = i; c < even; c += STEP) { total4 += x_four(start + c); }
  var total = sum_of(total4);
  for (var c = even + i; c < params.C; c += WG) { total += x[start + c]; }
  let row_mean = workgroup_sum(total, i) / f32(params.C);
  total4 = vec4f();
  for (var c = i; c < even; c += STEP) {
    let d = x_four(start + c) - row_mean;
    total4 += d * d;
  }
  total = sum_of(total4);
  for (var c = even + i; c < params.C; c += WG) {
    let d = x[start + c] - row_mean;
    total += d * d;
  }
  let row_rstd = inverseSqrt(workgroup_sum(total, i) / f32(params.C) + params.eps);
  for (var c = i; c < even; c += STEP) {
    let h = (x_four(start + c) - row_mean) * row_rstd;
    for (var e = 0u; e < 4u; e++) { y[start + c + e * WG] = h[e] * gamma[c + e * WG] + beta[c + e * WG]; }
  }
  for (var c = even + i; c < params.C; c += WG) {
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

// dy gamma, for four columns.
fn g_four(at : u32, c : u32) -> vec4f {
  return vec4f(dy[at], dy[at + WG], dy[at + 2u * WG], dy[at + 3u * WG]) *
         vec4f(gamma[c], gamma[c + WG], gamma[c + 2u * WG], gamma[c + 3u * WG]);
}

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
  let even = params.C / STEP * STEP;
  var sum_g4 = vec4f();
  var sum_gh4 = vec4f();
  for (var c = i; c < even; c += STEP) {
    let g = g_four(start + c, c);
    sum_g4 += g;
    sum_gh4 += g * (x_four(start + c) - row_mean) * row_rstd;
  }
  var sum_g = sum_of(sum_g4);
  var sum_gh = sum_of(sum_gh4);
  for (var c = even + i; c < params.C; c += WG) {
    let g = dy[start + c] * gamma[c];
    sum_g += g;
    sum_gh += g * (x[start + c] - row_mean) * row_rstd;
  }
  let mean_g = workgroup_sum(sum_g, i) / f32(params.C);
  let mean_gh = workgroup_sum(sum_gh, i) / f32(params.C);
  for (var c = i; c < even; c += STEP) {
    let h = (x_four(start + c) - row_mean) * row_rstd;
    let value = row_rstd * (g_four(start + c, c) - mean_g - h * mean_gh);
    for (var e = 0u; e < 4u; e++) { dx[start + c + e * WG] = value[e]; }
  }
  for (var c = even + i; c < params.C; c += WG) {
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
