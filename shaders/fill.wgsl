// Sets every element to one value, or to its own index.
//
// Layout    x [n], 32-bit elements of any type, written as bits, four at once where the elements divide by 4; index [n] u32.
// Mapping   an invocation writes RUN values of a workgroup's GROUP RUN, one in GROUP.

#import index  // linear_group(group, groups)

alias Value = u32;  // or vec4u

struct Params {
  n : u32,      // values
  bits : u32,   // of an element
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read_write> x : array<Value>;    // [n]
@group(0) @binding(2) var<storage, read_write> index : array<u32>;  // [n]

const GROUP : u32 = 64u;
const RUN : u32 = 8u;

@compute @workgroup_size(GROUP)
fn fill(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let first = linear_group(group, groups) * GROUP * RUN + i;
  let end = min(first + GROUP * RUN, params.n);
  for (var at = first; at < end; at += GROUP) { x[at] = Value(params.bits); }
}

@compute @workgroup_size(GROUP)
fn arange(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let first = linear_group(group, groups) * GROUP * RUN + i;
  let end = min(first + GROUP * RUN, params.n);
  for (var at = first; at < end; at += GROUP) { index[at] = at; }
}
