// Sets every element to one value.
//
// Layout    x [n] f32.
// Mapping   an invocation writes RUN cells of a workgroup's GROUP RUN, one in GROUP.

#import index  // linear_group(group, groups)
#import cell   // Cell

struct Params {
  n : u32,      // cells
  value : f32,
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read_write> x : array<Cell>;  // [n]

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
  for (var at = first; at < end; at += GROUP) { x[at] = Cell(params.value); }
}
