// Looks for NaN and infinities, and keeps the lowest number among those under which any was found.
//
//   flag = min(flag, op_number)   if some x[i] has all exponent bits set
//
// Layout    x [n] f32, read as bits; flag [1] u32, 0xffffffff as long as nothing has been found.
// Mapping   one invocation per element, or per four on a GPU where n divides by four. The minimum does not
//           depend on the order, so the atomic keeps runs equal.
// Numerics  WGSL may assume that no float is NaN or infinite, so all elements are read as integers.

#import index

const EXPONENT = 0x7f800000u;
const WG = 64u;

struct Params {
  n : u32,  // elements, or vec4u for mark_non_finite_vec4
  op_number : u32,
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> x : array<u32>;                    // [n]
@group(0) @binding(2) var<storage, read_write> flag : array<atomic<u32>>;   // [1]

@compute @workgroup_size(WG)
fn mark_non_finite(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let at = linear_group(group, groups) * WG + i;
  if (at >= params.n) { return; }
  if ((x[at] & EXPONENT) == EXPONENT) { atomicMin(&flag[0], params.op_number); }
}

@group(0) @binding(1) var<storage, read> x4 : array<vec4u>;                 // [n]

@compute @workgroup_size(WG)
fn mark_non_finite_vec4(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let at = linear_group(group, groups) * WG + i;
  if (at >= params.n) { return; }
  if (any((x4[at] & vec4u(EXPONENT)) == vec4u(EXPONENT))) { atomicMin(&flag[0], params.op_number); }
}
