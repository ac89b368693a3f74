// Attention of a block of queries by matmuls in tiles of workgroup memory, for GPUs. The scores of
// a block are stored: w[plane, r, j] for query r of the block and key j, cached keys first, then the others
// from a multiple of four on.
//
//   forward    s = scale q k'               out = exp(s - row max) v / sum exp(s - row max)
//   backward   w = exp(scale q k' - lse)    dv = w' dout              ds = scale w (dout v' - delta)
//              dq = ds k                    dk = ds' q
//
// Blocks of queries and the recomputed weights: Dao et al. 2022, FlashAttention, arXiv:2205.14135.
//
// Layout    a plane is one head of one batch entry. Every operand is strided; strides and starts count f32
//           and divide by four.
// Mapping   attention_tile: a workgroup per tile of c, plane and split of K, within it as
//           lib/shared_tile.wgsl or, on matrix units, lib/matrix_tile.wgsl says; where K is split,
//           attention_merge_tiles adds the splits up. Tiles of s write the maximum of each of their rows, and
//           tiles of out exponentiate the scores as they load them and sum them: s is written once and read
//           once.
// Traffic   per block, scores are written and read once forward, and written once and read four times
//           backward.
// Numerics  f32, k ascending; splits and blocks are added in ascending order: the same bits on every run. A
//           query with a score that is NaN or infinite has NaN for all weights.
// Causal    scores of keys that no query of a tile sees are set, not computed, and not even set where no
//           query of LARGEST sees one of LARGEST keys; sums leave them out. A query without a key gets zeros.
// Grouped   A_GROUP or B_GROUP neighbouring heads read one head of keys; gradients of keys are sums over
//           MEMBERS heads.

#import index              // linear_group(group, groups)
#import attention_product  // KIND, ADDS, HAS_MASK
#import numerics           // LOWEST, is_nan, or_nan(result, operand), sum_or_nan(sum)
#import causal             // HIDES, first_seen, seen(z, query), first_query_of, end_query_of(z, key)
// Region, product(at, i), before(square, k, k1), tile_row(at, r, i), tile_column(at, p, i), row_of(i),
// column_of(i), keep_quad(x, quad, four), kept_quad(x, quad), THREAD_M, SQUARES_N
#import shared_tile or matrix_tile

