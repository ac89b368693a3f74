// Matrix product through workgroup memory: the same product and epilogue as register.wgsl, for adapters whose barriers are cheap.
//
//   c[m,n] = scale sum_k a[m,k] b[k,n] + bias[n];  pre = c;  c = gelu(c);  c += residual[m,n]        each step is optional
//
// Layout    row-major; a is [M, K] or, with TRANSPOSE_A, [K, M]; b is [K, N] or, with TRANSPOSE_B, [N, K].
// Mapping   a workgroup per tile of c, batch entry and slice; within it as lib/shared_tile.wgsl says.
// Split     slice s sums k in [s k_slice, (s + 1) k_slice) and writes c[s, z]; `column_sum` adds the slices in order.
// Numerics  f32, one fma per term, k ascending.

#import index  // linear_group(group, groups)
#import gelu   // gelu_erf(lane), gelu_tanh(lane)
#import shared_tile  // Region, product(at, i), tile_row(at, r, i), tile_column(at, p, i), ROWS, PARTS_N, TRANSPOSE_A, TRANSPOSE_B

struct Params {
  M : u32,
  N : u32,         // columns of c
  K : u32,
  k_slice : u32,   // terms per slice, a multiple of 16; at least K if there is one slice
  a_batch : u32,   // from one batch entry of a to the next; 0 if all share one a
  b_batch : u32,   // the same for b
  batch : u32,
  groups_m : u32,  // workgroups along M
  groups_n : u32,  // workgroups along N
  slices : u32,
  scale : f32,
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> a : array<LaneA>;                  // [batch or 1, M, K] or [batch or 1, K, M]
@group(0) @binding(2) var<storage, read> b : array<LaneB>;                  // [batch or 1, K, N] or [batch or 1, N, K]
@group(0) @binding(7) var<storage, read> b_packed : array<u32>;             // [batch or 1, K, N] or [batch or 1, N, K] where B_TYPE is not F32: two in a word
@group(0) @binding(3) var<storage, read_write> c : array<vec4f>;            // [slices, batch, M, N / 4]
@group(0) @binding(4) var<storage, read> bias : array<vec4f>;               // [N / 4]
@group(0) @binding(5) var<storage, read> residual : array<vec4f>;           // [batch, M, N / 4]
@group(0) @binding(6) var<storage, read_write> pre : array<vec4f>;          // [batch, M, N / 4]
// The same four for `matmul_tiled_edge`, where N is not divisible by 4.
@group(0) @binding(3) var<storage, read_write> c_edge : array<f32>;         // [slices, batch, M, N]
@group(0) @binding(4) var<storage, read> bias_edge : array<f32>;            // [N]
@group(0) @binding(5) var<storage, read> residual_edge : array<f32>;        // [batch, M, N]
@group(0) @binding(6) var<storage, read_write> pre_edge : array<f32>;       // [batch, M, N]

// Specialisation.
alias LaneA = vec4f;               // or f32 where the contiguous axis of a is not divisible by 4
alias LaneB = vec4f;               // the same for b
const A_WIDTH : u32 = 4u;          // f32 per LaneA
const B_WIDTH : u32 = 4u;          // f32 per LaneB
const F32 : u32 = 0u;
const F16 : u32 = 1u;
const BF16 : u32 = 2u;
const B_TYPE : u32 = F32;          // how b is stored; sums are f32 in any case
const HAS_BIAS : bool = false;
const HAS_RESIDUAL : bool = false;
const HAS_PRE : bool = false;
const GELU : u32 = 0u;             // 0 none, 1 erf, 2 tanh

alias Lane = vec4f;

// Where a workgroup stands: slice * batch + batch entry, and what it multiplies there.
struct Place {
  plane : u32,
  region : Region,
}

fn place(tile : u32) -> Place {
  let plane = tile / (params.groups_n * params.groups_m);
  let z = plane % params.batch;
  let k0 = plane / params.batch * params.k_slice;
  return Place(plane, Region(tile / params.groups_n % params.groups_m * TILE_M, tile % params.groups_n * TILE_N, params.M, params.N,
                             k0, min(k0 + params.k_slice, params.K),
                             z * params.a_batch, select(params.K, params.M, TRANSPOSE_A),
                             z * params.b_batch, select(params.N, params.K, TRANSPOSE_B)));
}

// Four neighbours along the contiguous axis. vec4f(x) is x for a vec4f and a splat for an f32: both branches compile for both types.
fn a_run(at : u32) -> vec4f {
  if (A_WIDTH == 4u) { return vec4f(a[at / 4u]); }
  return vec4f(vec4f(a[at]).x, vec4f(a[at + 1u]).x, vec4f(a[at + 2u]).x, vec4f(a[at + 3u]).x);
}
fn a_ready(square : mat4x4f, e : u32, k : u32, k1 : u32) -> mat4x4f { return before(square, k, k1); }
fn b_pair(word : u32) -> vec2f {
  if (B_TYPE == BF16) { return bitcast<vec2f>(vec2u(word << 16u, word & 0xffff0000u)); }
  return unpack2x16float(word);
}
fn b_packed_at(at : u32) -> f32 { return b_pair(b_packed[at / 2u])[at % 2u]; }
fn b_run(at : u32) -> vec4f {
  if (B_TYPE != F32) {
    if (B_WIDTH == 4u) { return vec4f(b_pair(b_packed[at / 2u]), b_pair(b_packed[at / 2u + 1u])); }
    return vec4f(b_packed_at(at), b_packed_at(at + 1u), b_packed_at(at + 2u), b_packed_at(at + 3u));
  }
  if (B_WIDTH == 4u) { return vec4f(b[at / 4u]); }
  return vec4f(vec4f(b[at]).x, vec4f(b[at + 1u]).x, vec4f(b[at + 2u]).x, vec4f(b[at + 3u]).x);
}

fn activate(value : vec4f) -> vec4f {
  if (GELU == 1u) { return gelu_erf(value); }
  if (GELU == 2u) { return gelu_tanh(value); }
  return value;
}

@compute @workgroup_size(THREADS)
fn matmul_tiled(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                @builtin(local_invocation_index) i : u32) {
  let at = place(linear_group(group, groups));
  if (at.plane >= params.slices * params.batch) { return; }
  var sum = product(at.region, i);
  // unroll
  for (var r = 0u; r < ROWS; r++) {
    let m = tile_row(at.region, r, i);
    for (var p = 0u; p < PARTS_N; p++) {
      let n = tile_column(at.region, p, i);
      if (m < params.M && n < params.N) {
        let lane = ((at.plane * params.M + m) * params.N + n) / 4u;
        var value = params.scale * sum[r][p];
        if (HAS_BIAS) { value += bias[n / 4u]; }
        if (HAS_PRE) { pre[lane] = value; }
        value = activate(value);
        if (HAS_RESIDUAL) { value += residual[lane]; }
        c[lane] = value;
      }
    }
  }
}

@compute @workgroup_size(THREADS)
fn matmul_tiled_edge(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                     @builtin(local_invocation_index) i : u32) {
  let at = place(linear_group(group, groups));
  if (at.plane >= params.slices * params.batch) { return; }
  var sum = product(at.region, i);
  // unroll
  for (var r = 0u; r < ROWS; r++) {
    let m = tile_row(at.region, r, i);
    for (var j = 0u; j < SQUARE * PARTS_N; j++) {
      let n = tile_column(at.region, j / 4u, i) + j % 4u;
      if (m < params.M && n < params.N) {
        let index = (at.plane * params.M + m) * params.N + n;
        var value = params.scale * sum[r][j / 4u][j % 4u];
        if (HAS_BIAS) { value += bias_edge[n]; }
        if (HAS_PRE) { pre_edge[index] = value; }
        value = activate(vec4f(value)).x;
        if (HAS_RESIDUAL) { value += residual_edge[index]; }
        c_edge[index] = value;
      }
    }
  }
}
