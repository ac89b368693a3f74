// Softmax attention of T queries over two key/value segments, `cached` before `own`, with its gradients; O(N) memory.
//
//   s[t,j] = scale q[t] . k[j] + mask_bias[j]         p[t,j] = exp(s[t,j] - lse[t])         out[t] = sum_j p[t,j] v[j]
//   delta[t] = dout[t] . out[t]         ds[t,j] = scale p[t,j] (dout[t] . v[j] - delta[t])
//   dq[t] = sum_j ds[t,j] k[j]          dk[j] = sum_t ds[t,j] q[t]          dv[j] = sum_t p[t,j] dout[t]
//
// Forward: Milakov & Gimelshein 2018, arXiv:1805.02867 (online softmax). Backward: Dao et al. 2022, arXiv:2205.14135.
//
// Layout    rows of q, cached and own are strided; a head's k and v stand side by side at k_col and v_col. Heads are contiguous.
// Mapping   a product of matrices per tile: a workgroup of SIDE x GROUPS invocations owns ROWS GROUPS rows (queries; keys in dkv) and
//           walks over tiles of KEYS columns (keys; queries in dkv). For scores an invocation holds ROWS rows x KEYS / SIDE columns,
//           for sums over the tile ROWS rows x LANES / SIDE lanes. The tile and the weights are in workgroup memory: at
//           most 8 KiB and 4 KiB. GROUPS is 1 on CPUs: a workgroup is then one SIMD register and a barrier costs little.
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
const LANES : u32 = 8u;            // lanes per head
const SHARE : f32 = 1.0;           // 1/4 where Lane is f32, see total
const GROUPS : u32 = 1u;           // blocks of ROWS rows per workgroup
const KEYS : u32 = 32u;            // columns per tile: KEYS LANES lanes must fit into 8 KiB
const HAS_MASK : bool = false;
const CLEARS_Q : bool = false;     // dkv also zeroes the q columns of its rows

const MASKED : f32 = -1e30;        // finite: WGSL may assume that there are no infinities
const SIDE : u32 = 8u;             // invocations that share ROWS rows: one SIMD register on a CPU
const ROWS : u32 = 8u;             // rows per invocation; SIDE of them, so that each invocation finishes one row's softmax
const PITCH : u32 = KEYS + 1u;     // of a row of weights: odd, so that rows start in different banks of workgroup memory
const COLS : u32 = KEYS / SIDE;    // columns per invocation: x, x + SIDE, ...
const OWN : u32 = (LANES + SIDE - 1u) / SIDE;  // lanes of a head per invocation: x, x + SIDE, ...
const THREADS : u32 = SIDE * GROUPS;

alias Scores = array<array<f32, COLS>, ROWS>;
alias Sums = array<array<Lane, OWN>, ROWS>;
alias Offsets = array<u32, ROWS>;  // lanes before each row

var<workgroup> tile : array<Lane, KEYS * LANES>;                // [KEYS, LANES] columns of the product
var<workgroup> weights : array<f32, GROUPS * ROWS * PITCH>;     // [rows, PITCH]
var<workgroup> row_factors : array<f32, GROUPS * ROWS>;         // [rows]

// Where a workgroup stands: batch entry, head and the first of its rows.
struct Place {
  z : u32,
  head : u32,
  row0 : u32,
  inside : bool,  // false for a surplus workgroup
}
fn place(group : u32, rows : u32) -> Place {
  let blocks = (rows + ROWS * GROUPS - 1u) / (ROWS * GROUPS);
  let plane = group / blocks;
  return Place(plane / params.heads, plane % params.heads, group % blocks * ROWS * GROUPS, plane < params.batch * params.heads);
}

