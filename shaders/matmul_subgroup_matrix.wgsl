// Matrix product by the matrix units of a GPU: the same product and epilogue as matmul.wgsl, with operands rounded to f16 and sums in
// f32. Opt-in (tier 3). Tests run it by emulation (tests/shaders/subgroup_matrix.ts); an NVIDIA H200 computes the same, at 12 TFLOP/s.
//
//   c[m,n] = scale sum_k a[m,k] b[k,n] + bias[n];  pre = c;  c = gelu(c);  c += residual[m,n]        each step is optional
//
// Layout    row-major; a is [M, K] or, with TRANSPOSE_A, [K, M]; b is [K, N] or, with TRANSPOSE_B, [N, K].
// Mapping   a workgroup of four subgroups computes a 64 x 64 tile of c, a subgroup 32 x 32 of it in matrices of MATRIX_M x MATRIX_N.
// Tiles     32 terms of k at a time, in workgroup memory as they are stored: a load may turn them, so both reads run along memory.
// Epilogue  the units keep their sums to themselves: one row of matrices after the other passes through workgroup memory.
// Split     slice s sums k in [s k_slice, (s + 1) k_slice) and writes c[s, z]; `column_sum` adds the slices in order.
// Edges     what lies past the end of the slice, the rows or the columns is zero, and not stored.
// Numerics  products of f16 are exact in f32, their sums as good as the unit. A number above 65504 becomes infinite, one below 6e-8
//           zero: no kernel for gradients.

enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;

#import index  // linear_group(group, groups)
#import gelu   // gelu_erf(lane), gelu_tanh(lane)

