// Minimal: sums of gradients.
#import index
struct Params { n : u32 }
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> a : array<f32>;             // [n]
@group(0) @binding(2) var<storage, read> b : array<f32>;             // [n]
@group(0) @binding(3) var<storage, read_write> y : array<f32>;       // [n]

@compute @workgroup_size(64)
fn add(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u, @builtin(local_invocation_index) i : u32) {
  let e = linear_group(group, groups) * 64u + i;
  if (e < params.n) { y[e] = a[e] + b[e]; }
}
@compute @workgroup_size(64)
fn accumulate(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u, @builtin(local_invocation_index) i : u32) {
  let e = linear_group(group, groups) * 64u + i;
  if (e < params.n) { y[e] += a[e]; }
}
