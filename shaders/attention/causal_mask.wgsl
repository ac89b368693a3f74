// The mask of a causal attention, or of one of packed sequences, where all scores are in memory anyway.
//
//   mask[z,t,j] = 0 if query t sees key j - before, else params.hidden
//
// The first `before` keys are seen by all.
//
// Layout    contiguous.
// Mapping   an invocation takes one element.
// Traffic   writes the mask once.
// Numerics  exact.

#import index   // linear_group(group, groups)
#import causal  // first_seen(z, query), seen(z, query)

struct Params {
  T : u32,        // queries per batch entry
  keys : u32,     // per batch entry, with those before
  before : u32,
  batch : u32,    // of the mask: 1 where all are alike
  offset : i32,   // position of the first query among the keys, where there are no offsets
  hidden : f32,   // -infinity, which a literal cannot be
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> offsets : array<i32>;  // [batch], see lib/causal.wgsl
@group(0) @binding(2) var<storage, read_write> mask : array<f32>;    // [batch, T, keys]

const WG : u32 = 64u;  // invocations of a workgroup; they share nothing

@compute @workgroup_size(WG)
fn attention_causal_mask(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                         @builtin(local_invocation_index) i : u32) {
  let index = linear_group(group, groups) * WG + i;  // (z T + t) keys + j
  let t = index / params.keys % params.T;
  let z = index / params.keys / params.T;
  if (z >= params.batch) { return; }
  let j = index % params.keys;
  let is_seen = j < params.before + seen(z, t) && j >= params.before + first_seen(z, t);
  mask[index] = select(params.hidden, 0.0, j < params.before || is_seen);
}
