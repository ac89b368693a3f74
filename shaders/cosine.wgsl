// Cosine of every token's feature with one query per batch element.
//
//   length[n] = |features[n]|,   map[n] = <features[n], u> / max(length[n], eps)
//   u is the unit query of n's batch element
//   dfeatures[n] = a u - b features[n],   du = sum_n a features[n]
//   a = dmap[n] / max(length[n], eps),    b = dmap[n] map[n] / length[n]^2 where length[n] > eps, else 0
//
// The forward pass keeps cosine and length, so the backward pass needs no sums along C.
//
// Layout    features [B, N, C], unit [B or 1, C], map and length [B, N]. C counts vectors.
// Mapping   forward: ROW_WG invocations per token. Backward: one invocation per vector of C sums over
//           a split of the tokens; then the splits are added in order.
// Traffic   forward reads features once; backward reads them once and writes dfeatures once.

#import reduce  // own_row(group, groups, i, R), workgroup_sum(value, i)
#import vector  // Vec, vec_sum(value)
#import numerics  // is_nan
#import held    // HELD, HeldRow, held_at(k, i)

struct Params {
  B : u32,
  N : u32,
  C : u32,             // vectors per row
  queries : u32,       // B, or 1 for one query shared by the batch
  split_tokens : u32,  // tokens of a split
  splits : u32,        // splits per batch element
  eps : f32,           // shorter features are divided by this instead of their length
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> features : array<Vec>;         // [B, N, C]
@group(0) @binding(2) var<storage, read> unit : array<Vec>;             // [queries, C]
@group(0) @binding(3) var<storage, read_write> cosines : array<f32>;    // [B, N]
@group(0) @binding(4) var<storage, read_write> lengths : array<f32>;    // [B, N]
@group(0) @binding(3) var<storage, read> token_cosines : array<f32>;    // [B, N]
@group(0) @binding(4) var<storage, read> token_lengths : array<f32>;    // [B, N]
@group(0) @binding(5) var<storage, read> dcosines : array<f32>;         // [B, N]
@group(0) @binding(6) var<storage, read_write> dfeatures : array<Vec>;  // [B, N, C]
@group(0) @binding(7) var<storage, read_write> partial : array<Vec>;    // [B, splits, C]
@group(0) @binding(1) var<storage, read> partials : array<Vec>;         // [B, splits, C]
@group(0) @binding(2) var<storage, read_write> dunit : array<Vec>;      // [queries, C]

const COLUMN_WG : u32 = 64u;  // vectors of C per workgroup in the backward pass
const NEIGHBOURS = 128u;      // shares of du added one after the other, and then their sums

// max(NaN, eps) may be eps.
fn divisor(length : f32) -> f32 { return select(max(length, params.eps), length, is_nan(length)); }

fn query_of(b : u32) -> u32 {
  return min(b, params.queries - 1u);
}

@compute @workgroup_size(WG)
fn cosine(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let own = own_row(group, groups, i, params.B * params.N);
  let token = own.r;
  let query = query_of(token / params.N) * params.C;
  var squares = Vec();
  var products = Vec();
  for (var first = 0u; first < params.C; first += CHAIN_TERMS) {
    let end = min(params.C, first + CHAIN_TERMS);
    var part_squares = Vec();
    var part_products = Vec();
    for (var c = first + own.lane; c < end; c += ROW_WG) {
      let value = features[token * params.C + c];
      part_squares += value * value;
      part_products += value * unit[query + c];
    }
    squares += part_squares;
    products += part_products;
  }
  let length = sqrt(workgroup_sum(vec_sum(squares), i));
  let inner = workgroup_sum(vec_sum(products), i);
  if (own.index < params.B * params.N && own.lane == 0u) {
    lengths[token] = length;
    cosines[token] = inner / divisor(length);
  }
}

@compute @workgroup_size(WG)
fn cosine_held(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let token = linear_group(group, groups);
  if (token >= params.B * params.N) { return; }
  let query = query_of(token / params.N) * params.C;
  var values : HeldRow;
  for (var k = 0u; k < HELD; k++) {
    let c = held_at(k, i);
    values[k] = select(Vec(), features[token * params.C + min(c, params.C - 1u)], c < params.C);
  }
  var squares = Vec();
  var products = Vec();
  for (var k = 0u; k < HELD; k++) {
    squares += values[k] * values[k];
    products += values[k] * unit[query + min(held_at(k, i), params.C - 1u)];
  }
  let length = sqrt(workgroup_sum(vec_sum(squares), i));
  let inner = workgroup_sum(vec_sum(products), i);
  if (i == 0u) {
    lengths[token] = length;
    cosines[token] = inner / divisor(length);
  }
}

@compute @workgroup_size(COLUMN_WG)
fn cosine_backward(
  @builtin(workgroup_id) group : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let c = group.x * COLUMN_WG + i;
  if (c >= params.C) {
    return;
  }
  let b = group.z;
  let u = unit[query_of(b) * params.C + c];
  let first = b * params.N + group.y * params.split_tokens;
  let end = min(first + params.split_tokens, (b + 1u) * params.N);
  var share = Vec();
  for (var token = first; token < end; token++) {
    let length = token_lengths[token];
    let a = dcosines[token] / divisor(length);
    let radial = select(0.0, a * token_cosines[token] / length, length > params.eps);
    let value = features[token * params.C + c];
    dfeatures[token * params.C + c] = a * u - radial * value;
    share += a * value;
  }
  partial[(b * params.splits + group.y) * params.C + c] = share;
}

@compute @workgroup_size(COLUMN_WG)
fn cosine_dunit(
  @builtin(workgroup_id) group : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let c = group.x * COLUMN_WG + i;
  if (c >= params.C) {
    return;
  }
  let each = params.B / params.queries * params.splits;
  var sum = Vec();
  for (var first = 0u; first < each; first += NEIGHBOURS) {
    var part = Vec();
    for (var share = first; share < min(first + NEIGHBOURS, each); share++) {
      part += partials[(group.y * each + share) * params.C + c];
    }
    sum += part;
  }
  dunit[group.y * params.C + c] = sum;
}
