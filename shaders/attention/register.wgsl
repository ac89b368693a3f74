// Attention of a block of queries by matmuls in registers, for adapters that run on a CPU: no barrier, no
// workgroup memory. The scores of a block are stored, transposed: w[plane, j, r] for key j and
// query r of the block.
//
//   forward    s = scale k q'               w = exp(s - row max)      out = (w' v) / sum w
//   backward   w = exp(scale k q' - lse)    dv = w dout               ds = scale w (v dout' - delta)
//              dq = ds' k                   dk = ds q
//
// Blocks of queries and the recomputed weights: Dao et al. 2022, FlashAttention, arXiv:2205.14135.
//
// Layout    a plane is one head of one batch entry. Every operand is strided; strides and starts count f32.
//           Queries are transposed, [plane, d, r].
// Mapping   attention_product: c[m,n] = sum_k a[m,k] b[k,n], within a workgroup as lib/register_tile.wgsl.
//           attention_weights: an invocation takes one query. attention_transpose: RUN elements of one row.
// Traffic   per block, scores are written and read once forward, and written once and read four times
//           backward.
// Numerics  f32, one fma per term, k ascending; blocks in ascending order add to dk and dv: the same bits on
//           every run. A query with a score that is NaN or infinite has NaN for all weights.
// Causal    scores of keys that no query of a tile sees are not computed, nor are sums over them, nor are
//           they written where no `together` queries see one. A query without a key gets zeros.
// Grouped   A_GROUP neighbouring heads read one head of keys; gradients of keys are sums over MEMBERS heads.

alias Vec = vec4f;     // or f32
const VEC : u32 = 4u;  // elements of a Vec

#import index              // linear_group(group, groups)
#import attention_product  // KIND, ADDS, HAS_MASK
#import numerics           // LOWEST, or_nan(result, operand), sum_or_nan(sum)
#import causal             // HIDES, first_seen, seen(z, query), first_query_of, end_query_of(z, key)
#import register_tile      // RegisterRegion, register_product(at, terms, i), AVec, THREAD_M, THREAD_N, WG

