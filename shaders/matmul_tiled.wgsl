// Matrix product through workgroup memory: the same product and epilogue as matmul.wgsl, for adapters whose barriers are cheap.
//
//   c[m,n] = scale sum_k a[m,k] b[k,n] + bias[n];  pre = c;  c = gelu(c);  c += residual[m,n]        each step is optional
//
// Layout    row-major; a is [M, K] or, with TRANSPOSE_A, [K, M]; b is [K, N] or, with TRANSPOSE_B, [N, K].
// Mapping   a workgroup of 64 computes a 64 x 64 tile of c, an invocation 8 x 8 of it: rows 4 ty + {0..3} and 32 more, columns
//           4 tx + {0..3} and 32 more, so that a subgroup reads neighbouring vec4 of the tile (no bank conflicts).
// Tiles     16 terms of k at a time: an invocation loads one 4 x 4 block of a and one of b, turns it k-major in registers and stores
//           four vec4. The next blocks are on their way while the current tile is multiplied.
// Split     slice s sums k in [s k_slice, (s + 1) k_slice) and writes c[s, z]; `column_sum` adds the slices in order.
// Edges     terms past the slice are zero; rows and columns past the end are computed from whatever is read and not stored.
// Numerics  f32, one fma per term, k ascending.

#import index  // linear_group(group, groups)
#import gelu   // gelu_erf(lane), gelu_tanh(lane)

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
const TRANSPOSE_A : bool = false;
const TRANSPOSE_B : bool = false;
const HAS_BIAS : bool = false;
const HAS_RESIDUAL : bool = false;
const HAS_PRE : bool = false;
const GELU : u32 = 0u;             // 0 none, 1 erf, 2 tanh

alias Lane = vec4f;
alias Block = array<array<vec4f, 2>, 8>;  // [row of the invocation][half of its columns]
const TILE : u32 = 64u;                   // rows and columns of c per workgroup
const K_TILE : u32 = 16u;                 // 64 * 16 numbers are one 4 x 4 block for each of 64 invocations
const SIDE : u32 = TILE / 4u;             // vec4 per tile row
const THREADS : u32 = 64u;

var<workgroup> a_tile : array<vec4f, K_TILE * SIDE>;  // [K_TILE, TILE / 4], k-major
var<workgroup> b_tile : array<vec4f, K_TILE * SIDE>;  // [K_TILE, TILE / 4]

struct Place {
  m0 : u32,     // first row and column of the workgroup's tile
  n0 : u32,
  z : u32,      // batch entry
  plane : u32,  // slice * batch + z
  k0 : u32,     // the slice's terms
  k1 : u32,
}

fn place(tile : u32) -> Place {
  let plane = tile / (params.groups_n * params.groups_m);
  let k0 = plane / params.batch * params.k_slice;
  return Place(tile / params.groups_n % params.groups_m * TILE, tile % params.groups_n * TILE, plane % params.batch, plane,
               k0, min(k0 + params.k_slice, params.K));
}

// Four neighbours along the contiguous axis. vec4f(x) is x for a vec4f and a splat for an f32: both branches compile for both types.
fn a_run(at : u32) -> vec4f {
  if (A_WIDTH == 4u) { return vec4f(a[at / 4u]); }
  return vec4f(vec4f(a[at]).x, vec4f(a[at + 1u]).x, vec4f(a[at + 2u]).x, vec4f(a[at + 3u]).x);
}
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

// op(a)[m .. m + 3, k .. k + 3] with one column of the result per k, zero from k1 on.
fn a_block(z : u32, m : u32, k : u32, k1 : u32) -> mat4x4f {
  var square : mat4x4f;
  let from_z = z * params.a_batch;
  for (var i = 0u; i < 4u; i++) {
    if (TRANSPOSE_A) {
      square[i] = select(vec4f(), a_run(from_z + (k + i) * params.M + m), k + i < k1);
    } else {
      let run = a_run(from_z + min(m + i, params.M - 1u) * params.K + k);
      square[i] = select(vec4f(), run, vec4u(k, k + 1u, k + 2u, k + 3u) < vec4u(k1));
    }
  }
  if (TRANSPOSE_A) { return square; }
  return transpose(square);
}

// op(b)[k .. k + 3, n .. n + 3] with one column of the result per k, zero from k1 on.
fn b_block(z : u32, n : u32, k : u32, k1 : u32) -> mat4x4f {
  var square : mat4x4f;
  let from_z = z * params.b_batch;
  for (var i = 0u; i < 4u; i++) {
    if (TRANSPOSE_B) {
      let run = b_run(from_z + min(n + i, params.N - 1u) * params.K + k);
      square[i] = select(vec4f(), run, vec4u(k, k + 1u, k + 2u, k + 3u) < vec4u(k1));
    } else {
      square[i] = select(vec4f(), b_run(from_z + (k + i) * params.N + n), k + i < k1);
    }
  }
  if (TRANSPOSE_B) { return transpose(square); }
  return square;
}

fn product(at : Place, i : u32) -> Block {
  let ty = i / 8u;
  let tx = i % 8u;
  let side = i % SIDE;        // this invocation's block along M and N
  let depth = i / SIDE * 4u;  // and along k
  var sum : Block;
  var a_next = a_block(at.z, at.m0 + side * 4u, at.k0 + depth, at.k1);
  var b_next = b_block(at.z, at.n0 + side * 4u, at.k0 + depth, at.k1);
  for (var k = at.k0; k < at.k1; k += K_TILE) {
    for (var d = 0u; d < 4u; d++) {
      a_tile[(depth + d) * SIDE + side] = a_next[d];
      b_tile[(depth + d) * SIDE + side] = b_next[d];
    }
    workgroupBarrier();
    if (k + K_TILE < at.k1) {
      a_next = a_block(at.z, at.m0 + side * 4u, k + K_TILE + depth, at.k1);
      b_next = b_block(at.z, at.n0 + side * 4u, k + K_TILE + depth, at.k1);
    }
    for (var d = 0u; d < K_TILE; d++) {
      let right = array<vec4f, 2>(b_tile[d * SIDE + tx], b_tile[d * SIDE + tx + 8u]);
      let left = array<vec4f, 2>(a_tile[d * SIDE + ty], a_tile[d * SIDE + ty + 8u]);
      for (var r = 0u; r < 8u; r++) {
        let value = vec4f(left[r / 4u][r % 4u]);
        sum[r][0] = fma(value, right[0], sum[r][0]);
        sum[r][1] = fma(value, right[1], sum[r][1]);
      }
    }
    workgroupBarrier();
  }
  return sum;
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
  var sum = product(at, i);
  for (var r = 0u; r < 8u; r++) {
    let m = at.m0 + r / 4u * 32u + i / 8u * 4u + r % 4u;
    for (var half = 0u; half < 2u; half++) {
      let n = at.n0 + half * 32u + i % 8u * 4u;
      if (m < params.M && n < params.N) {
        let lane = ((at.plane * params.M + m) * params.N + n) / 4u;
        var value = params.scale * sum[r][half];
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
  var sum = product(at, i);
  for (var r = 0u; r < 8u; r++) {
    let m = at.m0 + r / 4u * 32u + i / 8u * 4u + r % 4u;
    for (var j = 0u; j < 8u; j++) {
      let n = at.n0 + j / 4u * 32u + i % 8u * 4u + j % 4u;
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
