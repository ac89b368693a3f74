// Matrix product by the matrix units of a GPU: the same product and epilogue as register.wgsl, with operands rounded to f16 and sums in
// f32. Opt-in (tier 3). Tests run it by emulation (tests/shaders/subgroup_matrix.ts).
//
//   c[m,n] = scale sum_k a[m,k] b[k,n] + bias[n];  pre = c;  c = gelu(c);  c += residual[m,n]        each step is optional
//
// Packing   matmul_pack rounds an operand to f16 and lays it out in squares of 16 rows (m or n) by 16 terms, 512 bytes each, those of
//           16 rows one after the other along k; rows past the end fill a whole tile, and they and terms past the end are zero.
// Mapping   a workgroup computes a TILE_M x TILE_N tile of c, each of its subgroups PART_M x PART_N of it in matrices of MATRIX_M x
//           MATRIX_N, whose operands the units load from storage: no staging and no bounds, neighbours meet in the cache.
// Epilogue  the units keep their sums to themselves: one row of matrices after the other passes through workgroup memory.
// Split     slice s sums k in [s k_slice, (s + 1) k_slice) and writes c[s, z]; `column_sum` adds the slices in order.
// Numerics  products of f16 are exact in f32, their sums as good as the unit. A number above 65504 becomes infinite, one below 6e-8
//           zero: no kernel for gradients.

enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;

#import index  // linear_group(group, groups)
#import gelu   // gelu_erf(lane), gelu_tanh(lane)