// Lanes before the ROWS rows of group y; rows past the end repeat the last one and are not stored.
fn offsets(first_row : u32, rows : u32, before : u32, stride : u32) -> Offsets {
  var at : Offsets;
  for (var r = 0u; r < ROWS; r++) { at[r] = before + min(first_row + r, rows - 1u) * stride; }
  return at;
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
  for (var e = i; e < params.keys * params.lanes; e += THREADS) {
    let index = (z * at.rows + min(at.start + e / LANES, at.rows - 1u)) * params.kv_row + col + e % LANES;
    if (at.in_cached) {
      tile[e] = cached[index];
    } else {
      tile[e] = own[index];
    }
  }
}
fn load_queries(t0 : u32, here : Place, i : u32) {
  for (var e = i; e < params.keys * params.lanes; e += THREADS) {
    let t = min(t0 + e / LANES, params.T - 1u);
    tile[e] = q_rows[here.z * params.q_batch + t * params.q_row + here.head * LANES + e % LANES];
  }
}
fn load_dout(t0 : u32, here : Place, i : u32) {
  for (var e = i; e < params.keys * params.lanes; e += THREADS) {
    let t = min(t0 + e / LANES, params.T - 1u);
    tile[e] = dout[((here.z * params.T + t) * params.heads + here.head) * LANES + e % LANES];
  }
}

// Sum over the numbers of a lane; an f32 becomes four of its kind, each weighted a quarter, which is exact.
fn total(lane : Lane) -> f32 { return dot(vec4f(lane), vec4f(SHARE)); }
fn totals(s : array<array<Lane, COLS>, ROWS>) -> Scores {
  var sums : Scores;
  for (var r = 0u; r < ROWS; r++) {
    for (var c = 0u; c < COLS; c++) { sums[r][c] = total(s[r][c]); }
  }
  return sums;
}

// Scores: rows of a buffer times the columns of the tile. WGSL has no parameters for buffers, hence one function each.
fn rows_of_q(at : Offsets, x : u32) -> Scores {
  var s : array<array<Lane, COLS>, ROWS>;
  for (var d = 0u; d < params.lanes; d++) {
    var right : array<Lane, COLS>;
    for (var c = 0u; c < COLS; c++) { right[c] = tile[(c * SIDE + x) * LANES + d]; }
    for (var r = 0u; r < ROWS; r++) {
      let left = q_rows[at[r] + d];
      for (var c = 0u; c < COLS; c++) { s[r][c] = fma(left, right[c], s[r][c]); }
    }
  }
  return totals(s);
}
fn rows_of_dout(at : Offsets, x : u32) -> Scores {
  var s : array<array<Lane, COLS>, ROWS>;
  for (var d = 0u; d < params.lanes; d++) {
    var right : array<Lane, COLS>;
    for (var c = 0u; c < COLS; c++) { right[c] = tile[(c * SIDE + x) * LANES + d]; }
    for (var r = 0u; r < ROWS; r++) {
      let left = dout[at[r] + d];
      for (var c = 0u; c < COLS; c++) { s[r][c] = fma(left, right[c], s[r][c]); }
    }
  }
  return totals(s);
}
fn rows_of_own(at : Offsets, x : u32) -> Scores {
  var s : array<array<Lane, COLS>, ROWS>;
  for (var d = 0u; d < params.lanes; d++) {
    var right : array<Lane, COLS>;
    for (var c = 0u; c < COLS; c++) { right[c] = tile[(c * SIDE + x) * LANES + d]; }
    for (var r = 0u; r < ROWS; r++) {
      let left = own[at[r] + d];
      for (var c = 0u; c < COLS; c++) { s[r][c] = fma(left, right[c], s[r][c]); }
    }
  }
  return totals(s);
}

fn store_weights(s : Scores, y : u32, x : u32) {
  for (var r = 0u; r < ROWS; r++) {
    for (var c = 0u; c < COLS; c++) { weights[(y * ROWS + r) * PITCH + c * SIDE + x] = s[r][c]; }
  }
}

