// Where the sequence of each token begins and ends, for the kernels of attention.
//
// Layout    contiguous.
// Mapping   an invocation takes one token.
// Traffic   reads log2(boundaries) boundaries (cached), writes 2 numbers per token.
// Numerics  exact.

#import index     // linear_group(group, groups)
#import sequence  // sequence_of(z, token)

struct Params {
  T : u32,              // tokens of a row
  batch : u32,
  boundaries : u32,
  sequences_row : u32,  // boundaries from one row to the next, 0 if all share one
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> sequences : array<i32>;        // [batch or 1, boundaries]
@group(0) @binding(2) var<storage, read_write> ends : array<vec2i>;     // [batch, T]

const WG : u32 = 64u;  // invocations of a workgroup; they share nothing

@compute @workgroup_size(WG)
fn attention_sequences(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                       @builtin(local_invocation_index) i : u32) {
  let index = linear_group(group, groups) * WG + i;
  if (index >= params.batch * params.T) { return; }
  ends[index] = vec2i(sequence_of(index / params.T, index % params.T));
}
