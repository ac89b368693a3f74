// The bias that a key mask adds to the scores: 0 where the key is attended to, MASKED elsewhere; a mask of
// zeros alone attends to every key.
//
//   bias[z,j] = 0 if mask[z,j] != 0 or mask[z,i] == 0 for all i, else MASKED
//
// Layout    contiguous.
// Mapping   one workgroup per batch entry; invocation i owns keys i, i + ROW_WG, i + 2 ROW_WG, ...
// Traffic   reads the mask twice (cached after the first), writes the bias once.
// Numerics  exact.

#import index   // linear_group(group, groups)
#import reduce  // ROW_WG, workgroup_max(value, i)

struct Params {
  keys : u32,    // per batch entry
  batch : u32,
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> mask : array<f32>;          // [batch, keys], nonzero = attend
@group(0) @binding(2) var<storage, read_write> bias : array<f32>;    // [batch, keys], 0 or MASKED

const MASKED : f32 = -1e30;      // finite: WGSL may assume that there are no infinities

@compute @workgroup_size(WG)
fn attention_key_mask(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                      @builtin(local_invocation_index) i : u32) {
  let z = linear_group(group, groups);
  if (z >= params.batch) { return; }
  let first = z * params.keys;
  var largest_here = 0.0;
  for (var j = i; j < params.keys; j += ROW_WG) { largest_here = max(largest_here, abs(mask[first + j])); }
  let largest = workgroup_max(largest_here, i);
  for (var j = i; j < params.keys; j += ROW_WG) {
    bias[first + j] = select(MASKED, 0.0, largest == 0.0 || mask[first + j] != 0.0);
  }
}
