// Softmax attention of T queries over two key/value segments, `cached` before `own`; O(N) memory. For few queries on CPUs, and for heads
// that strips on GPUs do not serve; gradients are those of attention_strips and attention_tiled.
//
//   s[t,j] = scale q[t] . k[j] + mask_bias[j]         p[t,j] = exp(s[t,j] - lse[t])         out[t] = sum_j p[t,j] v[j]
//   delta[t] = dout[t] . out[t]
//
// Milakov & Gimelshein 2018, arXiv:1805.02867 (online softmax).
//
// Layout    rows of q, cached and own are strided; a head's k and v stand side by side at k_col and v_col. Heads are contiguous.
// Mapping   a product of matrices per tile: a workgroup of SIDE invocations owns as many queries, which it keeps in workgroup memory,
//           and walks over tiles of KEYS keys. For scores an invocation holds all rows x KEYS / SIDE columns; for sums over the tile
//           all rows x LANES / SIDE lanes. The host fits KEYS into workgroup memory. On a CPU a workgroup is one SIMD register.
// Numerics  f32; the running maximum keeps every exponent at or below zero. Nothing of size T x M is stored. Sums run over
//           ascending columns: the same bits on every run.

#import index   // linear_group(group, groups)
#import reduce  // WG, workgroup_max(value, i)

