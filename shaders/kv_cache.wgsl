// Keys and values of new tokens go into a cache, in place, at a position that may be on the GPU; queries and
// keys are rotated by theirs on the way, as in rope.wgsl. kv_attend also attends, of one new
// token in each row.
//
//   p = position + t     q[t] = R(p) xq[t]     cache[p] = R(p) xk[t], xv[t]
//   s[j] = scale q . k[j], j = 0 .. p          out = sum_j exp(s[j] - max) v[j] / sum_j exp(s[j] - max)
//
// Online softmax: Milakov & Gimelshein 2018, arXiv:1805.02867. Splits: Dao et al. 2023, "Flash-Decoding for
// long-context inference".
//
// Layout    x [B, T, H + 2 G heads of K], queries, keys, then values; q [B, T, H K]; cache [B, length, 2GK],
//           a token's keys, then its values.
// Mapping   kv_append: an invocation rotates one pair of coordinates in every head of a token: one sine and
//           one cosine. kv_attend: a workgroup per head of queries; invocation i takes each WG-th key from i,
//           with the query and the sums in registers, and i = 0 the new token's. Their results meet in
//           workgroup memory, SHARE Vecs of a head at a time.
// Traffic   reads x once, writes each element once; kv_attend reads each key and value once per head of
//           queries. Rows of the cache past its end are not written.
// Numerics  f32; the running maximum keeps every exponent at or below zero. Invocations are added in order:
//           the same bits on every run. A score that is NaN or infinite makes the result NaN.

#import index     // linear_group(group, groups)
#import sine      // sine(angle, turns)
#import offset    // offset_of(z)
#import numerics  // LOWEST, sum_or_nan(sum)
#import dot_add   // dot_add(left, right, sum)

