// Softmax attention of T queries over two key/value segments, `cached` before `own`, with its gradients; O(N) memory.
//
//   s[t,j] = scale q[t] . k[j] + mask_bias[j]         p[t,j] = exp(s[t,j] - lse[t])         out[t] = sum_j p[t,j] v[j]
//   delta[t] = dout[t] . out[t]         ds[t,j] = scale p[t,j] (dout[t] . v[j] - delta[t])
//   dq[t] = sum_j ds[t,j] k[j]          dk[j] = sum_t ds[t,j] q[t]          dv[j] = sum_t p[t,j] dout[t]
//
// Forward: Milakov & Gimelshein 2018, arXiv:1805.02867 (online softmax). Backward: Dao et al. 2022, arXiv:2205.14135.
//
// Layout    rows of q, cached and own are strided; a head's k and v stand side by side at k_col and v_col. Heads are contiguous.
// Mapping   a product of matrices per tile: a workgroup of SIDE x GROUPS invocations owns as many rows (queries; keys in dkv), which
//           it keeps in workgroup memory, and walks over tiles of KEYS columns (keys; queries in dkv). For scores an invocation holds
//           ROWS rows, GROUPS apart, x KEYS / SIDE columns; for sums over the tile MIXED rows x LANES / MIXED lanes. The host fits
//           GROUPS and KEYS into workgroup memory. GROUPS is 1 on CPUs: a workgroup is then one SIMD register, a barrier cheap.
// Numerics  f32; the running maximum keeps every exponent at or below zero. Nothing of size T x M is stored: dq and dkv
//           compute p again from lse. Sums run over ascending columns: the same bits on every run.

#import index   // linear_group(group, groups)
#import reduce  // WG, workgroup_max(value, i)