struct Params {
  M : u32,
  N : u32,         // columns of c
  K : u32,
  k_slice : u32,   // terms per slice, a multiple of 32; at least K if there is one slice
  a_batch : u32,   // from one batch entry of a to the next; 0 if all share one a
  b_batch : u32,   // the same for b
  batch : u32,
  groups_m : u32,  // workgroups along M
  groups_n : u32,  // workgroups along N
  slices : u32,
  scale : f32,
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> a : array<f32>;           // [batch or 1, M, K] or [batch or 1, K, M]
@group(0) @binding(2) var<storage, read> b : array<f32>;           // [batch or 1, K, N] or [batch or 1, N, K]
@group(0) @binding(7) var<storage, read> b_packed : array<u32>;    // [batch or 1, K, N] or [batch or 1, N, K] where B_TYPE is not F32: two in a word
@group(0) @binding(3) var<storage, read_write> c : array<f32>;     // [slices, batch, M, N]
@group(0) @binding(4) var<storage, read> bias : array<f32>;        // [N]
@group(0) @binding(5) var<storage, read> residual : array<f32>;    // [batch, M, N]
@group(0) @binding(6) var<storage, read_write> pre : array<f32>;   // [batch, M, N]

// Specialisation.
const THREADS : u32 = 128u;        // four subgroups
const MATRIX_M : u32 = 16u;        // what the unit multiplies: [MATRIX_M, MATRIX_K] by [MATRIX_K, MATRIX_N]; each divides 32, and
const MATRIX_N : u32 = 16u;        // MATRIX_M is 16 at most, so that the three tiles fit into 16 KiB
const MATRIX_K : u32 = 16u;
const F32 : u32 = 0u;
const F16 : u32 = 1u;
const BF16 : u32 = 2u;
const B_TYPE : u32 = F32;          // how b is stored
const TRANSPOSE_A : bool = false;
const TRANSPOSE_B : bool = false;
const HAS_BIAS : bool = false;
const HAS_RESIDUAL : bool = false;
const HAS_PRE : bool = false;
const GELU : u32 = 0u;             // 0 none, 1 erf, 2 tanh

alias Lane = f32;                      // of the imported functions
const TILE : u32 = 64u;                // rows and columns of c per workgroup
const PART : u32 = 32u;                // rows and columns of c per subgroup
const K_TILE : u32 = 32u;
const DOWN : u32 = PART / MATRIX_M;    // matrices of a subgroup
const ACROSS : u32 = PART / MATRIX_N;

// WGSL names the columns of a matrix before its rows.
alias Left = subgroup_matrix_left<f16, MATRIX_K, MATRIX_M>;
alias Right = subgroup_matrix_right<f16, MATRIX_N, MATRIX_K>;
alias Sum = subgroup_matrix_result<f32, MATRIX_N, MATRIX_M>;

var<workgroup> a_tile : array<f16, TILE * K_TILE>;         // [TILE, K_TILE] or, with TRANSPOSE_A, [K_TILE, TILE]
var<workgroup> b_tile : array<f16, K_TILE * TILE>;         // [K_TILE, TILE] or, with TRANSPOSE_B, [TILE, K_TILE]
var<workgroup> c_tile : array<f32, 2u * MATRIX_M * TILE>;  // [2, MATRIX_M, TILE]: one row of matrices of every subgroup

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

fn a_at(z : u32, m : u32, k : u32, k1 : u32) -> f16 {
  if (m >= params.M || k >= k1) { return f16(0.0); }
  return f16(a[z * params.a_batch + select(m * params.K + k, k * params.M + m, TRANSPOSE_A)]);
}

fn b_at(z : u32, k : u32, n : u32, k1 : u32) -> f16 {
  if (n >= params.N || k >= k1) { return f16(0.0); }
  let at = z * params.b_batch + select(k * params.N + n, n * params.K + k, TRANSPOSE_B);
  if (B_TYPE == F32) { return f16(b[at]); }
  let bits = b_packed[at / 2u] >> (at % 2u * 16u);
  if (B_TYPE == BF16) { return f16(bitcast<f32>(bits << 16u)); }
  return f16(unpack2x16float(bits).x);
}

// The next K_TILE terms of the workgroup's rows and columns; neighbouring invocations read neighbouring numbers.
fn stage(at : Place, k : u32, i : u32) {
  for (var e = i; e < TILE * K_TILE; e += THREADS) {
    if (TRANSPOSE_A) {
      a_tile[e] = a_at(at.z, at.m0 + e % TILE, k + e / TILE, at.k1);
    } else {
      a_tile[e] = a_at(at.z, at.m0 + e / K_TILE, k + e % K_TILE, at.k1);
    }
    if (TRANSPOSE_B) {
      b_tile[e] = b_at(at.z, k + e % K_TILE, at.n0 + e / K_TILE, at.k1);
    } else {
      b_tile[e] = b_at(at.z, k + e / TILE, at.n0 + e % TILE, at.k1);
    }
  }
}

fn left(m : u32, k : u32) -> Left {
  if (TRANSPOSE_A) { return subgroupMatrixLoad<Left, col_major>(&a_tile, k * TILE + m, TILE); }
  return subgroupMatrixLoad<Left, row_major>(&a_tile, m * K_TILE + k, K_TILE);
}

fn right(k : u32, n : u32) -> Right {
  if (TRANSPOSE_B) { return subgroupMatrixLoad<Right, col_major>(&b_tile, n * K_TILE + k, K_TILE); }
  return subgroupMatrixLoad<Right, row_major>(&b_tile, k * TILE + n, TILE);
}

fn finish(value : f32, at : u32, n : u32) -> f32 {
  var y = params.scale * value;
  if (HAS_BIAS) { y += bias[n]; }
  if (HAS_PRE) { pre[at] = y; }
  if (GELU == 1u) { y = gelu_erf(y); }
  if (GELU == 2u) { y = gelu_tanh(y); }
  if (HAS_RESIDUAL) { y += residual[at]; }
  return y;
}

@compute @workgroup_size(THREADS)
fn matmul_subgroup_matrix(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                          @builtin(local_invocation_index) i : u32, @builtin(subgroup_id) subgroup : u32) {
  let at = place(linear_group(group, groups));
  if (at.plane >= params.slices * params.batch) { return; }
  let m_part = subgroup / 2u * PART;
  let n_part = subgroup % 2u * PART;
  var sum : array<array<Sum, ACROSS>, DOWN>;
  for (var k = at.k0; k < at.k1; k += K_TILE) {
    stage(at, k, i);
    workgroupBarrier();
    for (var d = 0u; d < K_TILE; d += MATRIX_K) {
      var columns : array<Right, ACROSS>;
      for (var j = 0u; j < ACROSS; j++) { columns[j] = right(d, n_part + j * MATRIX_N); }
      for (var r = 0u; r < DOWN; r++) {
        let rows = left(m_part + r * MATRIX_M, d);
        for (var j = 0u; j < ACROSS; j++) { sum[r][j] = subgroupMatrixMultiplyAccumulate(rows, columns[j], sum[r][j]); }
      }
    }
    workgroupBarrier();
  }
  for (var r = 0u; r < DOWN; r++) {
    for (var j = 0u; j < ACROSS; j++) {
      let corner = subgroup / 2u * MATRIX_M * TILE + n_part + j * MATRIX_N;
      subgroupMatrixStore<row_major>(&c_tile, corner, sum[r][j], TILE);
    }
    workgroupBarrier();
    for (var e = i; e < 2u * MATRIX_M * TILE; e += THREADS) {
      let row = e / TILE;
      let m = at.m0 + row / MATRIX_M * PART + r * MATRIX_M + row % MATRIX_M;
      let n = at.n0 + e % TILE;
      if (m < params.M && n < params.N) {
        let index = (at.plane * params.M + m) * params.N + n;
        c[index] = finish(c_tile[e], index, n);
      }
    }
    workgroupBarrier();
  }
}
