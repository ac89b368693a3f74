// Softmax attention of T queries over one split of the keys, in tiles of queries, where split.wgsl takes few:
// the same operands and results, for merge.wgsl.
//
// Online softmax: Milakov & Gimelshein 2018, arXiv:1805.02867. Tiles: Dao et al. 2022, "FlashAttention",
// arXiv:2205.14135.
//
// Mapping   a workgroup computes 64 queries of one head, over as many keys at a time as a head has elements.
//           An invocation has 8 queries x 4 keys of the scores, and 8 queries x 4 elements of the sums.
// Tiles     16 terms at a time, k-major: of queries and keys, then of weights and values.
// Traffic   reads each key and value once per tile, and a tile its queries once per K keys; writes K + 2
//           elements per query, head and split.
// Numerics  f32; the running maximum keeps every exponent at or below zero. Nothing of size T x M is stored.
//           Sums run over ascending keys, those of exponentials over the keys of an invocation first: the
//           same bits on every run.

#import index     // linear_group(group, groups)
#import numerics  // LOWEST
#import causal    // HIDES, first_seen(z, query), seen(z, query)

struct Params {
  T : u32,            // queries per batch entry
  keys : u32,         // keys per batch entry in the segment
  heads : u32,
  batch : u32,
  q_start : u32,      // vec4f before the first query; k_start, v_start too
  q_row : u32,        // vec4f from one query row to the next; so k_row and v_row
  q_batch : u32,      // vec4f from one batch entry of q to the next; 0 if all share one
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
@group(0) @binding(1) var<storage, read> q_rows : array<vec4f>;         // [batch or 1, T, q_row]
@group(0) @binding(2) var<storage, read> k_rows : array<vec4f>;         // [batch, keys or more, k_row]
@group(0) @binding(3) var<storage, read> v_rows : array<vec4f>;         // [batch, keys or more, v_row]
@group(0) @binding(4) var<storage, read> mask_bias : array<f32>;        // [batch, keys], 0 or MASKED
@group(0) @binding(5) var<storage, read_write> max_sum : array<vec2f>;  // [batch, all_splits, T, heads]
@group(0) @binding(6)
var<storage, read_write> values : array<vec4f>;  // [batch, all_splits, T, heads, HEAD_VECS]
@group(0) @binding(7) var<storage, read> offsets : array<i32>;  // [batch], see lib/causal.wgsl

// Specialisation.
const KV_GROUP : u32 = 1u;       // neighbouring heads that share keys and values
const HEAD_VECS : u32 = 8u;      // vec4f per head
const HAS_MASK : bool = false;
const SCORE_LOADS : u32 = 2u;    // squares of an invocation: (64 + 4 HEAD_VECS) / (8 HEAD_VECS), rounded up

const TILE_T : u32 = 64u;                 // queries of a workgroup, 8 of an invocation
const TILE_KEYS : u32 = 4u * HEAD_VECS;   // keys at a time, 4 of an invocation
const TILE_WG : u32 = TILE_T / 8u * HEAD_VECS;
const TERMS : u32 = 16u;                  // staged together
const QUADS : u32 = TERMS / 4u;
const SQUARES : u32 = TILE_T + QUADS * HEAD_VECS;  // of 4 x 4 elements, staged for scores
const VALUE_LOADS : u32 = TERMS / 8u;     // vec4f of values that an invocation stages
// Against bank conflicts, as in lib/shared_tile.wgsl.
const PITCH_T : u32 = ((TILE_T / 4u) | 1u) + 2u;
const PITCH_KEYS : u32 = (HEAD_VECS | 1u) + 2u;

alias Eight = array<vec4f, 8>;  // rows of 8 queries

var<workgroup> left : array<array<vec4f, PITCH_T>, TERMS>;      // [TERMS, TILE_T / 4]: queries, or weights
var<workgroup> right : array<array<vec4f, PITCH_KEYS>, TERMS>;  // [TERMS, HEAD_VECS]: keys, or values

/// Four queries from t on, as columns; of those there are none behind the last.
fn query_square(z : u32, head : u32, t : u32, d : u32) -> mat4x4f {
  var square : mat4x4f;
  for (var r = 0u; r < 4u; r++) {
    let at = params.q_start + z * params.q_batch + (t + r) * params.q_row + head * HEAD_VECS + d;
    if (t + r < params.T) { square[r] = q_rows[at]; }
  }
  return transpose(square);
}
/// Four keys from j on, before `end`.
fn key_square(z : u32, head : u32, j : u32, d : u32, end : u32) -> mat4x4f {
  var square : mat4x4f;
  for (var r = 0u; r < 4u; r++) {
    let at = params.k_start + z * params.k_batch + (j + r) * params.k_row + head / KV_GROUP * HEAD_VECS + d;
    if (j + r < end) { square[r] = k_rows[at]; }
  }
  return transpose(square);
}

/// Adds staged terms, four at a time.
fn add_terms(sum : ptr<function, Eight>, quads : u32, row : u32, column : u32) {
  for (var quad = 0u; quad < quads; quad++) {
    let skip = quad / 2u * 2u;
    for (var e = 0u; e < 4u; e++) {
      let b = right[quad * 4u + e][column + skip];
      for (var h = 0u; h < 2u; h++) {
        let a = left[quad * 4u + e][row * 2u + h + skip];
        for (var r = 0u; r < 4u; r++) { (*sum)[h * 4u + r] = fma(vec4f(a[r]), b, (*sum)[h * 4u + r]); }
      }
    }
  }
}

/// Which of four keys a query sees.
fn is_visible(z : u32, t : u32, j : vec4u, end : u32) -> vec4<bool> {
  if (HIDES != ELEMENTS) { return j < vec4u(end); }
  if (t >= params.T) { return vec4<bool>(); }
  return (j < vec4u(min(end, seen(z, t)))) & (j >= vec4u(first_seen(z, t)));
}

/// Scores of 8 queries and 4 keys from j on; call from uniform control flow.
fn tile_scores(z : u32, head : u32, t0 : u32, j0 : u32, end : u32, i : u32) -> Eight {
  var score : Eight;
  for (var d0 = 0u; d0 < HEAD_VECS; d0 += QUADS) {
    for (var n = 0u; n < SCORE_LOADS; n++) {
      let e = n * TILE_WG + i;
      let quad = e % QUADS;
      let skip = quad / 2u * 2u;
      if (d0 + quad < HEAD_VECS && e < TILE_T) {
        let square = query_square(z, head, t0 + e / QUADS * 4u, d0 + quad);
        for (var r = 0u; r < 4u; r++) { left[quad * 4u + r][e / QUADS + skip] = square[r]; }
      } else if (d0 + quad < HEAD_VECS && e < SQUARES) {
        let key = (e - TILE_T) / QUADS;
        let square = key_square(z, head, j0 + key * 4u, d0 + quad, end);
        for (var r = 0u; r < 4u; r++) { right[quad * 4u + r][key + skip] = square[r]; }
      }
    }
    workgroupBarrier();
    add_terms(&score, min(QUADS, HEAD_VECS - d0), i / HEAD_VECS, i % HEAD_VECS);
    workgroupBarrier();
  }
  return score;
}

/// Adds the values of a tile of keys, weighted; call from uniform control flow.
fn add_values(sum : ptr<function, Eight>, weight : ptr<function, Eight>, z : u32, head : u32, j0 : u32,
              end : u32, i : u32) {
  let row = i / HEAD_VECS;
  let column = i % HEAD_VECS;
  for (var c0 = 0u; c0 < HEAD_VECS; c0 += QUADS) {
    if (column >= c0 && column < c0 + QUADS) {
      let quad = column - c0;
      for (var h = 0u; h < 2u; h++) {
        let square = transpose(mat4x4f((*weight)[h * 4u], (*weight)[h * 4u + 1u], (*weight)[h * 4u + 2u],
                                       (*weight)[h * 4u + 3u]));
        for (var e = 0u; e < 4u; e++) {
          left[quad * 4u + e][row * 2u + h + quad / 2u * 2u] = square[e];
        }
      }
    }
    for (var n = 0u; n < VALUE_LOADS; n++) {
      let k = n * 8u + row;
      let j = j0 + c0 * 4u + k;
      let at = params.v_start + z * params.v_batch + j * params.v_row + head / KV_GROUP * HEAD_VECS + column;
      var value = vec4f();
      if (c0 * 4u + k < TILE_KEYS && j < end) { value = v_rows[at]; }
      right[k][column + k / 8u * 2u] = value;
    }
    workgroupBarrier();
    add_terms(sum, min(QUADS, HEAD_VECS - c0), row, column);
    workgroupBarrier();
  }
}

@compute @workgroup_size(TILE_WG)
fn attention_flash(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                        @builtin(local_invocation_index) i : u32) {
  let tiles = (params.T + TILE_T - 1u) / TILE_T;
  let at = linear_group(group, groups);  // ((z splits + n) heads + head) tiles + tile
  let t0 = at % tiles * TILE_T;
  let head = at / tiles % params.heads;
  let n = at / (tiles * params.heads) % params.splits;
  let z = at / (tiles * params.heads * params.splits);
  if (z >= params.batch) { return; }
  let row = i / HEAD_VECS;
  let column = i % HEAD_VECS;
  var end = min((n + 1u) * params.split_keys, params.keys);
  var first = n * params.split_keys;
  if (HIDES == ELEMENTS) {
    first = max(first, first_seen(z, t0));
    end = min(end, seen(z, min(t0 + TILE_T, params.T) - 1u));
  }
  var value : Eight;
  var most = array<vec4f, 2>(vec4f(LOWEST), vec4f(LOWEST));  // largest score so far
  var total : array<vec4f, 2>;                             // sum of exp(score - most), of its own keys
  for (var j0 = first; j0 < end; j0 += TILE_KEYS) {
    var weight = tile_scores(z, head, t0, j0, end, i);
    let j = vec4u(j0 + column * 4u) + vec4u(0u, 1u, 2u, 3u);
    var bias = vec4f();
    if (HAS_MASK) {
      for (var e = 0u; e < 4u; e++) { if (j[e] < end) { bias[e] = mask_bias[z * params.keys + j[e]]; } }
    }
    for (var h = 0u; h < 2u; h++) {
      var largest = vec4f();
      for (var r = 0u; r < 4u; r++) {
        let four = select(vec4f(LOWEST), fma(weight[h * 4u + r], vec4f(params.scale), bias),
                          is_visible(z, t0 + row * 8u + h * 4u + r, j, end));
        weight[h * 4u + r] = four;
        largest[r] = max(max(four.x, four.y), max(four.z, four.w));
      }
      right[row * 2u + h][column] = largest;
    }
    workgroupBarrier();
    for (var h = 0u; h < 2u; h++) {
      var largest = most[h];
      for (var c = 0u; c < HEAD_VECS; c++) { largest = max(largest, right[row * 2u + h][c]); }
      let keep = exp(most[h] - largest);
      most[h] = largest;
      var added : vec4f;
      for (var r = 0u; r < 4u; r++) {
        let is_seen = is_visible(z, t0 + row * 8u + h * 4u + r, j, end);
        let four = select(vec4f(), exp(weight[h * 4u + r] - vec4f(largest[r])), is_seen);
        weight[h * 4u + r] = four;
        value[h * 4u + r] = value[h * 4u + r] * keep[r];
        added[r] = dot(four, vec4f(1.0));
      }
      total[h] = fma(total[h], keep, added);
    }
    workgroupBarrier();
    add_values(&value, &weight, z, head, j0, end, i);
  }
  for (var h = 0u; h < 2u; h++) { right[row * 2u + h][column] = total[h]; }
  workgroupBarrier();
  for (var h = 0u; h < 2u; h++) {
    var sum = vec4f();
    for (var c = 0u; c < HEAD_VECS; c++) { sum += right[row * 2u + h][c]; }
    for (var r = 0u; r < 4u; r++) {
      let t = t0 + row * 8u + h * 4u + r;
      if (t < params.T) {
        let part = ((z * params.all_splits + params.first_split + n) * params.T + t) * params.heads + head;
        // Without a key: zeros.
        if (HIDES == ELEMENTS && seen(z, t) == 0u) { sum[r] = 1.0; }
        if (column == 0u) { max_sum[part] = vec2f(most[h][r], sum[r]); }
        values[part * HEAD_VECS + column] = value[h * 4u + r];
      }
    }
  }
}