// sum[r] + sum_j weights[r,j] tile[j]
fn mix(before : Sums, y : u32, x : u32) -> Sums {
  var sum = before;
  for (var j = 0u; j < params.keys; j++) {
    var right : array<Lane, OWN>;
    for (var n = 0u; n < OWN; n++) { right[n] = tile[j * LANES + min(n * SIDE + x, LANES - 1u)]; }
    for (var r = 0u; r < ROWS; r++) {
      let left = Lane(weights[(y * ROWS + r) * PITCH + j]);
      for (var n = 0u; n < OWN; n++) { sum[r][n] = fma(left, right[n], sum[r][n]); }
    }
  }
  return sum;
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
  let q_at = offsets(here.row0 + y * ROWS, params.T, here.z * params.q_batch + col, params.q_row);
  var sum : Sums;
  var top = MASKED;   // of row i: largest score so far
  var norm = 0.0;     // of row i: sum of exp(s - top)
  let tiles = tiles_of(params.cached_keys) + tiles_of(params.own_keys);
  for (var n = 0u; n < tiles; n++) {
    let keys = key_tile(n);
    load_keys(keys, here.z, col + params.k_col, i);
    workgroupBarrier();
    var s = rows_of_q(q_at, x);
    for (var c = 0u; c < COLS; c++) {
      let j = keys.start + c * SIDE + x;
      var bias = 0.0;
      if (HAS_MASK) { bias = bias_of(here.z * params.own_keys + min(j, params.own_keys - 1u)); }
      for (var r = 0u; r < ROWS; r++) { s[r][c] = select(MASKED, params.scale * s[r][c] + bias, j < keys.rows); }
    }
    store_weights(s, y, x);
    workgroupBarrier();
    load_keys(keys, here.z, col + params.v_col, i);
    var highest = top;
    for (var j = 0u; j < params.keys; j++) { highest = max(highest, weights[i * PITCH + j]); }
    let keep = exp(top - highest);
    norm *= keep;
    for (var j = 0u; j < params.keys; j++) {
      let p = select(0.0, exp(weights[i * PITCH + j] - highest), keys.start + j < keys.rows);
      norm += p;
      weights[i * PITCH + j] = p;
    }
    top = highest;
    row_factors[i] = keep;
    workgroupBarrier();
    for (var r = 0u; r < ROWS; r++) {
      for (var m = 0u; m < OWN; m++) { sum[r][m] *= row_factors[y * ROWS + r]; }
    }
    sum = mix(sum, y, x);
    workgroupBarrier();
  }
  norm = max(norm, 1e-30);
  row_factors[i] = 1.0 / norm;
  workgroupBarrier();
  if (here.row0 + i < params.T) { lse[(here.z * params.heads + here.head) * params.T + here.row0 + i] = top + log(norm); }
  for (var r = 0u; r < ROWS; r++) {
    let t = here.row0 + y * ROWS + r;
    for (var m = 0u; m < OWN; m++) {
      let lane = m * SIDE + x;
      if (t < params.T && lane < LANES) {
        out[((here.z * params.T + t) * params.heads + here.head) * LANES + lane] = row_factors[y * ROWS + r] * sum[r][m];
      }
    }
  }
}

@compute @workgroup_size(64)
fn attention_delta(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                   @builtin(local_invocation_index) i : u32) {
  let index = linear_group(group, groups) * 64u + i;  // (z T + t) heads + head
  if (index >= params.batch * params.T * params.heads) { return; }
  var sum = Lane();
  for (var d = 0u; d < params.lanes; d++) { sum = fma(made[index * LANES + d], dout[index * LANES + d], sum); }
  let row = index / params.heads;
  delta[(row / params.T * params.heads + index % params.heads) * params.T + row % params.T] = total(sum);
}