struct Params {
  M : u32,
  N : u32,
  K : u32,
  k_split : u32,      // terms per split, a multiple of 16; at least K if there is one split
  splits : u32,
  first_plane : u32,
  planes : u32,       // in this dispatch: of c
  heads : u32,        // planes per batch entry
  groups_m : u32,     // workgroups along M
  groups_n : u32,     // workgroups along N
  a_start : u32,
  a_batch : u32,      // from one batch entry of a to the next, and so on
  a_head : u32,
  a_line : u32,
  b_start : u32,
  b_batch : u32,
  b_head : u32,
  b_line : u32,
  c_start : u32,
  c_batch : u32,
  c_head : u32,
  c_line : u32,
  c_split : u32,
  T : u32,            // rows of per_query in a plane
  first_query : u32,
  scale : f32,
  tiles : u32,        // of scores, side by side
  first_tile : u32,   // the first that this dispatch computes
  pitch : u32,        // rows of a tile in `tile_max` (row max within the tile), a multiple of four
  first_split : u32,  // OUTPUT: the first that this dispatch computes
  offset : i32,       // causal: position of the first query among the keys
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> a : array<vec4f>;               // [planes, M, K] by its strides
@group(0) @binding(2) var<storage, read> b : array<vec4f>;               // [planes, K, N] by its strides
@group(0) @binding(3) var<storage, read_write> c : array<vec4f>;         // [splits, planes, M, N], strided
@group(0) @binding(4) var<storage, read> per_query : array<f32>;         // [batch, heads, T]: lse or delta
@group(0) @binding(5) var<storage, read> mask_bias : array<f32>;         // [batch, N], 0 or very low
@group(0) @binding(6) var<storage, read_write> tile_max : array<vec4f>;  // [planes, tiles, pitch / 4]
@group(0) @binding(7) var<storage, read> offsets : array<i32>;  // [batch], see lib/causal.wgsl
// OUTPUT: [batch, heads, T]; with SPLIT pairs of max and sum: eight bindings at most
@group(0) @binding(8) var<storage, read_write> lse : array<f32>;  // or [splits, planes, M, 2]
@group(0) @binding(1) var<storage, read> split_sums : array<vec4f>;  // merge_tiles: [splits, planes, M, N]
@group(0) @binding(2) var<storage, read> max_sum : array<vec2f>;     // merge_tiles: [splits, planes, M]

// Specialisation.
const A_GROUP : u32 = 1u;    // neighbouring heads that share one of a, of b: keys or values
const B_GROUP : u32 = 1u;
const MEMBERS : u32 = 1u;    // neighbouring heads whose sum goes into one of c: gradients of keys or values
const SPLIT : bool = false;  // OUTPUT writes max and sum of each split, to be merged

// OUTPUT: of each row of a, four in a vec4, the largest score and four sums of exponentials.
const QUADS : u32 = TILE_M / 4u;
var<workgroup> row_maxima : array<vec4f, QUADS>;
var<workgroup> row_sums : array<array<vec4f, QUADS>, 4>;

fn a_run(at : u32) -> vec4f { return a[at / 4u]; }
fn b_run(at : u32) -> vec4f { return b[at / 4u]; }
// Operands of one component have none.
fn a_exponent(at : Region, m : u32) -> u32 { return 127u; }
fn b_exponent(at : Region, n : u32) -> u32 { return 127u; }
fn a_ready(square : mat4x4f, e : u32, k : u32, k1 : u32) -> mat4x4f {
  if (KIND != OUTPUT) { return before(square, k, k1); }
  let row_max = row_maxima[e / 4u];
  var sums = row_sums[e % 4u][e / 4u];
  var weights : mat4x4f;
  // unroll
  for (var i = 0u; i < SQUARE; i++) {
    weights[i] = select(vec4f(), exp(square[i] - row_max), k + i < k1);
    sums += weights[i];
  }
  row_sums[e % 4u][e / 4u] = sums;
  return weights;
}

// Four neighbours of mask_bias; those past the end of N repeat the last one.
fn bias_run(z : u32, n : u32) -> vec4f {
  let end = params.N - 1u;
  let row = z * params.N;
  return vec4f(mask_bias[row + min(n, end)], mask_bias[row + min(n + 1u, end)],
               mask_bias[row + min(n + 2u, end)], mask_bias[row + min(n + 3u, end)]);
}

// The result of KIND for the sums of row m and columns n .. n + 3; `at` is a multiple of four.
fn finished(plane : u32, at : u32, m : u32, n : u32, sum : vec4f) -> vec4f {
  var value = params.scale * sum;
  if (HAS_MASK && (KIND == SCORES || KIND == WEIGHTS)) { value += bias_run(plane / params.heads, n); }
  if (KIND == WEIGHTS || KIND == GRADIENTS) {
    let query = per_query[plane * params.T + params.first_query + m];
    if (KIND == WEIGHTS) { value = select(exp(value - query), vec4f(query), is_nan(query)); }
    if (KIND == GRADIENTS) { value = c[at / 4u] * (value - params.scale * query); }
  }
  if (HIDES == ELEMENTS) {
    let keys = seen_together(plane / params.heads, m, 1u);
    let here = vec4u(n, n + 1u, n + 2u, n + 3u);
    let hidden = (here < vec4u(keys.x)) | (here >= vec4u(keys.y));
    value = select(value, vec4f(select(0.0, LOWEST, KIND == SCORES)), hidden);
  }
  if (ADDS) { value += c[at / 4u]; }
  return value;
}
// The keys that some neighbouring queries of the block see: the first, and the first after them.
fn seen_together(z : u32, query : u32, count : u32) -> vec2u {
  let first = min(query, params.M - 1u);
  let last = min(query + count, params.M) - 1u;
  return vec2u(first_seen(z, params.first_query + first), seen(z, params.first_query + last));
}
fn c_plane(plane : u32) -> u32 {
  let head = plane % params.heads / MEMBERS;
  return params.c_start + plane / params.heads * params.c_batch + head * params.c_head;
}

// The index of rows m .. m + 3 of a tile in `tile_max`.
fn max_at(plane : u32, tile : u32, m : u32) -> u32 {
  return ((plane - params.first_plane) * params.tiles + tile) * (params.pitch / 4u) + m / 4u;
}

const IN_FLIGHT : u32 = 4u;        // loads of an invocation that do not wait for each other

// The largest scores of a tile's rows; no sums yet.
fn find_row_max(plane : u32, m0 : u32, i : u32) {
  for (var e = i; e < QUADS; e += WG) {  // heads of 8 have fewer invocations than QUADS
    let m = min(m0 + 4u * e, params.pitch - 4u);
    var row_max = vec4f(LOWEST);
    for (var tile = 0u; tile < params.tiles; tile += IN_FLIGHT) {
      var some : array<vec4f, IN_FLIGHT>;
      // unroll
      for (var k = 0u; k < IN_FLIGHT; k++) {
        some[k] = tile_max[max_at(plane, min(tile + k, params.tiles - 1u), m)];
      }
      // unroll
      for (var k = 0u; k < IN_FLIGHT; k++) { row_max = max(row_max, some[k]); }
    }
    row_maxima[e] = row_max;
    for (var d = 0u; d < 4u; d++) { row_sums[d][e] = vec4f(); }
  }
  workgroupBarrier();
}

// Tiles of 32, 64 or LARGEST rows and columns lie within squares of LARGEST, or a tile has all columns.
const LARGEST : u32 = 128u;

// The largest score of each row of a tile, by way of workgroup memory.
fn keep_row_max(plane : u32, at : Region, own : array<vec4f, SQUARES_M>, i : u32) {
  // unroll
  for (var q = 0u; q < SQUARES_M; q++) { keep_quad(column_of(i), q * WG_M + row_of(i), own[q]); }
  workgroupBarrier();
  for (var e = i; e < QUADS && at.m0 + 4u * e < params.pitch; e += WG) {
    var row_max = kept_quad(0u, e);
    for (var x = 1u; x < WG_N; x++) { row_max = max(row_max, kept_quad(x, e)); }
    tile_max[max_at(plane, params.first_tile + at.n0 / TILE_N, at.m0 + 4u * e)] = row_max;
  }
}

// Of a tile whose scores nothing reads.
fn keep_no_row_max(plane : u32, at : Region, i : u32) {
  for (var e = i; e < QUADS && at.m0 + 4u * e < params.pitch; e += WG) {
    tile_max[max_at(plane, params.first_tile + at.n0 / TILE_N, at.m0 + 4u * e)] = vec4f(LOWEST);
  }
}

// The logarithm of a row's sum, or what splits need for it.
fn keep_sum(plane : u32, split : u32, m : u32, row_max : f32, row_sum : f32) {
  if (SPLIT) {
    let row = ((params.first_split + split) * params.planes + plane - params.first_plane) * params.M + m;
    lse[2u * row] = row_max;
    lse[2u * row + 1u] = row_sum;
  } else {
    lse[plane * params.T + params.first_query + m] = or_nan(row_max + log(row_sum), row_sum);
  }
}

@compute @workgroup_size(WG)
fn attention_tile(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                  @builtin(local_invocation_index) i : u32) {
  let tile = linear_group(group, groups);
  let across = params.groups_n * params.groups_m;
  let split = tile / across / params.planes;
  if (split >= params.splits) { return; }
  let plane = params.first_plane + tile / across % params.planes * MEMBERS;
  let z = plane / params.heads;
  let head = plane % params.heads;
  let k0 = split * params.k_split;
  var at = Region(tile / params.groups_n % params.groups_m * TILE_M, tile % params.groups_n * TILE_N,
                  params.M, params.N, k0, min(k0 + params.k_split, params.K),
                  params.a_start + z * params.a_batch + head / A_GROUP * params.a_head, params.a_line,
                  params.b_start + z * params.b_batch + head / B_GROUP * params.b_head, params.b_line);
  if (HIDES == KEYS) {
    let keys = seen_together(z, at.m0, TILE_M);
    at.k0 = max(at.k0, keys.x / TILE_K * TILE_K);
    at.k1 = min(at.k1, keys.y);
  }
  if (HIDES == ELEMENTS) {
    let keys = seen_together(z, at.m0, TILE_M);
    if (at.n0 >= keys.y || at.n0 + TILE_N <= keys.x) {
      if (KIND == GRADIENTS) { return; }  // they are 0, as c is
      at.k1 = at.k0;
      let corner = vec2u(at.m0, at.n0) / LARGEST * LARGEST;
      let span = seen_together(z, corner.x, LARGEST);
      if (corner.y >= span.y || corner.y + LARGEST <= span.x) {
        if (KIND == SCORES) { keep_no_row_max(plane, at, i); }
        return;
      }
    }
  }
  if (HIDES == QUERIES) {
    let first = max(first_query_of(z, at.m0), params.first_query) - params.first_query;
    let end = end_query_of(z, min(at.m0 + TILE_M, params.M) - 1u);
    at.k1 = min(at.k1, max(end, params.first_query) - params.first_query);
    at.k0 = select(at.k1, max(at.k0, first / TILE_K * TILE_K), first < at.k1);
    if (ADDS && at.k0 >= at.k1) { return; }
  }
  if (KIND == OUTPUT) { find_row_max(plane, at.m0, i); }
  var sum : TileSums;
  for (var member = 0u; member < MEMBERS; member++) {
    let more = product(at, i);
    if (MEMBERS == 1u) { sum = more; }
    if (MEMBERS > 1u) {
      // unroll
      for (var r = 0u; r < THREAD_M; r++) {
        for (var p = 0u; p < SQUARES_N; p++) { sum[r][p] += more[r][p]; }
      }
    }
    at.a0 += params.a_head;
    at.b0 += params.b_head;
  }
  let c0 = c_plane(plane) + split * params.c_split;
  var maxima : array<vec4f, SQUARES_M>;
  // unroll
  for (var r = 0u; r < THREAD_M; r++) {
    let m = tile_row(at, r, i);
    var factor = 1.0;
    if (KIND == OUTPUT) {
      let quad = r / 4u * WG_M + row_of(i);
      let four = (row_sums[0][quad] + row_sums[1][quad]) + (row_sums[2][quad] + row_sums[3][quad]);
      var row_sum = four[r % 4u];
      if (!SPLIT) {
        row_sum = sum_or_nan(row_sum);
        factor = 1.0 / row_sum;
      }
      // Without a key: zeros, which count where no cached key does.
      if (HIDES == KEYS && seen_together(z, m, 1u).y == 0u) {
        row_sum = exp(LOWEST - row_maxima[quad][r % 4u]);
        factor = 0.0;
      }
      if (column_of(i) == 0u && at.n0 == 0u && m < params.M) {
        keep_sum(plane, split, m, row_maxima[quad][r % 4u], row_sum);
      }
    }
    var most = vec4f(LOWEST);
    for (var p = 0u; p < SQUARES_N; p++) {
      let n = tile_column(at, p, i);
      let to = c0 + m * params.c_line + n;
      // Past the end the last row and column repeat, which does not change the largest score.
      if (KIND == SCORES || (m < params.M && n < params.N)) {
        let value = finished(plane, to, m, n, factor * sum[r][p]);
        most = max(most, value);
        if (m < params.M && n < params.N) { c[to / 4u] = value; }
      }
    }
    let row_max = vec4f(max(max(most.x, most.y), max(most.z, most.w)));
    maxima[r / 4u] = select(maxima[r / 4u], row_max, vec4u(0u, 1u, 2u, 3u) == vec4u(r % 4u));
  }
  if (KIND == SCORES) { keep_row_max(plane, at, maxima, i); }
}

const MERGE_WG : u32 = 64u;  // invocations of a workgroup; they share nothing

@compute @workgroup_size(MERGE_WG)
fn attention_merge_tiles(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                         @builtin(local_invocation_index) i : u32) {
  let index = linear_group(group, groups) * MERGE_WG + i;
  let vecs = params.N / 4u;
  let all = params.planes * params.M * vecs;
  if (index >= all) { return; }
  var sum = split_sums[index];
  for (var s = 1u; s < params.splits; s++) { sum += split_sums[s * all + index]; }
  let n = index % vecs * 4u;
  let m = index / vecs % params.M;
  let plane = params.first_plane + index / vecs / params.M * MEMBERS;
  if (KIND == OUTPUT) {
    let row = index / vecs;
    var row_sum = 0.0;
    for (var s = 0u; s < params.splits; s++) { row_sum += max_sum[s * params.planes * params.M + row].y; }
    row_sum = sum_or_nan(row_sum);
    if (n == 0u) {
      lse[plane * params.T + params.first_query + m] = or_nan(max_sum[row].x + log(row_sum), row_sum);
    }
    sum *= 1.0 / row_sum;
  }
  let at = c_plane(plane) + m * params.c_line + n;
  let value = finished(plane, at, m, n, sum);
  c[at / 4u] = value;
}