struct Params {
  M : u32,
  N : u32,          // columns of c, not Vecs
  K : u32,
  first_plane : u32,
  planes : u32,     // in this dispatch: of c
  heads : u32,      // planes per batch entry
  groups_m : u32,   // workgroups along M
  groups_n : u32,   // workgroups along N
  a_start : u32,
  a_batch : u32,    // from one batch entry of a to the next, and so on
  a_head : u32,
  a_row : u32,      // along m
  a_step : u32,     // along k
  b_start : u32,    // in Vecs, as all strides of b
  b_batch : u32,
  b_head : u32,
  b_step : u32,     // along k; along n it is 1
  c_start : u32,
  c_batch : u32,
  c_head : u32,
  c_row : u32,      // along m
  c_col : u32,      // along n
  T : u32,          // rows of per_query in a plane
  first_query : u32,
  scale : f32,
  offset : i32,     // causal: position of the first query among the keys
  before : u32,     // causal, weights: keys of segments before, which all queries see
  together : u32,   // causal: queries whose weights the other kernels read together, and which are written
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> a : array<f32>;               // [planes, M, K] by its strides
@group(0) @binding(2) var<storage, read> b : array<Vec>;               // [planes, K, N] by its strides
@group(0) @binding(3) var<storage, read_write> c : array<f32>;         // [planes, M, N] by its strides
@group(0) @binding(4) var<storage, read> per_query : array<f32>;       // [batch, heads, T], see KIND
@group(0) @binding(5) var<storage, read> mask_bias : array<f32>;       // [batch, M], 0 or very low
@group(0) @binding(6) var<storage, read> offsets : array<i32>;  // [batch], see lib/causal.wgsl
@group(0) @binding(1) var<storage, read> source : array<f32>;          // transpose: [M, K] as a
@group(0) @binding(2) var<storage, read_write> transposed : array<f32>;  // transpose: [K, M] as c
@group(0) @binding(1) var<storage, read_write> weights : array<f32>;   // weights: [M, N] as a
@group(0) @binding(2) var<storage, read_write> lse : array<f32>;       // weights: [batch, heads, T]
@group(0) @binding(3) var<storage, read_write> inverse_sum : array<f32>;  // weights: [batch, heads, T]

// Specialisation.
const A_GROUP : u32 = 1u;  // neighbouring heads that share one of a: keys or values
const MEMBERS : u32 = 1u;  // neighbouring heads whose sum goes into one of c: gradients of keys or values

// The keys that some neighbouring queries of the block see: the first, and the first after them.
fn seen_together(z : u32, query : u32, count : u32) -> vec2u {
  let first = min(query, params.N - 1u);
  let last = min(query + count, params.N) - 1u;
  return vec2u(first_seen(z, params.first_query + first), seen(z, params.first_query + last));
}

fn a_at(at : u32) -> AVec { return a[at]; }
fn b_at(at : u32) -> Vec { return b[at]; }

@compute @workgroup_size(WG)
fn attention_product(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                     @builtin(local_invocation_id) local : vec3u) {
  let tile = linear_group(group, groups);
  let m0 = tile % params.groups_m * THREAD_M;
  let n0 = tile / params.groups_m % params.groups_n * WG * THREAD_N + local.x * THREAD_N;
  let here = tile / (params.groups_m * params.groups_n);
  if (here >= params.planes) { return; }
  let plane = params.first_plane + here * MEMBERS;
  let z = plane / params.heads;
  let head = plane % params.heads;

  var skipped = 0u;
  var terms = params.K;
  if (HIDES == KEYS || HIDES == ELEMENTS) {
    let columns = WG * THREAD_N * VEC;
    let n = tile / params.groups_m % params.groups_n * columns;
    let keys = seen_together(z, n, columns);  // that a query of the workgroup sees
    if (HIDES == KEYS) {
      terms = min(terms, keys.y);
      skipped = min(keys.x, terms);
    }
    if (HIDES == ELEMENTS && (m0 >= keys.y || m0 + THREAD_M <= keys.x)) {
      // The next kernel does not read hidden scores; hidden gradients are 0, as c is.
      if (KIND != WEIGHTS) { return; }
      let span = seen_together(z, n / params.together * params.together, params.together);
      if (m0 >= span.y || m0 + THREAD_M <= span.x) { return; }
      terms = 0u;
    }
  }
  if (HIDES == QUERIES) {
    let end = end_query_of(z, min(m0 + THREAD_M, params.M) - 1u);
    terms = min(terms, max(end, params.first_query) - params.first_query);
    skipped = min(max(first_query_of(z, m0), params.first_query) - params.first_query, terms);
    if (ADDS && skipped == terms) { return; }
  }
  terms -= skipped;

  let a0 = params.a_start + z * params.a_batch + head / A_GROUP * params.a_head + skipped * params.a_step;
  let b0 = params.b_start + z * params.b_batch + head * params.b_head + skipped * params.b_step;
  var region = RegisterRegion(m0, n0, params.M, (params.N + VEC - 1u) / VEC,
                              a0, params.a_row, params.a_step, b0, 1u, params.b_step);
  var sum : RegisterSums;
  for (var member = 0u; member < MEMBERS; member++) {
    let more = register_product(region, terms, local.x);
    if (MEMBERS == 1u) { sum = more; }
    if (MEMBERS > 1u) {
      // unroll
      for (var i = 0u; i < THREAD_M; i++) {
        for (var j = 0u; j < THREAD_N; j++) { sum[i][j] += more[i][j]; }
      }
    }
    region.a0 += params.a_head;
    region.b0 += params.b_head;
  }

  let c0 = params.c_start + z * params.c_batch + head / MEMBERS * params.c_head;
  // unroll
  for (var e = 0u; e < THREAD_N * VEC; e++) {
    let n = n0 * VEC + e;
    var query = 0.0;
    var keys = vec2u();
    if (HIDES == ELEMENTS) { keys = seen_together(z, n, 1u); }
    if (KIND == NORMALISED || KIND == WEIGHTS || KIND == GRADIENTS) {
      query = per_query[plane * params.T + params.first_query + min(n, params.N - 1u)];
    }
    for (var i = 0u; i < THREAD_M; i++) {
      let m = m0 + i;
      if (m < params.M && n < params.N) {
        let at = c0 + m * params.c_row + n * params.c_col;
        var value = params.scale * vec4f(sum[i][e / VEC])[e % VEC];
        if (HAS_MASK && (KIND == SCORES || KIND == WEIGHTS)) { value += mask_bias[z * params.M + m]; }
        if (KIND == NORMALISED) { value *= query; }
        if (KIND == WEIGHTS) { value = or_nan(exp(value - query), query); }
        if (KIND == GRADIENTS) { value = c[at] * (value - params.scale * query); }
        if (HIDES == ELEMENTS && (m >= keys.y || m < keys.x)) { value = 0.0; }
        if (ADDS) { value += c[at]; }
        c[at] = value;
      }
    }
  }
}

// Numbers of one row that an invocation transposes: divisions cost more than the copies.
const RUN : u32 = 8u;
const QUERY_WG : u32 = 64u;  // of attention_transpose and attention_weights, which share nothing

@compute @workgroup_size(QUERY_WG)
fn attention_transpose(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                       @builtin(local_invocation_index) i : u32) {
  let index = linear_group(group, groups) * QUERY_WG + i;
  let m = index % params.M;
  let runs = (params.K + RUN - 1u) / RUN;
  let k0 = index / params.M % runs * RUN;
  let here = index / params.M / runs;
  if (here >= params.planes) { return; }
  let plane = params.first_plane + here;
  let z = plane / params.heads;
  let head = plane % params.heads;
  let from_row = params.a_start + z * params.a_batch + head * params.a_head + m * params.a_row;
  let to_col = params.c_start + z * params.c_batch + head * params.c_head + m * params.c_row;
  for (var k = k0; k < min(k0 + RUN, params.K); k++) {
    transposed[to_col + k * params.c_col] = source[from_row + k * params.a_step];
  }
}

// Scores [keys, queries] become exp(score - row max of the query); their sum goes into lse and inverse_sum.
@compute @workgroup_size(QUERY_WG)
fn attention_weights(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                     @builtin(local_invocation_index) i : u32) {
  let index = linear_group(group, groups) * QUERY_WG + i;
  let n = index % params.N;
  let here = index / params.N;
  if (here >= params.planes) { return; }
  let plane = params.first_plane + here;
  let start = params.a_start + plane / params.heads * params.a_batch
            + plane % params.heads * params.a_head + n;
  var first = 0u;
  var end = params.M;
  if (HIDES == ELEMENTS) {
    let z = plane / params.heads;
    let own = seen_together(z, n, 1u);
    let span = seen_together(z, n / params.together * params.together, params.together);
    first = own.x;
    end = min(end, params.before + own.y);
    for (var m = span.x; m < first; m++) { weights[start + m * params.a_row] = 0.0; }
    let last = min(params.M, params.before + span.y);
    for (var m = end; m < last; m++) { weights[start + m * params.a_row] = 0.0; }
  }
  var row_max = LOWEST;
  for (var m = first; m < end; m++) { row_max = max(row_max, weights[start + m * params.a_row]); }
  var row_sum = select(0.0, 1.0, first == end);  // without a key: zeros
  for (var m = first; m < end; m++) {
    let at = start + m * params.a_row;
    let weight = exp(weights[at] - row_max);
    row_sum += weight;
    weights[at] = weight;
  }
  row_sum = sum_or_nan(row_sum);
  let query = plane * params.T + params.first_query + n;
  lse[query] = or_nan(row_max + log(row_sum), row_sum);
  inverse_sum[query] = 1.0 / row_sum;
}