@compute @workgroup_size(SIDE, GROUPS)
fn attention_dq(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                @builtin(local_invocation_id) local : vec3u, @builtin(local_invocation_index) i : u32) {
  let here = place(linear_group(group, groups), params.T);
  if (!here.inside) { return; }
  let x = local.x;
  let y = local.y;
  let col = here.head * LANES;
  let row = here.row0 + y * ROWS;
  let q_at = offsets(row, params.T, here.z * params.q_batch + col, params.q_row);
  let dout_at = offsets(row, params.T, here.z * params.T * params.heads * LANES + col, params.heads * LANES);
  let scalar_at = offsets(row, params.T, (here.z * params.heads + here.head) * params.T, 1u);
  var sum : Sums;
  let tiles = tiles_of(params.cached_keys) + tiles_of(params.own_keys);
  for (var n = 0u; n < tiles; n++) {
    let keys = key_tile(n);
    load_keys(keys, here.z, col + params.v_col, i);
    workgroupBarrier();
    var ds = rows_of_dout(dout_at, x);
    workgroupBarrier();
    load_keys(keys, here.z, col + params.k_col, i);
    workgroupBarrier();
    let s = rows_of_q(q_at, x);
    for (var c = 0u; c < COLS; c++) {
      let j = keys.start + c * SIDE + x;
      var bias = 0.0;
      if (HAS_MASK) { bias = bias_of(here.z * params.own_keys + min(j, params.own_keys - 1u)); }
      for (var r = 0u; r < ROWS; r++) {
        let p = exp(params.scale * s[r][c] + bias - row_lse[scalar_at[r]]);
        ds[r][c] = select(0.0, params.scale * p * (ds[r][c] - row_delta[scalar_at[r]]), j < keys.rows);
      }
    }
    store_weights(ds, y, x);
    workgroupBarrier();
    sum = mix(sum, y, x);
    workgroupBarrier();
  }
  for (var r = 0u; r < ROWS; r++) {
    for (var m = 0u; m < OWN; m++) {
      let lane = m * SIDE + x;
      if (row + r < params.T && lane < LANES) { dq[(here.z * params.T + row + r) * params.q_row + col + lane] = sum[r][m]; }
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
  let row = here.row0 + y * ROWS;
  let before = here.z * params.own_keys * params.kv_row + here.head * LANES;
  let k_at = offsets(row, params.own_keys, before + params.k_col, params.kv_row);
  let v_at = offsets(row, params.own_keys, before + params.v_col, params.kv_row);
  let bias_at = offsets(row, params.own_keys, here.z * params.own_keys, 1u);
  let plane = (here.z * params.heads + here.head) * params.T;
  var dk : Sums;
  var dv : Sums;
  for (var t0 = 0u; t0 < params.T; t0 += KEYS) {
    load_queries(t0, here, i);
    workgroupBarrier();
    var p = rows_of_own(k_at, x);
    for (var c = 0u; c < COLS; c++) {
      let t = t0 + c * SIDE + x;
      let shift = row_lse[plane + min(t, params.T - 1u)];
      for (var r = 0u; r < ROWS; r++) {
        p[r][c] = select(0.0, exp(params.scale * p[r][c] + bias_of(bias_at[r]) - shift), t < params.T);
      }
    }
    store_weights(p, y, x);
    workgroupBarrier();
    load_dout(t0, here, i);
    workgroupBarrier();
    dv = mix(dv, y, x);
    var ds = rows_of_own(v_at, x);
    for (var c = 0u; c < COLS; c++) {
      let row_dot = row_delta[plane + min(t0 + c * SIDE + x, params.T - 1u)];
      for (var r = 0u; r < ROWS; r++) { ds[r][c] = params.scale * p[r][c] * (ds[r][c] - row_dot); }
    }
    workgroupBarrier();
    store_weights(ds, y, x);
    load_queries(t0, here, i);
    workgroupBarrier();
    dk = mix(dk, y, x);
    workgroupBarrier();
  }
  for (var r = 0u; r < ROWS; r++) {
    for (var m = 0u; m < OWN; m++) {
      let lane = m * SIDE + x;
      if (row + r < params.own_keys && lane < LANES) {
        dkv[k_at[r] + lane] = dk[r][m];
        dkv[v_at[r] + lane] = dv[r][m];
        if (CLEARS_Q) { dkv[k_at[r] - params.k_col + lane] = Lane(); }
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