struct Params {
  T : u32,            // queries per batch entry
  own_keys : u32,     // keys per batch entry in `own` (dkv: in the segment at hand)
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
@group(0) @binding(5) var<storage, read> dout : array<Lane>;            // dq, dkv: [batch, T, heads, LANES]
@group(0) @binding(6) var<storage, read> row_lse : array<f32>;          // dq, dkv: [batch, heads, T]
@group(0) @binding(7) var<storage, read> row_delta : array<f32>;        // dq, dkv: [batch, heads, T]
@group(0) @binding(8) var<storage, read_write> dq : array<Lane>;        // dq: [batch, T, q_row]
@group(0) @binding(8) var<storage, read_write> dkv : array<Lane>;       // dkv: [batch, own_keys, kv_row]
@group(0) @binding(1) var<storage, read> made : array<Lane>;            // delta: [batch, T, heads, LANES], out of the forward
@group(0) @binding(2) var<storage, read_write> delta : array<f32>;      // delta: [batch, heads, T]
@group(0) @binding(1) var<storage, read> key_mask : array<f32>;         // mask: [batch, own_keys], nonzero = attend
@group(0) @binding(2) var<storage, read_write> key_bias : array<f32>;   // mask: [batch, own_keys]

// Specialisation.
alias Lane = vec4f;                // or f32: where the head size is not divisible by 4, and on CPUs, for the sake of shorter code
const WIDE : bool = true;          // Lane is vec4f
const LANES : u32 = 8u;            // lanes per head
const GROUPS : u32 = 1u;           // a workgroup owns ROWS GROUPS rows
const KEYS : u32 = 16u;            // columns per tile
const MIXED : u32 = 8u;            // rows whose sums an invocation holds together with MIXED - 1 others
const OWN : u32 = 1u;              // lanes of these that are its own, MIXED apart: LANES / MIXED, rounded up
const LOADS : u32 = 1u;             // of a tile, by an invocation at once
const NEAR : u32 = 2u;              // kinds of rows that a workgroup keeps: 1 in attention, 2 in dq and dkv
const UNROLLED : bool = false;     // the host has written out the loops over constants
const HAS_MASK : bool = false;
const CLEARS_Q : bool = false;     // dkv also zeroes the q columns of its rows

const MASKED : f32 = -1e30;        // finite: WGSL may assume that there are no infinities
const SIDE : u32 = 8u;             // invocations that share ROWS rows: one SIMD register on a CPU
const ROWS : u32 = 8u;             // rows per invocation; SIDE of them, so that each invocation finishes one row's softmax
const COLS : u32 = KEYS / SIDE;    // columns per invocation: x, x + SIDE, ...
const THREADS : u32 = SIDE * GROUPS;  // as many as rows
const SECOND : u32 = NEAR - 1u;
const PITCH : u32 = LANES | 1u;    // of rows in workgroup memory: odd, so that they start in different banks
const WEIGHTS : u32 = KEYS + 1u;   // the same for rows of weights

alias Scores = array<array<f32, COLS>, ROWS>;
alias Sums = array<array<Lane, OWN>, MIXED>;

// Indexed twice, so that the bound of each index is checked where it is made, not at every access.
var<workgroup> near : array<array<array<Lane, PITCH>, THREADS>, NEAR>;  // rows of q, in dq of dout too; in dkv rows of k and v
var<workgroup> tile : array<array<Lane, PITCH>, KEYS>;                  // columns of the product
var<workgroup> weights : array<array<f32, WEIGHTS>, THREADS>;
var<workgroup> row_factors : array<f32, THREADS>;

// Where a workgroup stands: batch entry, head and the first of its rows.
struct Place {
  z : u32,
  head : u32,
  row0 : u32,
  inside : bool,  // false for a surplus workgroup
}
fn place(group : u32, rows : u32) -> Place {
  let blocks = (rows + THREADS - 1u) / THREADS;
  let plane = group / blocks;
  return Place(plane / params.heads, plane % params.heads, group % blocks * THREADS, plane < params.batch * params.heads);
}

// Row r of an invocation's scores, in the workgroup and among all; rows past the end repeat the last one and are not stored.
fn row_of(r : u32, y : u32) -> u32 { return r * GROUPS + y; }
fn row_at(here : Place, r : u32, y : u32, rows : u32) -> u32 { return min(here.row0 + row_of(r, y), rows - 1u); }
fn q_index(here : Place, t : u32, lane : u32) -> u32 {
  return here.z * params.q_batch + min(t, params.T - 1u) * params.q_row + here.head * LANES + lane;
}
fn dout_index(here : Place, t : u32, lane : u32) -> u32 {
  return ((here.z * params.T + min(t, params.T - 1u)) * params.heads + here.head) * LANES + lane;
}
fn own_index(here : Place, key : u32, lane : u32) -> u32 {
  return (here.z * params.own_keys + min(key, params.own_keys - 1u)) * params.kv_row + here.head * LANES + lane;
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
// A tile's loads: LOADS of an invocation at once, all on their way before the first is stored; on CPUs one.
fn load_keys(at : KeyTile, z : u32, col : u32, i : u32) {
  let before = z * at.rows * params.kv_row + col;
  for (var e0 = i; e0 < params.keys * params.lanes; e0 += THREADS * LOADS) {
    var held : array<Lane, LOADS>;
    if (at.in_cached) {
      for (var n = 0u; n < LOADS; n++) {
        let e = e0 + n * THREADS;
        held[n] = cached[before + min(at.start + e / LANES, at.rows - 1u) * params.kv_row + e % LANES];
      }
    } else {
      for (var n = 0u; n < LOADS; n++) {
        let e = e0 + n * THREADS;
        held[n] = own[before + min(at.start + e / LANES, at.rows - 1u) * params.kv_row + e % LANES];
      }
    }
    for (var n = 0u; n < LOADS; n++) { store_column(e0 + n * THREADS, held[n]); }
  }
}
fn load_rows(t0 : u32, of_dout : bool, here : Place, i : u32) {
  for (var e0 = i; e0 < params.keys * params.lanes; e0 += THREADS * LOADS) {
    var held : array<Lane, LOADS>;
    for (var n = 0u; n < LOADS; n++) {
      let e = e0 + n * THREADS;
      if (of_dout) {
        held[n] = dout[dout_index(here, t0 + e / LANES, e % LANES)];
      } else {
        held[n] = q_rows[q_index(here, t0 + e / LANES, e % LANES)];
      }
    }
    for (var n = 0u; n < LOADS; n++) { store_column(e0 + n * THREADS, held[n]); }
  }
}
fn store_column(e : u32, lane : Lane) {
  if (e < KEYS * LANES) { tile[e / LANES][e % LANES] = lane; }
}

// Scores: rows in workgroup memory times the columns of the tile.
fn fused(left : Lane, right : Lane, sum : f32) -> f32 {
  let l = vec4f(left);
  let r = vec4f(right);
  if (!WIDE) { return fma(l.x, r.x, sum); }
  return fma(l.w, r.w, fma(l.z, r.z, fma(l.y, r.y, fma(l.x, r.x, sum))));
}
fn rows_of_near(which : u32, scores : ptr<function, Scores>, y : u32, x : u32) {
  for (var r = 0u; r < ROWS; r++) {
    for (var c = 0u; c < COLS; c++) { (*scores)[r][c] = 0.0; }
  }
  for (var d = 0u; d < params.lanes; d++) {
    var right : array<Lane, COLS>;
    for (var c = 0u; c < COLS; c++) { right[c] = tile[c * SIDE + x][d]; }
    for (var r = 0u; r < ROWS; r++) {
      let left = near[which][row_of(r, y)][d];
      for (var c = 0u; c < COLS; c++) { (*scores)[r][c] = fused(left, right[c], (*scores)[r][c]); }
    }
  }
}
fn store_weights(scores : ptr<function, Scores>, y : u32, x : u32) {
  for (var r = 0u; r < ROWS; r++) {
    for (var c = 0u; c < COLS; c++) { weights[row_of(r, y)][c * SIDE + x] = (*scores)[r][c]; }
  }
}
// Row r and lane m of an invocation's sums.
fn mixed_row(r : u32, i : u32) -> u32 { return i / MIXED * MIXED + r; }
fn mixed_lane(m : u32, i : u32) -> u32 { return m * MIXED + i % MIXED; }
// sum[r] += sum_j weights[r,j] tile[j]
fn mix(sum : ptr<function, Sums>, i : u32) {
  for (var j = 0u; j < params.keys; j++) {
    var right : array<Lane, OWN>;
    for (var m = 0u; m < OWN; m++) { right[m] = tile[j][min(mixed_lane(m, i), LANES - 1u)]; }
    for (var r = 0u; r < MIXED; r++) {
      let left = Lane(weights[mixed_row(r, i)][j]);
      for (var m = 0u; m < OWN; m++) { (*sum)[r][m] = fma(left, right[m], (*sum)[r][m]); }
    }
  }
}

fn bias_of(key : u32) -> f32 {
  if (HAS_MASK) { return mask_bias[key]; }
  return 0.0;
}

@compute @workgroup_size(SIDE, GROUPS)
fn attention(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
             @builtin(local_invocation_id) local : vec3u, @builtin(local_invocation_index) i : u32) {
  let here = place(linear_group(group, groups), params.T);
  if (!here.inside) { return; }
  let x = local.x;
  let y = local.y;
  let col = here.head * LANES;
  for (var e = i; e < THREADS * params.lanes; e += THREADS) {
    near[0][e / LANES][e % LANES] = q_rows[q_index(here, here.row0 + e / LANES, e % LANES)];
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
    rows_of_near(0u, &s, y, x);
    for (var c = 0u; c < COLS; c++) {
      let j = at.start + c * SIDE + x;
      var bias = 0.0;
      if (HAS_MASK) { bias = bias_of(here.z * params.own_keys + min(j, params.own_keys - 1u)); }
      for (var r = 0u; r < ROWS; r++) { s[r][c] = select(MASKED, params.scale * s[r][c] + bias, j < at.rows); }
    }
    store_weights(&s, y, x);
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
    for (var r = 0u; r < MIXED; r++) {
      for (var m = 0u; m < OWN; m++) { sum[r][m] *= row_factors[mixed_row(r, i)]; }
    }
    mix(&sum, i);
    workgroupBarrier();
  }
  norm = max(norm, 1e-30);
  row_factors[i] = 1.0 / norm;
  workgroupBarrier();
  if (here.row0 + i < params.T) { lse[(here.z * params.heads + here.head) * params.T + here.row0 + i] = top + log(norm); }
  for (var r = 0u; r < MIXED; r++) {
    let t = here.row0 + mixed_row(r, i);
    for (var m = 0u; m < OWN; m++) {
      let lane = mixed_lane(m, i);
      if (t < params.T && lane < LANES) { out[dout_index(here, t, lane)] = row_factors[mixed_row(r, i)] * sum[r][m]; }
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

@compute @workgroup_size(SIDE, GROUPS)
fn attention_dq(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                @builtin(local_invocation_id) local : vec3u, @builtin(local_invocation_index) i : u32) {
  let here = place(linear_group(group, groups), params.T);
  if (!here.inside) { return; }
  let x = local.x;
  let y = local.y;
  let col = here.head * LANES;
  for (var e = i; e < THREADS * params.lanes; e += THREADS) {
    let row = here.row0 + e / LANES;
    near[0][e / LANES][e % LANES] = q_rows[q_index(here, row, e % LANES)];
    near[SECOND][e / LANES][e % LANES] = dout[dout_index(here, row, e % LANES)];
  }
  let plane = (here.z * params.heads + here.head) * params.T;
  var s : Scores;
  var ds : Scores;
  var sum : Sums;
  let tiles = tiles_of(params.cached_keys) + tiles_of(params.own_keys);
  for (var n = 0u; n < tiles; n++) {
    let at = key_tile(n);
    load_keys(at, here.z, col + params.v_col, i);
    workgroupBarrier();
    rows_of_near(SECOND, &ds, y, x);
    workgroupBarrier();
    load_keys(at, here.z, col + params.k_col, i);
    workgroupBarrier();
    rows_of_near(0u, &s, y, x);
    for (var c = 0u; c < COLS; c++) {
      let j = at.start + c * SIDE + x;
      var bias = 0.0;
      if (HAS_MASK) { bias = bias_of(here.z * params.own_keys + min(j, params.own_keys - 1u)); }
      for (var r = 0u; r < ROWS; r++) {
        let t = plane + row_at(here, r, y, params.T);
        let p = exp(params.scale * s[r][c] + bias - row_lse[t]);
        ds[r][c] = select(0.0, params.scale * p * (ds[r][c] - row_delta[t]), j < at.rows);
      }
    }
    store_weights(&ds, y, x);
    workgroupBarrier();
    mix(&sum, i);
    workgroupBarrier();
  }
  for (var r = 0u; r < MIXED; r++) {
    let t = here.row0 + mixed_row(r, i);
    for (var m = 0u; m < OWN; m++) {
      let lane = mixed_lane(m, i);
      if (t < params.T && lane < LANES) { dq[(here.z * params.T + t) * params.q_row + col + lane] = sum[r][m]; }
    }
  }
}

@compute @workgroup_size(SIDE, GROUPS)
fn attention_dkv(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                 @builtin(local_invocation_id) local : vec3u, @builtin(local_invocation_index) i : u32) {
  let here = place(linear_group(group, groups), params.own_keys);
  if (!here.inside) { return; }
  let x = local.x;
  let y = local.y;
  for (var e = i; e < THREADS * params.lanes; e += THREADS) {
    let index = own_index(here, here.row0 + e / LANES, e % LANES);
    near[0][e / LANES][e % LANES] = own[index + params.k_col];
    near[SECOND][e / LANES][e % LANES] = own[index + params.v_col];
  }
  let plane = (here.z * params.heads + here.head) * params.T;
  var p : Scores;
  var ds : Scores;
  var dk : Sums;
  var dv : Sums;
  for (var t0 = 0u; t0 < params.T; t0 += KEYS) {
    load_rows(t0, false, here, i);
    workgroupBarrier();
    rows_of_near(0u, &p, y, x);
    for (var c = 0u; c < COLS; c++) {
      let t = t0 + c * SIDE + x;
      let shift = row_lse[plane + min(t, params.T - 1u)];
      for (var r = 0u; r < ROWS; r++) {
        let bias = bias_of(here.z * params.own_keys + row_at(here, r, y, params.own_keys));
        p[r][c] = select(0.0, exp(params.scale * p[r][c] + bias - shift), t < params.T);
      }
    }
    store_weights(&p, y, x);
    workgroupBarrier();
    load_rows(t0, true, here, i);
    workgroupBarrier();
    mix(&dv, i);
    rows_of_near(SECOND, &ds, y, x);
    for (var c = 0u; c < COLS; c++) {
      let row_dot = row_delta[plane + min(t0 + c * SIDE + x, params.T - 1u)];
      for (var r = 0u; r < ROWS; r++) { ds[r][c] = params.scale * p[r][c] * (ds[r][c] - row_dot); }
    }
    workgroupBarrier();
    store_weights(&ds, y, x);
    load_rows(t0, false, here, i);
    workgroupBarrier();
    mix(&dk, i);
    workgroupBarrier();
  }
  for (var r = 0u; r < MIXED; r++) {
    let row = here.row0 + mixed_row(r, i);
    for (var m = 0u; m < OWN; m++) {
      let lane = mixed_lane(m, i);
      if (row < params.own_keys && lane < LANES) {
        let index = own_index(here, row, lane);
        dkv[index + params.k_col] = dk[r][m];
        dkv[index + params.v_col] = dv[r][m];
        if (CLEARS_Q) { dkv[index] = Lane(); }
      }
    }
  }
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