struct Params {
  M : u32,         // matmul_pack: rows of the operand
  N : u32,         // columns of c
  K : u32,         // of packed operands, a multiple of STEPS MATRIX_K; matmul_pack: terms of the operand
  k_slice : u32,   // terms per slice, such a multiple as well; at least K if there is one slice
  a_batch : u32,   // from one batch entry of a to the next; 0 if all share one a
  b_batch : u32,   // the same for b
  batch : u32,
  groups_m : u32,  // workgroups along M; matmul_pack: squares along its rows
  groups_n : u32,  // workgroups along N; matmul_pack: squares along k
  slices : u32,
  scale : f32,
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> a_half : array<f16>;      // [batch or 1, M / 16, K / 16, 16, 16], M rounded up to tiles
@group(0) @binding(2) var<storage, read> b_half : array<f16>;      // [batch or 1, N / 16, K / 16, 16, 16], N rounded up to tiles
@group(0) @binding(3) var<storage, read_write> c : array<f32>;     // [slices, batch, M, N]
@group(0) @binding(4) var<storage, read> bias : array<f32>;        // [N]
@group(0) @binding(5) var<storage, read> residual : array<f32>;    // [batch, M, N]
@group(0) @binding(6) var<storage, read_write> pre : array<f32>;   // [batch, M, N]
@group(0) @binding(1) var<storage, read> source : array<Source>;          // matmul_pack: [batch, M, K] or, with TURNED, [batch, K, M]
@group(0) @binding(2) var<storage, read> source_packed : array<u32>;      // [batch, M, K] or [batch, K, M] where SOURCE is not F32: two in a word
@group(0) @binding(3) var<storage, read_write> squares : array<vec4u>;    // f16 [batch, groups_m, groups_n, 16, 16]

// Specialisation of matmul_pack.
alias Source = vec4f;              // or f32 where lines do not run along k or K is not divisible by 4
const WIDTH : u32 = 4u;            // f32 per Source
const TURNED : bool = false;       // lines run along the rows
const F32 : u32 = 0u;
const F16 : u32 = 1u;
const BF16 : u32 = 2u;
const SOURCE : u32 = F32;          // how the operand is stored

// Specialisation of the product.
const THREADS : u32 = 128u;        // all subgroups
const MATRIX_M : u32 = 16u;        // what the unit multiplies: [MATRIX_M, MATRIX_K] by [MATRIX_K, MATRIX_N]; each divides 16
const MATRIX_N : u32 = 16u;
const MATRIX_K : u32 = 16u;
const PART_M : u32 = 64u;          // rows and columns of c per subgroup, multiples of MATRIX_M and MATRIX_N
const PART_N : u32 = 64u;
const PARTS_M : u32 = 2u;          // subgroups of a workgroup along M and along N
const PARTS_N : u32 = 2u;
const HAS_BIAS : bool = false;
const HAS_RESIDUAL : bool = false;
const HAS_PRE : bool = false;
const GELU : u32 = 0u;             // 0 none, 1 erf, 2 tanh
const UNROLLED : bool = false;     // unroll the marked loops

alias Lane = f32;                      // of the imported functions
const SIDE : u32 = 16u;                // of a packed square
const AREA : u32 = 256u;
const TILE_M : u32 = PART_M * PARTS_M;
const TILE_N : u32 = PART_N * PARTS_N;
const DOWN : u32 = PART_M / MATRIX_M;  // matrices of a subgroup
const ACROSS : u32 = PART_N / MATRIX_N;
const ROW : u32 = MATRIX_M * PART_N;   // numbers in a row of matrices
const STEPS : u32 = 2u;                // along k, in turn

// WGSL names the columns of a matrix before its rows.
alias Left = subgroup_matrix_left<f16, MATRIX_K, MATRIX_M>;
alias Right = subgroup_matrix_right<f16, MATRIX_N, MATRIX_K>;
alias Sum = subgroup_matrix_result<f32, MATRIX_N, MATRIX_M>;

var<workgroup> c_tile : array<f32, PARTS_M * PARTS_N * ROW>;  // [subgroup, MATRIX_M, PART_N]: one row of matrices of every subgroup

fn word(low : f32, high : f32) -> u32 { return bitcast<u32>(vec2<f16>(f16(low), f16(high))); }

fn value_at(at : u32) -> f32 {
  if (SOURCE == F32) { return vec4f(source[at]).x; }
  let bits = source_packed[at / 2u] >> (at % 2u * 16u);
  if (SOURCE == BF16) { return bitcast<f32>(bits << 16u); }
  return unpack2x16float(bits).x;
}

// Terms of a row, zero past the end: one, and four from k on.
fn term(start : u32, row : u32, k : u32) -> f32 {
  if (k >= params.K) { return 0.0; }
  return value_at(start + select(row * params.K + k, k * params.M + row, TURNED));
}
fn terms(start : u32, row : u32, k : u32) -> vec4f {
  if (WIDTH == 1u) { return vec4f(term(start, row, k), term(start, row, k + 1u), term(start, row, k + 2u), term(start, row, k + 3u)); }
  if (k >= params.K) { return vec4f(); }
  return vec4f(source[(start + row * params.K + k) / 4u]);
}

// An invocation per eight terms of a row: 32 write one square, 512 bytes side by side.
@compute @workgroup_size(64)
fn matmul_pack(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
               @builtin(local_invocation_index) i : u32) {
  let index = linear_group(group, groups) * 64u + i;
  let square = index / 32u;
  if (square >= params.batch * params.groups_m * params.groups_n) { return; }
  let row = square / params.groups_n % params.groups_m * SIDE + index % 32u / 2u;
  let k = square % params.groups_n * SIDE + index % 2u * 8u;
  let start = square / params.groups_n / params.groups_m * params.M * params.K;
  var low = vec4f();
  var high = vec4f();
  if (row < params.M) {
    low = terms(start, row, k);
    high = terms(start, row, k + 4u);
  }
  squares[index] = vec4u(word(low.x, low.y), word(low.z, low.w), word(high.x, high.y), word(high.z, high.w));
}

// Where row or column r and term k of a packed operand stand, which lies from `start` on.
fn packed_at(start : u32, r : u32, k : u32) -> u32 {
  return start + (r / SIDE * (params.K / SIDE) + k / SIDE) * AREA + r % SIDE * SIDE + k % SIDE;
}

fn left(start : u32, m : u32, k : u32) -> Left { return subgroupMatrixLoad<Left, row_major>(&a_half, packed_at(start, m, k), SIDE); }
fn right(start : u32, n : u32, k : u32) -> Right { return subgroupMatrixLoad<Right, col_major>(&b_half, packed_at(start, n, k), SIDE); }

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
  let tile = linear_group(group, groups);
  let plane = tile / (params.groups_n * params.groups_m);  // slice * batch + batch entry
  if (plane >= params.slices * params.batch) { return; }
  let z = plane % params.batch;
  let k0 = plane / params.batch * params.k_slice;
  let k1 = min(k0 + params.k_slice, params.K);
  let m0 = tile / params.groups_n % params.groups_m * TILE_M + subgroup / PARTS_N * PART_M;
  let n0 = tile % params.groups_n * TILE_N + subgroup % PARTS_N * PART_N;
  let a0 = z * params.a_batch;
  let b0 = z * params.b_batch;
  var sum : array<array<Sum, ACROSS>, DOWN>;
  // While the operands of one step are multiplied, those of the next are on their way.
  var rows : array<array<Left, DOWN>, STEPS>;
  var columns : array<array<Right, ACROSS>, STEPS>;
  // unroll
  for (var j = 0u; j < ACROSS; j++) { columns[0][j] = right(b0, n0 + j * MATRIX_N, k0); }
  // unroll
  for (var r = 0u; r < DOWN; r++) { rows[0][r] = left(a0, m0 + r * MATRIX_M, k0); }
  for (var k = k0; k < k1; k += STEPS * MATRIX_K) {
    // unroll
    for (var now = 0u; now < STEPS; now++) {
      let next = min(k + (now + 1u) * MATRIX_K, k1 - MATRIX_K);
      for (var j = 0u; j < ACROSS; j++) { columns[1u - now][j] = right(b0, n0 + j * MATRIX_N, next); }
      for (var r = 0u; r < DOWN; r++) {
        rows[1u - now][r] = left(a0, m0 + r * MATRIX_M, next);
        for (var j = 0u; j < ACROSS; j++) { sum[r][j] = subgroupMatrixMultiplyAccumulate(rows[now][r], columns[now][j], sum[r][j]); }
      }
    }
  }
  let lanes = THREADS / (PARTS_M * PARTS_N);
  // unroll
  for (var r = 0u; r < DOWN; r++) {
    for (var j = 0u; j < ACROSS; j++) { subgroupMatrixStore<row_major>(&c_tile, subgroup * ROW + j * MATRIX_N, sum[r][j], PART_N); }
    workgroupBarrier();
    for (var e = i % lanes; e < ROW; e += lanes) {
      let m = m0 + r * MATRIX_M + e / PART_N;
      let n = n0 + e % PART_N;
      if (m < params.M && n < params.N) {
        let at = (plane * params.M + m) * params.N + n;
        c[at] = finish(c_tile[subgroup * ROW + e], at, n);
      }
    }
    workgroupBarrier();
  }
}
