// What the gradients of attention need of each query beside its logsumexp: delta[t] = dout[t] . out[t].
// Dao et al. 2022, FlashAttention, arXiv:2205.14135.
//
// Layout    contiguous, heads of a row side by side.
// Mapping   an invocation takes one query of one head.
// Traffic   reads 2 K elements per query and head, writes one.
// Numerics  f32, one fma per term, ascending.

#import index    // linear_group(group, groups)
#import dot_add  // Vec (f32 where the head size is not divisible by 4), VEC, dot_add(left, right, sum)

struct Params {
  T : u32,       // queries per batch entry
  heads : u32,
  batch : u32,
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> out : array<Vec>;             // [batch, T, heads, HEAD_VECS]
@group(0) @binding(2) var<storage, read> dout : array<Vec>;            // [batch, T, heads, HEAD_VECS]
@group(0) @binding(3) var<storage, read_write> delta : array<f32>;     // [batch, heads, T]

// Specialisation.
const HEAD_VECS : u32 = 8u;      // Vecs per head
const UNROLLED : bool = false;   // unroll the marked loops

const WG : u32 = 64u;  // invocations of a workgroup; they share nothing

@compute @workgroup_size(WG)
fn attention_delta(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                   @builtin(local_invocation_index) i : u32) {
  let index = linear_group(group, groups) * WG + i;  // (z T + t) heads + head
  if (index >= params.batch * params.T * params.heads) { return; }
  var sum = 0.0;
  // unroll
  for (var d = 0u; d < HEAD_VECS; d++) {
    sum = dot_add(out[index * HEAD_VECS + d], dout[index * HEAD_VECS + d], sum);
  }
  let row = index / params.heads;
  delta[(row / params.T * params.heads + index % params.heads) * params.T + row % params.T] = sum;
}
