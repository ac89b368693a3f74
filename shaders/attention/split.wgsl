// Split-KV attention (flash-decoding), first pass: softmax attention of T queries over one split of the keys,
// for few queries. merge.wgsl merges the splits of one or two key/value segments, cached keys before
// the others.
//
//   s[t,j] = scale q[t] . k[j] + mask_bias[j]
//   max[t] = max_j s[t,j]                        sum[t] = sum_j exp(s[t,j] - max[t])
//   value[t] = sum_j exp(s[t,j] - max[t]) v[j]
//
// Online softmax: Milakov & Gimelshein 2018, arXiv:1805.02867. Splits: Dao et al. 2023, "Flash-Decoding for
// long-context inference".
//
// Layout    rows of q, k and v are strided; the heads of a row are contiguous.
// Mapping   an invocation computes one query of one head for a split, with the query and the sums in
//           registers. No barriers.
// Traffic   reads each key and value once per query, writes K + 2 elements per query, head and split.
// Numerics  f32; the running maximum keeps every exponent at or below zero. Nothing of size T x M is stored.
//           Sums run over ascending keys: the same bits on every run.

#import index     // linear_group(group, groups)
#import numerics  // LOWEST
#import causal    // HIDES, first_seen(z, query), seen(z, query)
#import dot_add   // Vec (f32 where the head size is not divisible by 4), VEC, dot_add(left, right, sum)

struct Params {
  T : u32,            // queries per batch entry
  keys : u32,         // keys per batch entry in the segment
  heads : u32,
  batch : u32,
  q_start : u32,      // Vecs before the first query; k_start, v_start too
  q_row : u32,        // Vecs from one query row to the next; so k_row and v_row
  q_batch : u32,      // Vecs from one batch entry of q to the next; 0 if all share one
  k_start : u32,
  k_row : u32,
  k_batch : u32,
  v_start : u32,
  v_row : u32,
  v_batch : u32,
  scale : f32,
  split_keys : u32,   // keys of a split
  splits : u32,       // of the segment
  first_split : u32,  // splits of the segment before
  all_splits : u32,   // of both segments
  offset : i32,       // causal: position of the first query among the keys
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> q_rows : array<Vec>;           // [batch or 1, T, q_row]
@group(0) @binding(2) var<storage, read> k_rows : array<Vec>;           // [batch, keys or more, k_row]
@group(0) @binding(3) var<storage, read> v_rows : array<Vec>;           // [batch, keys or more, v_row]
@group(0) @binding(4) var<storage, read> mask_bias : array<f32>;        // [batch, keys], 0 or MASKED
@group(0) @binding(5) var<storage, read_write> max_sum : array<vec2f>;  // [batch, all_splits, T, heads]
@group(0) @binding(6)
var<storage, read_write> values : array<Vec>;  // [batch, all_splits, T, heads, HEAD_VECS]
@group(0) @binding(7) var<storage, read> offsets : array<i32>;  // [batch], see lib/causal.wgsl

// Specialisation.
const KV_GROUP : u32 = 1u;       // neighbouring heads that share keys and values
const HEAD_VECS : u32 = 8u;      // Vecs per head
const HAS_MASK : bool = false;
const UNROLLED : bool = false;   // unroll the marked loops

const WG : u32 = 64u;  // invocations of a workgroup; they share nothing

@compute @workgroup_size(WG)
fn attention_split(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                   @builtin(local_invocation_index) i : u32) {
  let at = linear_group(group, groups) * WG + i;  // ((z splits + n) T + t) heads + head
  let rows = params.T * params.heads;
  let head = at % params.heads;
  let t = at / params.heads % params.T;
  let n = at / rows % params.splits;
  let z = at / (rows * params.splits);
  if (z >= params.batch) { return; }
  let query = params.q_start + z * params.q_batch + t * params.q_row + head * HEAD_VECS;
  var q : array<Vec, HEAD_VECS>;
  var value : array<Vec, HEAD_VECS>;
  // unroll
  for (var d = 0u; d < HEAD_VECS; d++) {
    q[d] = q_rows[query + d];
    value[d] = Vec();
  }
  var row_max = LOWEST;  // largest score so far
  var row_sum = 0.0;     // sum of exp(score - row_max)
  var end = min((n + 1u) * params.split_keys, params.keys);
  var first = n * params.split_keys;
  if (HIDES == ELEMENTS) {
    first = max(first, first_seen(z, t));
    end = min(end, seen(z, t));
    if (end == 0u) { row_sum = 1.0; }  // without a key: zeros
  }
  for (var j = first; j < end; j++) {
    let k = params.k_start + z * params.k_batch + j * params.k_row + head / KV_GROUP * HEAD_VECS;
    let v = params.v_start + z * params.v_batch + j * params.v_row + head / KV_GROUP * HEAD_VECS;
    var score = 0.0;
    // unroll
    for (var d = 0u; d < HEAD_VECS; d++) { score = dot_add(q[d], k_rows[k + d], score); }
    score *= params.scale;
    if (HAS_MASK) { score += mask_bias[z * params.keys + j]; }
    if (score > row_max) {
      let keep = exp(row_max - score);
      // unroll
      for (var d = 0u; d < HEAD_VECS; d++) { value[d] *= keep; }
      row_sum *= keep;
      row_max = score;
    }
    let p = exp(score - row_max);
    row_sum += p;
    // unroll
    for (var d = 0u; d < HEAD_VECS; d++) { value[d] = fma(Vec(p), v_rows[v + d], value[d]); }
  }
  let part = (z * params.all_splits + params.first_split + n) * rows + t * params.heads + head;
  max_sum[part] = vec2f(row_max, row_sum);
  // unroll
  for (var d = 0u; d < HEAD_VECS; d++) { values[part * HEAD_VECS + d] = value[d]; }
}
