// Attention of a strip of queries as products in tiles of workgroup memory, the form for GPUs. Formulas as in split.wgsl; the scores
// of a strip are stored: w[plane, r, j] for query r of the strip and key j, cached keys first, then own ones from `own_from` on.
//
//   forward    s = scale q k'               out = exp(s - max) v / sum exp(s - max)
//   backward   w = exp(scale q k' - lse)    dv = w' dout              ds = scale w (dout v' - delta)      dq = ds k       dk = ds' q
//
// Layout    a plane is one head of one batch entry. Every operand is strided; strides and starts count f32 and divide by four.
// Mapping   attention_tile: a workgroup per tile of c, plane and slice of K, within it as lib/shared_tile.wgsl says; where K is sliced,
//           attention_slices adds the slices up. Tiles of s leave the largest score of each of their rows, those of out take the
//           exponentials of what they load and sum them up: no pass over s but these two.
// Numerics  f32, k ascending; slices and strips are added in ascending order: the same bits on every run.

#import index   // linear_group(group, groups)
#import strip   // KIND, ADDS, HAS_MASK
#import shared_tile  // Region, product(at, i), before(square, k, k1), tile_row(at, r, i), tile_column(at, p, i), row_of(i), column_of(i), ROWS, PARTS_N

struct Params {
  M : u32,
  N : u32,
  K : u32,
  k_slice : u32,      // terms per slice, a multiple of 16; at least K if there is one slice
  slices : u32,
  first_plane : u32,
  planes : u32,       // in this dispatch
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
  c_slice : u32,
  T : u32,            // rows of per_query in a plane
  first_query : u32,
  scale : f32,
  tiles : u32,        // of scores, side by side
  first_tile : u32,   // the first that this dispatch computes
  pitch : u32,        // rows of a tile in `tops`, a multiple of four
  first_slice : u32,  // OUTPUT: the first that this dispatch computes
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> a : array<vec4f>;             // [planes, M, K] by its strides
@group(0) @binding(2) var<storage, read> b : array<vec4f>;             // [planes, K, N] by its strides
@group(0) @binding(3) var<storage, read_write> c : array<vec4f>;       // [slices, planes, M, N] by its strides
@group(0) @binding(4) var<storage, read> per_query : array<f32>;       // [batch, heads, T]: lse or delta
@group(0) @binding(5) var<storage, read> mask_bias : array<f32>;       // [batch, N], 0 or a large negative number
@group(0) @binding(6) var<storage, read_write> tops : array<vec4f>;    // [planes, tiles, pitch / 4]: largest score of each row of a tile
@group(0) @binding(7) var<storage, read_write> totals : array<vec2f>;  // OUTPUT in slices: [slices, planes, M], largest score and sum of exponentials
@group(0) @binding(8) var<storage, read_write> lse : array<f32>;       // OUTPUT: [batch, heads, T]
@group(0) @binding(1) var<storage, read> parts : array<vec4f>;         // attention_slices: [slices, planes, M, N]

const OUTPUT : u32 = 5u;           // beside the kinds of lib/strip.wgsl: sum exp(a - top) b, over the sum of exponentials where not SLICED
const SLICED : bool = false;
const LOWEST = -3.4028234e38;

// OUTPUT: of each row of a, four in a vec4, the largest score and four sums of exponentials.
const QUADS : u32 = TILE_M / 4u;
var<workgroup> row_tops : array<vec4f, QUADS>;
var<workgroup> row_sums : array<array<vec4f, QUADS>, 4>;

fn a_run(at : u32) -> vec4f { return a[at / 4u]; }
fn b_run(at : u32) -> vec4f { return b[at / 4u]; }
fn a_ready(square : mat4x4f, e : u32, k : u32, k1 : u32) -> mat4x4f {
  if (KIND != OUTPUT) { return before(square, k, k1); }
  let top = row_tops[e / 4u];
  var sums = row_sums[e % 4u][e / 4u];
  var weights : mat4x4f;
  for (var i = 0u; i < SQUARE; i++) {
    weights[i] = select(vec4f(), exp(square[i] - top), k + i < k1);
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

// What KIND makes of the sums of row m and columns n .. n + 3, which belong at a multiple of four.
fn finished(plane : u32, at : u32, m : u32, n : u32, sum : vec4f) -> vec4f {
  var value = params.scale * sum;
  if (HAS_MASK && (KIND == SCORES || KIND == WEIGHTS)) { value += bias_run(plane / params.heads, n); }
  if (KIND == WEIGHTS || KIND == GRADIENTS) {
    let query = per_query[plane * params.T + params.first_query + m];
    if (KIND == WEIGHTS) { value = exp(value - query); }
    if (KIND == GRADIENTS) { value = c[at / 4u] * (value - params.scale * query); }
  }
  if (ADDS) { value += c[at / 4u]; }
  return value;
}
fn c_plane(plane : u32) -> u32 {
  return params.c_start + plane / params.heads * params.c_batch + plane % params.heads * params.c_head;
}

// Where rows m .. m + 3 of a tile stand in `tops`.
fn top_at(plane : u32, tile : u32, m : u32) -> u32 {
  return ((plane - params.first_plane) * params.tiles + tile) * (params.pitch / 4u) + m / 4u;
}

const AHEAD : u32 = 4u;            // loads on their way at once

// The largest scores of a tile's rows; no sums yet.
fn find_tops(plane : u32, m0 : u32, i : u32) {
  for (var e = i; e < QUADS; e += THREADS) {  // heads of 8 have fewer invocations than fours of rows
    let m = min(m0 + 4u * e, params.pitch - 4u);
    var top = vec4f(LOWEST);
    for (var tile = 0u; tile < params.tiles; tile += AHEAD) {
      var some : array<vec4f, AHEAD>;
      for (var k = 0u; k < AHEAD; k++) { some[k] = tops[top_at(plane, min(tile + k, params.tiles - 1u), m)]; }
      for (var k = 0u; k < AHEAD; k++) { top = max(top, some[k]); }
    }
    row_tops[e] = top;
    for (var d = 0u; d < 4u; d++) { row_sums[d][e] = vec4f(); }
  }
  workgroupBarrier();
}

// The largest score of each row of a tile: an invocation's own ones meet in workgroup memory.
fn keep_tops(plane : u32, at : Region, own : array<vec4f, PARTS_M>, i : u32) {
  for (var q = 0u; q < PARTS_M; q++) { a_tile[column_of(i)][q * WIDTH_M + row_of(i)] = own[q]; }
  workgroupBarrier();
  for (var e = i; e < QUADS && at.m0 + 4u * e < params.pitch; e += THREADS) {
    var top = a_tile[0][e];
    for (var x = 1u; x < WIDTH_N; x++) { top = max(top, a_tile[x][e]); }
    tops[top_at(plane, params.first_tile + at.n0 / TILE_N, at.m0 + 4u * e)] = top;
  }
}

// The logarithm of a row's sum, or what slices need for it.
fn keep_total(plane : u32, slice : u32, m : u32, top : f32, total : f32) {
  if (SLICED) { totals[((params.first_slice + slice) * params.planes + plane - params.first_plane) * params.M + m] = vec2f(top, total); }
  else { lse[plane * params.T + params.first_query + m] = top + log(total); }
}

@compute @workgroup_size(THREADS)
fn attention_tile(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                  @builtin(local_invocation_index) i : u32) {
  let tile = linear_group(group, groups);
  let across = params.groups_n * params.groups_m;
  let slice = tile / across / params.planes;
  if (slice >= params.slices) { return; }
  let plane = params.first_plane + tile / across % params.planes;
  let z = plane / params.heads;
  let head = plane % params.heads;
  let k0 = slice * params.k_slice;
  let at = Region(tile / params.groups_n % params.groups_m * TILE_M, tile % params.groups_n * TILE_N, params.M, params.N,
                  k0, min(k0 + params.k_slice, params.K),
                  params.a_start + z * params.a_batch + head * params.a_head, params.a_line,
                  params.b_start + z * params.b_batch + head * params.b_head, params.b_line);
  if (KIND == OUTPUT) { find_tops(plane, at.m0, i); }
  var sum = product(at, i);
  let c0 = c_plane(plane) + slice * params.c_slice;
  var peaks : array<vec4f, PARTS_M>;
  for (var r = 0u; r < ROWS; r++) {
    let m = tile_row(at, r, i);
    var factor = 1.0;
    if (KIND == OUTPUT) {
      let quad = r / 4u * WIDTH_M + row_of(i);
      let total = ((row_sums[0][quad] + row_sums[1][quad]) + (row_sums[2][quad] + row_sums[3][quad]))[r % 4u];
      if (!SLICED) { factor = 1.0 / total; }
      if (column_of(i) == 0u && at.n0 == 0u && m < params.M) { keep_total(plane, slice, m, row_tops[quad][r % 4u], total); }
    }
    var most = vec4f(LOWEST);
    for (var p = 0u; p < PARTS_N; p++) {
      let n = tile_column(at, p, i);
      let to = c0 + m * params.c_line + n;
      // Past the end the last row and column once more: no harm to the largest score.
      if (KIND == SCORES || (m < params.M && n < params.N)) {
        let value = finished(plane, to, m, n, factor * sum[r][p]);
        most = max(most, value);
        if (m < params.M && n < params.N) { c[to / 4u] = value; }
      }
    }
    let top = vec4f(max(max(most.x, most.y), max(most.z, most.w)));
    peaks[r / 4u] = select(peaks[r / 4u], top, vec4u(0u, 1u, 2u, 3u) == vec4u(r % 4u));
  }
  if (KIND == SCORES) { keep_tops(plane, at, peaks, i); }
}

@compute @workgroup_size(64)
fn attention_slices(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                    @builtin(local_invocation_index) i : u32) {
  let index = linear_group(group, groups) * 64u + i;
  let lanes = params.N / 4u;
  let all = params.planes * params.M * lanes;
  if (index >= all) { return; }
  var sum = parts[index];
  for (var s = 1u; s < params.slices; s++) { sum += parts[s * all + index]; }
  let n = index % lanes * 4u;
  let m = index / lanes % params.M;
  let plane = params.first_plane + index / lanes / params.M;
  if (KIND == OUTPUT) {
    let row = index / lanes;
    var total = 0.0;
    for (var s = 0u; s < params.slices; s++) { total += totals[s * params.planes * params.M + row].y; }
    if (n == 0u) { lse[plane * params.T + params.first_query + m] = totals[row].x + log(total); }
    sum *= 1.0 / total;
  }
  let at = c_plane(plane) + m * params.c_line + n;
  let value = finished(plane, at, m, n, sum);
  c[at / 4u] = value;
}
