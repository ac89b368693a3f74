// Matrix product by the matrix units of a GPU: the same product and epilogue as register.wgsl, with operands
// rounded to f16 and sums in f32. Opt-in (tier 3). Tests run it by emulation
// (tests/shaders/subgroup_matrix.ts).
//
//   c[m,n] = scale sum_k a[m,k] b[k,n] + bias[n];  pre = c;  c = gelu(c);  c += residual[m,n]
//   each step is optional
//
// Layout    a and b packed by pack.wgsl; c row-major.
// Mapping   a workgroup computes a TILE_M x TILE_N tile of c, each of its subgroups SUBGROUP_TILE_M x
//           SUBGROUP_TILE_N of it in matrices of MATRIX_M x MATRIX_N, whose operands the units load from
//           storage: no staging, no bounds checks; workgroups share tiles through the cache.
// Traffic   reads a once per tile along N, b once per tile along M, and writes c once.
// Epilogue  sums of the units cannot be addressed by element: one row of matrices after the other goes
//           through workgroup memory.
// Split     split s sums k in [s k_split, (s + 1) k_split) and writes c[s, z]; `column_sum` adds the splits
//           in order.
// Numerics  products of f16 are exact in f32; the accuracy of their sums depends on the unit. For the range
//           of f16 see pack.wgsl: gradients need a loss scale.

enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;

#import index     // linear_group(group, groups)
#import epilogue  // epilogue(sum, at, n)

struct Params {
  M : u32,
  N : u32,         // columns of c
  K : u32,         // of packed operands, a multiple of STEPS MATRIX_K
  k_split : u32,   // terms per split, such a multiple as well; at least K if there is one split
  a_batch : u32,   // from one batch entry of a to the next; 0 if all share one a
  b_batch : u32,   // the same for b
  batch : u32,
  groups_m : u32,  // workgroups along M
  groups_n : u32,  // workgroups along N
  splits : u32,
  scale : f32,
}
@group(0) @binding(0) var<uniform> params : Params;
// a and b packed, M and N rounded up to tiles
@group(0) @binding(1) var<storage, read> a_half : array<f16>;      // [batch or 1, M / 16, K / 16, 16, 16]
@group(0) @binding(2) var<storage, read> b_half : array<f16>;      // [batch or 1, N / 16, K / 16, 16, 16]
@group(0) @binding(3) var<storage, read_write> c : array<f32>;     // [splits, batch, M, N]
@group(0) @binding(4) var<storage, read> bias : array<f32>;        // [N]
@group(0) @binding(5) var<storage, read> residual : array<f32>;    // [batch, M, N]
@group(0) @binding(6) var<storage, read_write> pre : array<f32>;   // [batch, M, N]

// Specialisation.
const WG : u32 = 128u;  // all subgroups
// what the unit multiplies: [MATRIX_M, MATRIX_K] by [MATRIX_K, MATRIX_N]; each divides 16
const MATRIX_M : u32 = 16u;
const MATRIX_N : u32 = 16u;
const MATRIX_K : u32 = 16u;
const SUBGROUP_TILE_M : u32 = 64u;  // rows and columns of c per subgroup, multiples of MATRIX_M and MATRIX_N
const SUBGROUP_TILE_N : u32 = 64u;
const SUBGROUPS_M : u32 = 2u;       // subgroups of a workgroup along M and along N
const SUBGROUPS_N : u32 = 2u;
const UNROLLED : bool = false;      // unroll the marked loops

alias Vec = f32;
const SIDE : u32 = 16u;                               // of a packed square
const AREA : u32 = 256u;
const TILE_M : u32 = SUBGROUP_TILE_M * SUBGROUPS_M;
const TILE_N : u32 = SUBGROUP_TILE_N * SUBGROUPS_N;
const MATRICES_M : u32 = SUBGROUP_TILE_M / MATRIX_M;  // matrices of a subgroup
const MATRICES_N : u32 = SUBGROUP_TILE_N / MATRIX_N;
const ROW : u32 = MATRIX_M * SUBGROUP_TILE_N;         // elements of a row of matrices
const STEPS : u32 = 2u;                               // along k, alternately loaded and multiplied
const SUBGROUP : u32 = WG / (SUBGROUPS_M * SUBGROUPS_N);

