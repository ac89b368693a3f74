// Matrix product through workgroup memory: the same product and epilogue as matmul.wgsl, for adapters whose barriers are cheap.
//
//   c[m,n] = scale sum_k a[m,k] b[k,n] + bias[n];  pre = c;  c = gelu(c);  c += residual[m,n]        each step is optional
//
// Layout    row-major; a is [M, K] or, with TRANSPOSE_A, [K, M]; b is [K, N] or, with TRANSPOSE_B, [N, K].
// Mapping   a workgroup of WIDTH x WIDTH invocations computes a TILE x TILE tile of c, an invocation PARTS x PARTS squares of 4 x 4 that lie
//           4 WIDTH apart; 32 invocations that run together are 8 x 4 neighbours, which read neighbouring vec4 (no bank conflicts).
// Tiles     16 terms of k at a time: an invocation loads squares of 4 x 4 of a and b, four of which share a line of memory, turns
//           them k-major in registers and stores four vec4 each. Other workgroups multiply meanwhile: to load ahead takes registers that
//           they need (H200, 4096 x 4096 x 4096: 38 instead of 40 TFLOP/s).
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
const WIDTH : u32 = 8u;            // invocations along N and along M: 8 or 16
const PARTS : u32 = 2u;            // squares of an invocation along N and along M: 1 or 2
const THREADS : u32 = 64u;         // WIDTH WIDTH

const UNROLLED : bool = false;     // the host has written out the loops over constants

alias Lane = vec4f;
const SQUARE : u32 = 4u;
alias Block = array<array<vec4f, PARTS>, 4u * PARTS>;    // [row of the invocation][square along N]
const TILE : u32 = 4u * WIDTH * PARTS;                   // rows and columns of c per workgroup
const K_TILE : u32 = 16u;                                // four squares
const PITCH : u32 = TILE / 4u + 1u;                      // vec4 from one k to the next: odd, against bank conflicts
const SQUARES : u32 = 8u * PARTS / WIDTH;                 // that an invocation loads, of the TILE of a and the TILE of b

// Indexed twice, so that the bound of each index is checked where it is made, not at every access.
var<workgroup> a_tile : array<array<vec4f, PITCH>, K_TILE>;  // [K_TILE, TILE / 4], k-major
var<workgroup> b_tile : array<array<vec4f, PITCH>, K_TILE>;  // [K_TILE, TILE / 4]

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
fn a_square(z : u32, m : u32, k : u32, k1 : u32) -> mat4x4f {
  var square : mat4x4f;
  let from_z = z * params.a_batch;
  for (var i = 0u; i < SQUARE; i++) {
    if (TRANSPOSE_A) {
      square[i] = a_run(from_z + (k + i) * params.M + m);
    } else {
      square[i] = a_run(from_z + min(m + i, params.M - 1u) * params.K + k);
    }
  }
  if (!TRANSPOSE_A) { square = transpose(square); }
  return before(square, k, k1);
}

// op(b)[k .. k + 3, n .. n + 3] with one column of the result per k, zero from k1 on.
fn b_square(z : u32, n : u32, k : u32, k1 : u32) -> mat4x4f {
  var square : mat4x4f;
  let from_z = z * params.b_batch;
  for (var i = 0u; i < SQUARE; i++) {
    if (TRANSPOSE_B) {
      square[i] = b_run(from_z + min(n + i, params.N - 1u) * params.K + k);
    } else {
      square[i] = b_run(from_z + (k + i) * params.N + n);
    }
  }
  if (TRANSPOSE_B) { square = transpose(square); }
  return before(square, k, k1);
}

// The columns k, k + 1, ... of a square, zero from k1 on.
fn before(square : mat4x4f, k : u32, k1 : u32) -> mat4x4f {
  if (k + 4u <= k1) { return square; }
  var some : mat4x4f;
  for (var i = 0u; i < SQUARE; i++) { some[i] = select(vec4f(), square[i], k + i < k1); }
  return some;
}

// Squares 0 to TILE - 1 are those of a, TILE to 2 TILE - 1 those of b: four along k, then along M or N.
fn stage(at : Place, k : u32, i : u32) {
  for (var n = 0u; n < SQUARES; n++) {
    let e = n * THREADS + i;
    let depth = e % 4u * 4u;
    if (e < TILE) {
      let square = a_square(at.z, at.m0 + e / 4u * 4u, k + depth, at.k1);
      for (var d = 0u; d < SQUARE; d++) { a_tile[depth + d][e / 4u] = square[d]; }
    } else if (e < 2u * TILE) {
      let square = b_square(at.z, at.n0 + (e - TILE) / 4u * 4u, k + depth, at.k1);
      for (var d = 0u; d < SQUARE; d++) { b_tile[depth + d][(e - TILE) / 4u] = square[d]; }
    }
  }
}

// Column and row of an invocation among WIDTH x WIDTH.
fn column_of(i : u32) -> u32 { return i % 8u + i / 32u % (WIDTH / 8u) * 8u; }
fn row_of(i : u32) -> u32 { return i / 8u % 4u + i / (4u * WIDTH) * 4u; }

fn product(at : Place, i : u32) -> Block {
  let tx = column_of(i);
  let ty = row_of(i);
  var sum : Block;
  for (var k = at.k0; k < at.k1; k += K_TILE) {
    stage(at, k, i);
    workgroupBarrier();
    for (var d = 0u; d < K_TILE; d++) {
      var right : array<vec4f, PARTS>;
      for (var p = 0u; p < PARTS; p++) { right[p] = b_tile[d][p * WIDTH + tx]; }
      for (var q = 0u; q < PARTS; q++) {
        let left = a_tile[d][q * WIDTH + ty];
        for (var r = 0u; r < SQUARE; r++) {
          for (var p = 0u; p < PARTS; p++) { sum[4u * q + r][p] = fma(vec4f(left[r]), right[p], sum[4u * q + r][p]); }
        }
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
  for (var r = 0u; r < SQUARE * PARTS; r++) {
    let m = at.m0 + (r / 4u * WIDTH + row_of(i)) * 4u + r % 4u;
    for (var p = 0u; p < PARTS; p++) {
      let n = at.n0 + (p * WIDTH + column_of(i)) * 4u;
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
  var sum = product(at, i);
  for (var r = 0u; r < SQUARE * PARTS; r++) {
    let m = at.m0 + (r / 4u * WIDTH + row_of(i)) * 4u + r % 4u;
    for (var j = 0u; j < SQUARE * PARTS; j++) {
      let n = at.n0 + (j / 4u * WIDTH + column_of(i)) * 4u + j % 4u;
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
