// Gaussian error linear unit. Hendrycks & Gimpel 2016, arXiv:1606.08415.
//
//   y = x Phi(x), Phi exactly or by tanh: shaders/lib/gelu.wgsl          dx = dy (x Phi(x))'
//
// Layout    x, y, dy, dx [n] Vecs.
// Mapping   shaders/lib/elements.wgsl.

#import elements  // share_of(group, groups, i, n)
#import gelu  // gelu_erf(v), gelu_tanh(v) and their slopes

struct Params {
  n : u32,  // Vecs
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> x : array<Vec>;         // [n]
@group(0) @binding(2) var<storage, read_write> y : array<Vec>;   // [n]
@group(0) @binding(2) var<storage, read> dy : array<Vec>;        // [n]
@group(0) @binding(3) var<storage, read_write> dx : array<Vec>;  // [n]

alias Vec = f32;  // vec4f where four divides the number of elements
const TANH : bool = false;

@compute @workgroup_size(WG)
fn gelu(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let share = share_of(group, groups, i, params.n);
  for (var at = share.first; at < share.end; at += INTERLEAVE) {
    if (TANH) { y[at] = gelu_tanh(x[at]); } else { y[at] = gelu_erf(x[at]); }
  }
}

@compute @workgroup_size(WG)
fn gelu_dx(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let share = share_of(group, groups, i, params.n);
  for (var at = share.first; at < share.end; at += INTERLEAVE) {
    if (TANH) { dx[at] = dy[at] * gelu_tanh_slope(x[at]); } else { dx[at] = dy[at] * gelu_erf_slope(x[at]); }
  }
}
