// Keys and values of new tokens go into a cache, in place, at a position that may be on the GPU; queries and
// keys are rotated by theirs on the way, as in rope.wgsl.
//
//   p = position + t     q[t] = R(p) xq[t]     cache[p] = R(p) xk[t], xv[t]
//
// Layout    x [B, T, H + 2 G heads of K], queries, keys, then values; q [B, T, H K]; cache [B, length, 2GK],
//           a token's keys, then its values.
// Mapping   an invocation rotates one pair of coordinates in every head of a token: one sine and one cosine.
// Traffic   reads x once, writes each element once. Rows of the cache past its end are not written.

#import index   // linear_group(group, groups)
#import sine    // sine(angle, turns)
#import offset  // offset_of(z)

struct Params {
  rows : u32,     // B T
  T : u32,
  pairs : u32,    // K / 2
  heads : u32,    // H
  kv_heads : u32, // G
  length : u32,   // tokens that a row of the cache has room for
  offset : i32,
  steps : i32,    // advance: added to each position
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> x : array<f32>;               // [B, T, (H + 2 G) K]
@group(0) @binding(2) var<storage, read> frequencies : array<f32>;     // [pairs]
@group(0) @binding(3) var<storage, read> offsets : array<i32>;         // [1] or [B]
@group(0) @binding(4) var<storage, read_write> q : array<f32>;         // [B, T, H K]
@group(0) @binding(5) var<storage, read_write> cache : array<f32>;     // [B, length, 2 G K]
@group(0) @binding(1) var<storage, read_write> positions : array<i32>; // advance: [rows]

const WG : u32 = 64u;  // invocations of a workgroup; they share nothing

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
