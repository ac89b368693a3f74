// Sets every element to one value, or to its own index.
//
// Layout    x [n], 32-bit elements of any type, written as bits, four together where their number divides by
//           4; index [n] u32.
// Mapping   shaders/lib/elements.wgsl.

#import elements  // share_of(group, groups, i, n)

alias Vec = u32;  // or vec4u

struct Params {
  n : u32,     // Vecs
  bits : u32,  // of an element
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read_write> x : array<Vec>;    // [n]
@group(0) @binding(2) var<storage, read_write> index : array<u32>;  // [n]

@compute @workgroup_size(WG)
fn fill(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let share = share_of(group, groups, i, params.n);
  for (var at = share.first; at < share.end; at += INTERLEAVE) { x[at] = Vec(params.bits); }
}

@compute @workgroup_size(WG)
fn arange(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let share = share_of(group, groups, i, params.n);
  for (var at = share.first; at < share.end; at += INTERLEAVE) { index[at] = at; }
}