struct Params {
  rows : u32,     // B T
  T : u32,
  pairs : u32,    // K / 2
  heads : u32,    // H
  kv_heads : u32, // G
  length : u32,   // tokens that a row of the cache has room for
  offset : i32,
  steps : i32,    // advance: added to each position
  scale : f32,    // attend
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> x : array<f32>;               // [B, T, (H + 2 G) K]
@group(0) @binding(2) var<storage, read> frequencies : array<f32>;     // [pairs]
@group(0) @binding(3) var<storage, read> offsets : array<i32>;         // [1] or [B]
@group(0) @binding(4) var<storage, read_write> q : array<f32>;         // [B, T, H K]
@group(0) @binding(5) var<storage, read_write> cache : array<f32>;     // [B, length, 2 G K]
@group(0) @binding(1) var<storage, read_write> positions : array<i32>; // advance: [rows]

@group(0) @binding(4) var<storage, read_write> out : array<vec4f>;     // attend: [B, H, HEAD_VECS]
@group(0) @binding(5) var<storage, read_write> kept : array<vec4f>;    // attend: [B, length, 2 G HEAD_VECS]

// Specialisation, of kv_attend.
const HEAD_VECS : u32 = 4u;     // vec4f of a head
const SHARE : u32 = 4u;         // of these, how many meet at a time; at most WG; divides HEAD_VECS
const UNROLLED : bool = false;  // unroll the marked loops
const WG : u32 = 64u;           // invocations of a workgroup; those of the other kernels share nothing

@compute @workgroup_size(WG)
fn kv_append(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
             @builtin(local_invocation_index) i : u32) {
  let index = linear_group(group, groups) * WG + i;
  let row = index / params.pairs;
  let pair = index % params.pairs;
  if (row >= params.rows) { return; }
  let z = row / params.T;
  let position = offset_of(z) + i32(row % params.T);
  let angle = f32(position) * frequencies[pair];
  let c = sine(angle, 1u);
  let s = sine(angle, 0u);
  let size = 2u * params.pairs;
  let start = row * (params.heads + 2u * params.kv_heads) * size + pair;
  for (var head = 0u; head < params.heads; head++) {
    let a = x[start + head * size];
    let b = x[start + head * size + params.pairs];
    let to = (row * params.heads + head) * size + pair;
    q[to] = a * c - b * s;
    q[to + params.pairs] = b * c + a * s;
  }
  if (position < 0 || position >= i32(params.length)) { return; }
  let keys = start + params.heads * size;
  let values = keys + params.kv_heads * size;
  let first = (z * params.length + u32(position)) * 2u * params.kv_heads * size + pair;
  for (var head = 0u; head < params.kv_heads; head++) {
    let a = x[keys + head * size];
    let b = x[keys + head * size + params.pairs];
    let to = first + head * size;
    cache[to] = a * c - b * s;
    cache[to + params.pairs] = b * c + a * s;
    let value = to + params.kv_heads * size;
    cache[value] = x[values + head * size];
    cache[value + params.pairs] = x[values + head * size + params.pairs];
  }
}

@compute @workgroup_size(WG)
fn kv_advance(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
              @builtin(local_invocation_index) i : u32) {
  let index = linear_group(group, groups) * WG + i;
  if (index < params.rows) { positions[index] += params.steps; }
}

const HEAD : u32 = 4u * HEAD_VECS;
var<workgroup> query : array<f32, HEAD>;  // rotated
var<workgroup> key : array<f32, HEAD>;    // of the new token, rotated
var<workgroup> maxima : array<f32, WG>;
var<workgroup> sums : array<f32, WG>;
var<workgroup> parts : array<array<vec4f, SHARE>, WG>;

fn x_vec(e : u32) -> vec4f { return vec4f(x[e], x[e + 1u], x[e + 2u], x[e + 3u]); }
fn query_vec(d : u32) -> vec4f {
  return vec4f(query[4u * d], query[4u * d + 1u], query[4u * d + 2u], query[4u * d + 3u]);
}
fn key_vec(d : u32) -> vec4f {
  return vec4f(key[4u * d], key[4u * d + 1u], key[4u * d + 2u], key[4u * d + 3u]);
}

@compute @workgroup_size(WG)
fn kv_attend(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
             @builtin(local_invocation_index) i : u32) {
  let at = linear_group(group, groups);
  let head = at % params.heads;
  let z = at / params.heads;
  if (z >= params.rows) { return; }
  let sharing = params.heads / params.kv_heads;  // heads of queries per head of keys
  let kv_head = head / sharing;
  let position = offset_of(z);
  let has_room = position >= 0 && position < i32(params.length);
  let before = u32(clamp(position, 0, i32(params.length)));  // tokens in the cache
  let x_row = z * (params.heads + 2u * params.kv_heads) * HEAD;
  let x_key = x_row + (params.heads + kv_head) * HEAD;
  let x_value = x_key + params.kv_heads * HEAD;
  for (var pair = i; pair < HEAD / 2u; pair += WG) {
    let angle = f32(position) * frequencies[pair];
    let c = sine(angle, 1u);
    let s = sine(angle, 0u);
    let a = x[x_row + head * HEAD + pair];
    let b = x[x_row + head * HEAD + pair + HEAD / 2u];
    query[pair] = a * c - b * s;
    query[pair + HEAD / 2u] = b * c + a * s;
    let e = x[x_key + pair];
    let f = x[x_key + pair + HEAD / 2u];
    key[pair] = e * c - f * s;
    key[pair + HEAD / 2u] = f * c + e * s;
  }
  workgroupBarrier();

  let row = 2u * params.kv_heads * HEAD_VECS;  // of the cache
  let keys = z * params.length * row + kv_head * HEAD_VECS;
  let values = keys + params.kv_heads * HEAD_VECS;
  if (has_room && head % sharing == 0u) {
    for (var d = i; d < HEAD_VECS; d += WG) {
      kept[keys + before * row + d] = key_vec(d);
      kept[values + before * row + d] = x_vec(x_value + 4u * d);
    }
  }

  var rotated : array<vec4f, HEAD_VECS>;
  var value : array<vec4f, HEAD_VECS>;
  // unroll
  for (var d = 0u; d < HEAD_VECS; d++) {
    rotated[d] = query_vec(d);
    value[d] = vec4f();
  }
  var row_max = LOWEST;  // largest score so far
  var row_sum = 0.0;     // sum of exp(score - row_max)
  if (i == 0u && has_room) {
    var score = 0.0;
    // unroll
    for (var d = 0u; d < HEAD_VECS; d++) {
      score = dot_add(rotated[d], key_vec(d), score);
      value[d] = x_vec(x_value + 4u * d);
    }
    score *= params.scale;
    if (score > row_max) { row_max = score; }
    row_sum = exp(score - row_max);
  }
  for (var j = i; j < before; j += WG) {
    let k = keys + j * row;
    let v = values + j * row;
    var score = 0.0;
    // unroll
    for (var d = 0u; d < HEAD_VECS; d++) { score = dot_add(rotated[d], kept[k + d], score); }
    score *= params.scale;
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
    for (var d = 0u; d < HEAD_VECS; d++) { value[d] = fma(vec4f(p), kept[v + d], value[d]); }
  }

  maxima[i] = row_max;
  workgroupBarrier();
  var all_max = LOWEST;
  for (var n = 0u; n < WG; n++) { all_max = max(all_max, maxima[n]); }
  let keep = exp(row_max - all_max);
  sums[i] = row_sum * keep;
  workgroupBarrier();
  var all_sum = 0.0;
  for (var n = 0u; n < WG; n++) { all_sum += sums[n]; }
  let factor = 1.0 / sum_or_nan(all_sum);
  // unroll
  for (var first = 0u; first < HEAD_VECS; first += SHARE) {
    for (var d = 0u; d < SHARE; d++) { parts[i][d] = value[first + d] * keep; }
    workgroupBarrier();
    if (i < SHARE) {
      var total = vec4f();
      for (var n = 0u; n < WG; n++) { total += parts[n][i]; }
      out[at * HEAD_VECS + first + i] = total * factor;
    }
    workgroupBarrier();
  }
}
