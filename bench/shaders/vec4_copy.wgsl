// How many bytes per second the adapter moves: y = x.
//
// Layout    x, y [n] vec4f.
// Mapping   invocation i copies the vec4f i RUN to (i + 1) RUN: neighbours lie together on GPUs with RUN = 1, while an adapter
//           that runs invocations in a loop on a CPU wants long runs. The host tries both.
// Traffic   reads x once, writes y once.

#import index

const WG : u32 = 64u;   // the host's choice
const RUN : u32 = 1u;   // vec4f per invocation

struct Params {
  n : u32,  // vec4f
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> x : array<vec4f>;        // [n]
@group(0) @binding(2) var<storage, read_write> y : array<vec4f>;  // [n]

@compute @workgroup_size(WG)
fn vec4_copy(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let start = (linear_group(group, groups) * WG + i) * RUN;
  let end = min(start + RUN, params.n);
  for (var element = start; element < end; element++) { y[element] = x[element]; }
}
