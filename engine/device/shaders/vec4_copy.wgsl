// How many bytes per second the adapter moves: y = x.
//
// Layout    x, y [n] vec4f.
// Mapping   an invocation copies RUN vec4f, STEP apart: with 1 they are neighbours; otherwise STEP
//           invocations read neighbours, all of a workgroup as GPUs want, or those that a CPU runs together.
//           HELD loads are in flight together. The host tries some of each.
// Traffic   reads x once, writes y once.

#import index

const WG : u32 = 64u;   // the host's choice
const RUN : u32 = 1u;   // vec4f per invocation
const STEP : u32 = 1u;  // from one to the next; divides WG
const HELD : u32 = 1u;  // divides RUN

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
  let start = linear_group(group, groups) * WG * RUN + i / STEP * (STEP * RUN) + i % STEP;
  for (var r = 0u; r < RUN; r += HELD) {
    if (HELD == 1u) { // an array, even of one, is memory on some CPU drivers
      let at = start + r * STEP;
      if (at < params.n) { y[at] = x[at]; }
      continue;
    }
    var held : array<vec4f, HELD>;
    for (var h = 0u; h < HELD; h++) { held[h] = x[start + (r + h) * STEP]; }
    for (var h = 0u; h < HELD; h++) {
      if (start + (r + h) * STEP < params.n) { y[start + (r + h) * STEP] = held[h]; }
    }
  }
}
