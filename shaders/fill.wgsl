// Sets every element to one value.
//
// Layout    x [n] f32.
// Mapping   one invocation per element.

#import index

struct Params {
  n : u32,      // elements
  value : f32,
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read_write> x : array<f32>;  // [n]

@compute @workgroup_size(64)
fn fill(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let element = linear_group(group, groups) * 64u + i;
  if (element < params.n) { x[element] = params.value; }
}