// WGSL names the columns of a matrix before its rows.
alias Left = subgroup_matrix_left<f16, MATRIX_K, MATRIX_M>;
alias Right = subgroup_matrix_right<f16, MATRIX_N, MATRIX_K>;
alias Sum = subgroup_matrix_result<f32, MATRIX_N, MATRIX_M>;

// [subgroup, MATRIX_M, SUBGROUP_TILE_N]: one row of matrices of every subgroup
var<workgroup> c_tile : array<f32, SUBGROUPS_M * SUBGROUPS_N * ROW>;

// The index of row or column r and term k of a packed operand that begins at `start`.
fn packed_at(start : u32, r : u32, k : u32) -> u32 {
  return start + (r / SIDE * (params.K / SIDE) + k / SIDE) * AREA + r % SIDE * SIDE + k % SIDE;
}

fn left(start : u32, m : u32, k : u32) -> Left {
  return subgroupMatrixLoad<Left, row_major>(&a_half, packed_at(start, m, k), SIDE);
}
fn right(start : u32, n : u32, k : u32) -> Right {
  return subgroupMatrixLoad<Right, col_major>(&b_half, packed_at(start, n, k), SIDE);
}

@compute @workgroup_size(WG)
fn matmul_subgroup_matrix(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                          @builtin(local_invocation_index) i : u32, @builtin(subgroup_id) subgroup : u32) {
  let tile = linear_group(group, groups);
  let plane = tile / (params.groups_n * params.groups_m);  // split * batch + batch entry
  if (plane >= params.splits * params.batch) { return; }
  let z = plane % params.batch;
  let k0 = plane / params.batch * params.k_split;
  let k1 = min(k0 + params.k_split, params.K);
  let m0 = tile / params.groups_n % params.groups_m * TILE_M + subgroup / SUBGROUPS_N * SUBGROUP_TILE_M;
  let n0 = tile % params.groups_n * TILE_N + subgroup % SUBGROUPS_N * SUBGROUP_TILE_N;
  let a0 = z * params.a_batch;
  let b0 = z * params.b_batch;
  var sum : array<array<Sum, MATRICES_N>, MATRICES_M>;
  // While the operands of one step are multiplied, those of the next are in flight.
  var rows : array<array<Left, MATRICES_M>, STEPS>;
  var columns : array<array<Right, MATRICES_N>, STEPS>;
  // unroll
  for (var j = 0u; j < MATRICES_N; j++) { columns[0][j] = right(b0, n0 + j * MATRIX_N, k0); }
  // unroll
  for (var r = 0u; r < MATRICES_M; r++) { rows[0][r] = left(a0, m0 + r * MATRIX_M, k0); }
  for (var k = k0; k < k1; k += STEPS * MATRIX_K) {
    // unroll
    for (var now = 0u; now < STEPS; now++) {
      let next = min(k + (now + 1u) * MATRIX_K, k1 - MATRIX_K);
      for (var j = 0u; j < MATRICES_N; j++) { columns[1u - now][j] = right(b0, n0 + j * MATRIX_N, next); }
      for (var r = 0u; r < MATRICES_M; r++) {
        rows[1u - now][r] = left(a0, m0 + r * MATRIX_M, next);
        for (var j = 0u; j < MATRICES_N; j++) {
          sum[r][j] = subgroupMatrixMultiplyAccumulate(rows[now][r], columns[now][j], sum[r][j]);
        }
      }
    }
  }
  // unroll
  for (var r = 0u; r < MATRICES_M; r++) {
    for (var j = 0u; j < MATRICES_N; j++) {
      subgroupMatrixStore<row_major>(&c_tile, subgroup * ROW + j * MATRIX_N, sum[r][j], SUBGROUP_TILE_N);
    }
    workgroupBarrier();
    for (var e = i % SUBGROUP; e < ROW; e += SUBGROUP) {
      let m = m0 + r * MATRIX_M + e / SUBGROUP_TILE_N;
      let n = n0 + e % SUBGROUP_TILE_N;
      if (m < params.M && n < params.N) {
        let at = (plane * params.M + m) * params.N + n;
        c[at] = epilogue(c_tile[subgroup * ROW + e], at, n);
      }
    }
    workgroupBarrier();
  }
}