struct Params {
  T : u32,            // queries per batch entry
  own_keys : u32,     // keys per batch entry in `own`
  cached_keys : u32,
  heads : u32,
  batch : u32,
  q_row : u32,        // lanes from one query row to the next
  q_batch : u32,      // lanes from one batch entry of q to the next; 0 if all share one
  kv_row : u32,       // lanes from one key row to the next
  k_col : u32,        // lanes before the keys and values in a row
  v_col : u32,
  scale : f32,
  lanes : u32,        // LANES and KEYS again, for loops that compilers must not unroll: a CPU driver takes minutes over
  keys : u32,         // straight-line code of this size
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> q_rows : array<Lane>;          // [batch or 1, T, q_row]
@group(0) @binding(2) var<storage, read> cached : array<Lane>;          // [batch, cached_keys, kv_row]
@group(0) @binding(3) var<storage, read> own : array<Lane>;             // [batch, own_keys, kv_row]
@group(0) @binding(4) var<storage, read> mask_bias : array<f32>;        // [batch, own_keys], 0 or MASKED
@group(0) @binding(5) var<storage, read_write> out : array<Lane>;       // attention: [batch, T, heads, LANES]
@group(0) @binding(6) var<storage, read_write> lse : array<f32>;        // attention: [batch, heads, T], log-sum-exp of s
@group(0) @binding(5) var<storage, read> dout : array<Lane>;            // delta: [batch, T, heads, LANES]
@group(0) @binding(1) var<storage, read> made : array<Lane>;            // delta: [batch, T, heads, LANES], out of the forward
@group(0) @binding(2) var<storage, read_write> delta : array<f32>;      // delta: [batch, heads, T]
@group(0) @binding(1) var<storage, read> key_mask : array<f32>;         // mask: [batch, own_keys], nonzero = attend
@group(0) @binding(2) var<storage, read_write> key_bias : array<f32>;   // mask: [batch, own_keys]

// Specialisation.
alias Lane = vec4f;                // or f32: where the head size is not divisible by 4, and on CPUs, for the sake of shorter code
const WIDE : bool = true;          // Lane is vec4f
const LANES : u32 = 8u;            // lanes per head
const KEYS : u32 = 16u;            // columns per tile
const OWN : u32 = 1u;              // lanes whose sums an invocation holds, SIDE apart: LANES / SIDE, rounded up
const HAS_MASK : bool = false;

const MASKED : f32 = -1e30;        // finite: WGSL may assume that there are no infinities
const SIDE : u32 = 8u;             // invocations, and as many rows: each finishes one row's softmax
const COLS : u32 = KEYS / SIDE;    // columns per invocation: i, i + SIDE, ...
const PITCH : u32 = LANES | 1u;    // of rows in workgroup memory: odd, so that they start in different banks
const WEIGHTS : u32 = KEYS + 1u;   // the same for rows of weights

alias Scores = array<array<f32, COLS>, SIDE>;
alias Sums = array<array<Lane, OWN>, SIDE>;

// Indexed twice, so that the bound of each index is checked where it is made, not at every access.
var<workgroup> near : array<array<Lane, PITCH>, SIDE>;  // rows of q
var<workgroup> tile : array<array<Lane, PITCH>, KEYS>;  // columns of the product
var<workgroup> weights : array<array<f32, WEIGHTS>, SIDE>;
var<workgroup> row_factors : array<f32, SIDE>;

// Where a workgroup stands: batch entry, head and the first of its rows.
struct Place {
  z : u32,
  head : u32,
  row0 : u32,
  inside : bool,  // false for a surplus workgroup
}
fn place(group : u32, rows : u32) -> Place {
  let blocks = (rows + SIDE - 1u) / SIDE;
  let plane = group / blocks;
  return Place(plane / params.heads, plane % params.heads, group % blocks * SIDE, plane < params.batch * params.heads);
}

fn q_index(here : Place, t : u32, lane : u32) -> u32 {
  return here.z * params.q_batch + min(t, params.T - 1u) * params.q_row + here.head * LANES + lane;
}
fn dout_index(here : Place, t : u32, lane : u32) -> u32 {
  return ((here.z * params.T + min(t, params.T - 1u)) * params.heads + here.head) * LANES + lane;
}

// Tiles of the cached keys come first, then those of the own keys: tile n covers `count` keys from `start` on.
struct KeyTile {
  in_cached : bool,
  start : u32,
  rows : u32,  // keys in the segment
}
fn tiles_of(keys : u32) -> u32 { return (keys + KEYS - 1u) / KEYS; }
fn key_tile(n : u32) -> KeyTile {
  let before = tiles_of(params.cached_keys);
  if (n < before) { return KeyTile(true, n * KEYS, params.cached_keys); }
  return KeyTile(false, (n - before) * KEYS, params.own_keys);
}
fn load_keys(at : KeyTile, z : u32, col : u32, i : u32) {
  let before = z * at.rows * params.kv_row + col;
  for (var e = i; e < params.keys * params.lanes; e += SIDE) {
    let index = before + min(at.start + e / LANES, at.rows - 1u) * params.kv_row + e % LANES;
    if (at.in_cached) { tile[e / LANES][e % LANES] = cached[index]; } else { tile[e / LANES][e % LANES] = own[index]; }
  }
}

// Scores: rows in workgroup memory times the columns of the tile.
fn fused(left : Lane, right : Lane, sum : f32) -> f32 {
  let l = vec4f(left);
  let r = vec4f(right);
  if (!WIDE) { return fma(l.x, r.x, sum); }
  return fma(l.w, r.w, fma(l.z, r.z, fma(l.y, r.y, fma(l.x, r.x, sum))));
}
fn rows_of_near(scores : ptr<function, Scores>, i : u32) {
  for (var r = 0u; r < SIDE; r++) {
    for (var c = 0u; c < COLS; c++) { (*scores)[r][c] = 0.0; }
  }
  for (var d = 0u; d < params.lanes; d++) {
    var right : array<Lane, COLS>;
    for (var c = 0u; c < COLS; c++) { right[c] = tile[c * SIDE + i][d]; }
    for (var r = 0u; r < SIDE; r++) {
      let left = near[r][d];
      for (var c = 0u; c < COLS; c++) { (*scores)[r][c] = fused(left, right[c], (*scores)[r][c]); }
    }
  }
}
fn store_weights(scores : ptr<function, Scores>, i : u32) {
  for (var r = 0u; r < SIDE; r++) {
    for (var c = 0u; c < COLS; c++) { weights[r][c * SIDE + i] = (*scores)[r][c]; }
  }
}
// sum[r] += sum_j weights[r,j] tile[j]
fn mix(sum : ptr<function, Sums>, i : u32) {
  for (var j = 0u; j < params.keys; j++) {
    var right : array<Lane, OWN>;
    for (var m = 0u; m < OWN; m++) { right[m] = tile[j][min(m * SIDE + i, LANES - 1u)]; }
    for (var r = 0u; r < SIDE; r++) {
      let left = Lane(weights[r][j]);
      for (var m = 0u; m < OWN; m++) { (*sum)[r][m] = fma(left, right[m], (*sum)[r][m]); }
    }
  }
}

fn bias_of(key : u32) -> f32 {
  if (HAS_MASK) { return mask_bias[key]; }
  return 0.0;
}

@compute @workgroup_size(SIDE)
fn attention(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
             @builtin(local_invocation_index) i : u32) {
  let here = place(linear_group(group, groups), params.T);
  if (!here.inside) { return; }
  let col = here.head * LANES;
  for (var e = i; e < SIDE * params.lanes; e += SIDE) {
    near[e / LANES][e % LANES] = q_rows[q_index(here, here.row0 + e / LANES, e % LANES)];
  }
  var s : Scores;
  var sum : Sums;
  var top = MASKED;   // of row i: largest score so far
  var norm = 0.0;     // of row i: sum of exp(s - top)
  let tiles = tiles_of(params.cached_keys) + tiles_of(params.own_keys);
  for (var n = 0u; n < tiles; n++) {
    let at = key_tile(n);
    load_keys(at, here.z, col + params.k_col, i);
    workgroupBarrier();
    rows_of_near(&s, i);
    for (var c = 0u; c < COLS; c++) {
      let j = at.start + c * SIDE + i;
      var bias = 0.0;
      if (HAS_MASK) { bias = bias_of(here.z * params.own_keys + min(j, params.own_keys - 1u)); }
      for (var r = 0u; r < SIDE; r++) { s[r][c] = select(MASKED, params.scale * s[r][c] + bias, j < at.rows); }
    }
    store_weights(&s, i);
    workgroupBarrier();
    load_keys(at, here.z, col + params.v_col, i);
    var highest = top;
    for (var j = 0u; j < params.keys; j++) { highest = max(highest, weights[i][j]); }
    let keep = exp(top - highest);
    norm *= keep;
    for (var j = 0u; j < params.keys; j++) {
      let p = select(0.0, exp(weights[i][j] - highest), at.start + j < at.rows);
      norm += p;
      weights[i][j] = p;
    }
    top = highest;
    row_factors[i] = keep;
    workgroupBarrier();
    for (var r = 0u; r < SIDE; r++) {
      for (var m = 0u; m < OWN; m++) { sum[r][m] *= row_factors[r]; }
    }
    mix(&sum, i);
    workgroupBarrier();
  }
  norm = max(norm, 1e-30);
  row_factors[i] = 1.0 / norm;
  workgroupBarrier();
  if (here.row0 + i < params.T) { lse[(here.z * params.heads + here.head) * params.T + here.row0 + i] = top + log(norm); }
  for (var r = 0u; r < SIDE; r++) {
    let t = here.row0 + r;
    for (var m = 0u; m < OWN; m++) {
      let lane = m * SIDE + i;
      if (t < params.T && lane < LANES) { out[dout_index(here, t, lane)] = row_factors[r] * sum[r][m]; }
    }
  }
}

@compute @workgroup_size(64)
fn attention_delta(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                   @builtin(local_invocation_index) i : u32) {
  let index = linear_group(group, groups) * 64u + i;  // (z T + t) heads + head
  if (index >= params.batch * params.T * params.heads) { return; }
  var sum = 0.0;
  for (var d = 0u; d < params.lanes; d++) { sum = fused(made[index * LANES + d], dout[index * LANES + d], sum); }
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
  for (var j = i; j < params.own_keys; j += WG) { largest_here = max(largest_here, abs(key_mask[z * params.own_keys + j])); }
  let largest = workgroup_max(largest_here, i);
  for (var j = i; j < params.own_keys; j += WG) {
    let attended = largest == 0.0 || key_mask[z * params.own_keys + j] != 0.0;
    key_bias[z * params.own_keys + j] = select(MASKED, 0.0, attended);
  }
}
