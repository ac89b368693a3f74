// Softmax attention of T queries over two key/value segments, `cached` before `own`, each in chunks of keys. For few queries on CPUs, and
// for heads that strips on GPUs do not serve; gradients are those of register.wgsl and tiled.wgsl.
//
//   s[t,j] = scale q[t] . k[j] + mask_bias[j]         p[t,j] = exp(s[t,j] - lse[t])         out[t] = sum_j p[t,j] v[j]
//   delta[t] = dout[t] . out[t]
//
// Milakov & Gimelshein 2018, arXiv:1805.02867 (online softmax).
//
// Layout    rows of q and of a segment are strided; a head's k and v stand side by side at k_col and v_col. Heads are contiguous.
// Mapping   attention_chunk, once per segment: an invocation takes one query of one head through a chunk of keys, its row and its sums in
//           registers. attention_merge: an invocation adds up one lane of all chunks. No barriers.
// Traffic   reads each key and value once per query, and writes and reads K + 2 numbers per query, head and chunk.
// Numerics  f32; the running maximum keeps every exponent at or below zero. Nothing of size T x M is stored. Sums run over
//           ascending keys and chunks: the same bits on every run.

#import index   // linear_group(group, groups)
#import reduce  // WG, workgroup_max(value, i)

struct Params {
  T : u32,            // queries per batch entry
  keys : u32,         // keys per batch entry in the segment
  heads : u32,
  batch : u32,
  q_row : u32,        // lanes from one query row to the next
  q_batch : u32,      // lanes from one batch entry of q to the next; 0 if all share one
  kv_row : u32,       // lanes from one key row to the next
  k_col : u32,        // lanes before the keys and values in a row
  v_col : u32,
  scale : f32,
  chunk : u32,        // keys of a chunk
  chunks : u32,       // of the segment
  first_chunk : u32,  // chunks of the segment before
  all_chunks : u32,   // of both segments
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> q_rows : array<Lane>;          // [batch or 1, T, q_row]
@group(0) @binding(2) var<storage, read> kv_rows : array<Lane>;         // [batch, keys, kv_row]
@group(0) @binding(3) var<storage, read> mask_bias : array<f32>;        // [batch, keys], 0 or MASKED
@group(0) @binding(4) var<storage, read_write> tops : array<vec2f>;     // [batch, all_chunks, T, heads] largest s, sum of exp(s - largest)
@group(0) @binding(5) var<storage, read_write> sums : array<Lane>;      // [batch, all_chunks, T, heads, LANES] sum of exp(s - largest) v
@group(0) @binding(1) var<storage, read> chunk_tops : array<vec2f>;     // merge: [batch, all_chunks, T, heads]
@group(0) @binding(2) var<storage, read> chunk_sums : array<Lane>;      // merge: [batch, all_chunks, T, heads, LANES]
@group(0) @binding(3) var<storage, read_write> out : array<Lane>;       // merge: [batch, T, heads, LANES]
@group(0) @binding(4) var<storage, read_write> lse : array<f32>;        // merge: [batch, heads, T], log-sum-exp of s
@group(0) @binding(5) var<storage, read> dout : array<Lane>;            // delta: [batch, T, heads, LANES]
@group(0) @binding(1) var<storage, read> made : array<Lane>;            // delta: [batch, T, heads, LANES], out of the forward
@group(0) @binding(2) var<storage, read_write> delta : array<f32>;      // delta: [batch, heads, T]
@group(0) @binding(1) var<storage, read> key_mask : array<f32>;         // mask: [batch, keys], nonzero = attend
@group(0) @binding(2) var<storage, read_write> key_bias : array<f32>;   // mask: [batch, keys]

// Specialisation.
alias Lane = vec4f;              // or f32 where the head size is not divisible by 4
const WIDE : bool = true;        // Lane is vec4f
const LANES : u32 = 8u;          // lanes per head
const HAS_MASK : bool = false;
const UNROLLED : bool = false;   // the host has written out the loops over constants
const SPAN : u32 = 64u;          // invocations of a workgroup; they share nothing

const MASKED : f32 = -1e30;      // finite: WGSL may assume that there are no infinities

fn fused(left : Lane, right : Lane, sum : f32) -> f32 {
  let l = vec4f(left);
  let r = vec4f(right);
  if (!WIDE) { return fma(l.x, r.x, sum); }
  return fma(l.w, r.w, fma(l.z, r.z, fma(l.y, r.y, fma(l.x, r.x, sum))));
}

@compute @workgroup_size(SPAN)
fn attention_chunk(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                   @builtin(local_invocation_index) i : u32) {
  let at = linear_group(group, groups) * SPAN + i;  // ((z chunks + n) T + t) heads + head
  let rows = params.T * params.heads;
  let head = at % params.heads;
  let t = at / params.heads % params.T;
  let n = at / rows % params.chunks;
  let z = at / (rows * params.chunks);
  if (z >= params.batch) { return; }
  let near = z * params.q_batch + t * params.q_row + head * LANES;
  var q : array<Lane, LANES>;
  var sum : array<Lane, LANES>;
  for (var d = 0u; d < LANES; d++) {
    q[d] = q_rows[near + d];
    sum[d] = Lane();
  }
  var top = MASKED;  // largest score so far
  var norm = 0.0;    // sum of exp(score - top)
  let end = min((n + 1u) * params.chunk, params.keys);
  for (var j = n * params.chunk; j < end; j++) {
    let key = z * params.keys + j;
    let row = key * params.kv_row + head * LANES;
    var score = 0.0;
    for (var d = 0u; d < LANES; d++) { score = fused(q[d], kv_rows[row + params.k_col + d], score); }
    score *= params.scale;
    if (HAS_MASK) { score += mask_bias[key]; }
    if (score > top) {
      let keep = exp(top - score);
      for (var d = 0u; d < LANES; d++) { sum[d] *= keep; }
      norm *= keep;
      top = score;
    }
    let p = exp(score - top);
    norm += p;
    for (var d = 0u; d < LANES; d++) { sum[d] = fma(Lane(p), kv_rows[row + params.v_col + d], sum[d]); }
  }
  let part = (z * params.all_chunks + params.first_chunk + n) * rows + t * params.heads + head;
  tops[part] = vec2f(top, norm);
  for (var d = 0u; d < LANES; d++) { sums[part * LANES + d] = sum[d]; }
}

@compute @workgroup_size(SPAN)
fn attention_merge(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                   @builtin(local_invocation_index) i : u32) {
  let at = linear_group(group, groups) * SPAN + i;  // ((z T + t) heads + head) LANES + d
  let rows = params.T * params.heads;
  let row = at / LANES % rows;
  let z = at / (LANES * rows);
  if (z >= params.batch) { return; }
  let first = z * params.all_chunks * rows + row;
  var top = MASKED;
  for (var n = 0u; n < params.all_chunks; n++) { top = max(top, chunk_tops[first + n * rows].x); }
  var sum = Lane();
  var norm = 0.0;
  for (var n = 0u; n < params.all_chunks; n++) {
    let part = first + n * rows;
    let keep = exp(chunk_tops[part].x - top);
    norm = fma(keep, chunk_tops[part].y, norm);
    sum = fma(Lane(keep), chunk_sums[part * LANES + at % LANES], sum);
  }
  norm = max(norm, 1e-30);
  out[at] = sum * (1.0 / norm);
  if (at % LANES == 0u) { lse[(z * params.heads + row % params.heads) * params.T + row / params.heads] = top + log(norm); }
}

@compute @workgroup_size(SPAN)
fn attention_delta(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                   @builtin(local_invocation_index) i : u32) {
  let index = linear_group(group, groups) * SPAN + i;  // (z T + t) heads + head
  if (index >= params.batch * params.T * params.heads) { return; }
  var sum = 0.0;
  for (var d = 0u; d < LANES; d++) { sum = fused(made[index * LANES + d], dout[index * LANES + d], sum); }
  let row = index / params.heads;
  delta[(row / params.T * params.heads + index % params.heads) * params.T + row % params.T] = sum;
}

// key_bias = 0 where the key is attended to, else MASKED; a row whose mask is all zero attends to everything.
@compute @workgroup_size(WG)
fn attention_mask(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                  @builtin(local_invocation_index) i : u32) {
  let z = linear_group(group, groups);
  if (z >= params.batch) { return; }
  var largest_here = 0.0;
  for (var j = i; j < params.keys; j += WG) { largest_here = max(largest_here, abs(key_mask[z * params.keys + j])); }
  let largest = workgroup_max(largest_here, i);
  for (var j = i; j < params.keys; j += WG) {
    let attended = largest == 0.0 || key_mask[z * params.keys + j] != 0.0;
    key_bias[z * params.keys + j] = select(MASKED, 0.0, attended);
  }
}
