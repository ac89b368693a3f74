// Attention of a strip of queries as products in tiles of workgroup memory, the form for GPUs. Formulas as in attention.wgsl; the scores
// of a strip are stored: w[plane, r, j] for query r of the strip and key j, cached keys first, then own ones from `own_from` on.
//
//   forward    s = scale q k'               w = exp(s - max)          out = w v / sum w
//   backward   w = exp(scale q k' - lse)    dv = w' dout              ds = scale w (dout v' - delta)      dq = ds k       dk = ds' q
//
// Layout    a plane is one head of one batch entry. Every operand is strided; strides and starts count f32 and divide by four.
// Mapping   attention_tile: a workgroup per tile of c, plane and slice of K, within it as lib/tile.wgsl says; where K is sliced,
//           attention_slices adds the slices up. attention_row_weights: a workgroup per query.
// Numerics  f32, k ascending; slices and strips are added in ascending order: the same bits on every run.

#import index   // linear_group(group, groups)
#import reduce  // WG, workgroup_max(value, i), workgroup_sum(value, i)
#import strip   // KIND, ADDS, HAS_MASK
#import tile    // Region, product(at, i), tile_row(at, r, i), tile_column(at, p, i), ROWS, PARTS_N

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
  cached_keys : u32,  // attention_row_weights: keys before the gap
  own_from : u32,     // where the own keys start
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> a : array<vec4f>;             // [planes, M, K] by its strides
@group(0) @binding(2) var<storage, read> b : array<vec4f>;             // [planes, K, N] by its strides
@group(0) @binding(3) var<storage, read_write> c : array<vec4f>;       // [slices, planes, M, N] by its strides
@group(0) @binding(4) var<storage, read> per_query : array<f32>;       // [batch, heads, T]: 1 / sum w, lse or delta
@group(0) @binding(5) var<storage, read> mask_bias : array<f32>;       // [batch, N], 0 or a large negative number
@group(0) @binding(1) var<storage, read> parts : array<vec4f>;         // attention_slices: [slices, planes, M, N]
@group(0) @binding(1) var<storage, read_write> weights : array<vec4f>; // attention_row_weights: c as above, [planes, M queries, N keys]
@group(0) @binding(2) var<storage, read_write> lse : array<f32>;       // attention_row_weights: [batch, heads, T]
@group(0) @binding(3) var<storage, read_write> inverse : array<f32>;   // attention_row_weights: [batch, heads, T], 1 / sum w

fn a_run(at : u32) -> vec4f { return a[at / 4u]; }
fn b_run(at : u32) -> vec4f { return b[at / 4u]; }

// Four neighbours of mask_bias; those past the end of N repeat the last one.
fn bias_run(z : u32, n : u32) -> vec4f {
  let end = params.N - 1u;
  let row = z * params.N;
  return vec4f(mask_bias[row + min(n, end)], mask_bias[row + min(n + 1u, end)],
               mask_bias[row + min(n + 2u, end)], mask_bias[row + min(n + 3u, end)]);
}

// Makes the sums of row m and columns n .. n + 3 what KIND says and stores them at a multiple of four.
fn store(plane : u32, at : u32, m : u32, n : u32, sum : vec4f) {
  var value = params.scale * sum;
  if (HAS_MASK && (KIND == SCORES || KIND == WEIGHTS)) { value += bias_run(plane / params.heads, n); }
  if (KIND == NORMALISED || KIND == WEIGHTS || KIND == GRADIENTS) {
    let query = per_query[plane * params.T + params.first_query + m];
    if (KIND == NORMALISED) { value *= query; }
    if (KIND == WEIGHTS) { value = exp(value - query); }
    if (KIND == GRADIENTS) { value = c[at / 4u] * (value - params.scale * query); }
  }
  if (ADDS) { value += c[at / 4u]; }
  c[at / 4u] = value;
}
fn c_plane(plane : u32) -> u32 {
  return params.c_start + plane / params.heads * params.c_batch + plane % params.heads * params.c_head;
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
  var sum = product(at, i);
  let c0 = c_plane(plane) + slice * params.c_slice;
  for (var r = 0u; r < ROWS; r++) {
    let m = tile_row(at, r, i);
    for (var p = 0u; p < PARTS_N; p++) {
      let n = tile_column(at, p, i);
      if (m < params.M && n < params.N) { store(plane, c0 + m * params.c_line + n, m, n, sum[r][p]); }
    }
  }
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
  store(plane, c_plane(plane) + m * params.c_line + n, m, n, sum);
}

const LOADS : u32 = 4u;            // of a row, by an invocation at once
const LOWEST = -3.4028234e38;

// The scores of a row's cells c, c + WG, ...; what is no key becomes the lowest number.
fn cells_of(row : u32, cell : u32) -> array<vec4f, LOADS> {
  var scores : array<vec4f, LOADS>;
  for (var k = 0u; k < LOADS; k++) {
    // Past the end its own first cell again: no other invocation writes that one.
    scores[k] = weights[row + select(cell, cell + k * WG, cell + k * WG < params.c_line / 4u)];
  }
  for (var k = 0u; k < LOADS; k++) {
    let j = 4u * (cell + k * WG) + vec4u(0u, 1u, 2u, 3u);
    let inside = (j < vec4u(params.cached_keys)) | ((j >= vec4u(params.own_from)) & (j < vec4u(params.N)));
    scores[k] = select(vec4f(LOWEST), scores[k], inside);
  }
  return scores;
}

// Scores become exp(score - largest score of the query); their sum goes into lse and inverse.
@compute @workgroup_size(WG)
fn attention_row_weights(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                         @builtin(local_invocation_index) i : u32) {
  let index = linear_group(group, groups);
  if (index >= params.planes * params.M) { return; }
  let plane = params.first_plane + index / params.M;
  let row = (c_plane(plane) + index % params.M * params.c_line) / 4u;
  let cells = params.c_line / 4u;
  var own = LOWEST;
  var total4 = vec4f();
  for (var cell = i; cell < cells; cell += LOADS * WG) {
    let scores = cells_of(row, cell);
    var next = vec4f(own);
    for (var k = 0u; k < LOADS; k++) { next = max(next, scores[k]); }
    let top = max(max(next.x, next.y), max(next.z, next.w));
    total4 *= exp(own - top);
    // LOWEST - LOWEST is 0: an invocation without any key must not count.
    for (var k = 0u; k < LOADS; k++) { total4 += select(vec4f(), exp(scores[k] - top), scores[k] > vec4f(LOWEST)); }
    own = top;
  }
  let highest = workgroup_max(own, i);
  let total = workgroup_sum(((total4.x + total4.y) + (total4.z + total4.w)) * exp(own - highest), i);
  for (var cell = i; cell < cells; cell += LOADS * WG) {
    let scores = cells_of(row, cell);
    for (var k = 0u; k < LOADS; k++) {
      if (cell + k * WG < cells) { weights[row + cell + k * WG] = exp(scores[k] - highest); }
    }
  }
  if (i == 0u) {
    let query = plane * params.T + params.first_query + index % params.M;
    lse[query] = highest + log(total);
    inverse[query] = 1.0 / total;
  }
}
