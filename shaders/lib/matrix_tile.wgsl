// The tile of shared_tile.wgsl on the matrix units of a GPU: the same sums for the same callers, of operands
// that are rounded to f16 as they are staged. Opt-in (tier 3). Tests run it by emulation where there are no
// units (tests/shaders/subgroup_matrix.ts).
//
// Mapping   SUBGROUPS_M x SUBGROUPS_N subgroups. A pass is 16 rows of each along M; a subgroup computes its
//           16 rows of every pass in SUBGROUP_TILE_N columns, by matrices of MATRIX_M x MATRIX_N.
// Tiles     TILE_K terms at a time, k-major as f16. While they are multiplied, the next ones are in flight,
//           in registers. Lines are 16 bytes longer than they need be, against bank conflicts.
// Sums      of the units cannot be addressed by element: pass after pass goes through workgroup memory.
// Traffic   a tile of 128 x 128 multiplies 64 terms for every byte that it stages.
// Numerics  magnitudes above 65504 become infinite, those below 6e-8 zero; products of f16 are exact in f32,
//           the accuracy of their sums depends on the unit. Gradients need a loss scale.

enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;

// Specialisation.
const SUBGROUP : u32 = 32u;         // invocations of every subgroup
const SUBGROUPS_M : u32 = 2u;       // subgroups of a workgroup along M and along N
const SUBGROUPS_N : u32 = 2u;
const SUBGROUP_TILE_N : u32 = 16u;  // columns of a subgroup, a multiple of MATRIX_N
const SQUARES_M : u32 = 1u;         // passes
const SQUARES_N : u32 = 1u;         // squares of an invocation along N: TILE_N / (4 WG_N), rounded up
const LOADS : u32 = 1u;             // and those that it loads at a time: (TILE_M + TILE_N) / WG, rounded up
const TILE_K : u32 = 32u;           // terms that are staged together, a multiple of 16
// what the unit multiplies: [MATRIX_M, MATRIX_K] by [MATRIX_K, MATRIX_N]; each divides 16
const MATRIX_M : u32 = 16u;
const MATRIX_N : u32 = 16u;
const MATRIX_K : u32 = 16u;

const PASS_M : u32 = 16u;                         // rows of a subgroup
const WG_M : u32 = PASS_M / 4u * SUBGROUPS_M;     // invocations along M and along N
const WG_N : u32 = SUBGROUP * SUBGROUPS_M * SUBGROUPS_N / WG_M;
const SUBGROUP_M : u32 = 1u;                     // of these, neighbours that run together
const SUBGROUP_N : u32 = WG_N;

#import tile_squares  // Region, a_square(at, m, k), b_square(at, n, k), WG, TILE_M, TileSums

const TILE_N : u32 = SUBGROUP_TILE_N * SUBGROUPS_N;  // columns of c per workgroup
const STEP_K : u32 = 16u;                        // terms of four squares
const STEPS : u32 = TILE_K / STEP_K;
const PITCH_M : u32 = TILE_M + 8u;
const PITCH_N : u32 = TILE_N + 8u;
const DOWN : u32 = PASS_M / MATRIX_M;             // matrices of a subgroup in a pass
const MATRICES_M : u32 = SQUARES_M * DOWN;       // and of c
const MATRICES_N : u32 = SUBGROUP_TILE_N / MATRIX_N;

// WGSL names the columns of a matrix before its rows.
alias Left = subgroup_matrix_left<f16, MATRIX_K, MATRIX_M>;
alias Right = subgroup_matrix_right<f16, MATRIX_N, MATRIX_K>;
alias Sum = subgroup_matrix_result<f32, MATRIX_N, MATRIX_M>;
alias Held = array<array<mat4x4<f16>, LOADS>, STEPS>;

var<workgroup> a_half : array<f16, TILE_K * PITCH_M>;  // [TILE_K, PITCH_M]
var<workgroup> b_half : array<f16, TILE_K * PITCH_N>;  // [TILE_K, PITCH_N]
var<workgroup> c_tile : array<f32, PASS_M * SUBGROUPS_M * TILE_N>;  // [PASS_M * SUBGROUPS_M, TILE_N]

// Squares 0 to TILE_M - 1 of each step are those of a, the next TILE_N those of b: four along k, then along M
// or N.
fn load(at : Region, k0 : u32, i : u32) -> Held {
  var held : Held;
  // unroll
  for (var h = 0u; h < STEPS; h++) {
    for (var n = 0u; n < LOADS; n++) {
      let e = n * WG + i;
      let k = k0 + h * STEP_K + e % 4u * 4u;
      if (e < TILE_M) {
        held[h][n] = mat4x4<f16>(a_ready(a_square(at, at.m0 + e / 4u * 4u, k), e, k, at.k1));
      } else if (e < TILE_M + TILE_N) {
        held[h][n] = mat4x4<f16>(b_square(at, at.n0 + (e - TILE_M) / 4u * 4u, k));
      }
    }
  }
  return held;
}

fn stage(held : Held, i : u32) {
  // unroll
  for (var h = 0u; h < STEPS; h++) {
    for (var n = 0u; n < LOADS; n++) {
      let e = n * WG + i;
      let k = h * STEP_K + e % 4u * 4u;
      for (var d = 0u; d < SQUARE; d++) {
        let line = held[h][n][d];
        if (e < TILE_M) {
          let to = (k + d) * PITCH_M + e / 4u * 4u;
          for (var r = 0u; r < SQUARE; r++) { a_half[to + r] = line[r]; }
        } else if (e < TILE_M + TILE_N) {
          let to = (k + d) * PITCH_N + (e - TILE_M) / 4u * 4u;
          for (var r = 0u; r < SQUARE; r++) { b_half[to + r] = line[r]; }
        }
      }
    }
  }
}

// Invocations of a workgroup of one dimension fill its subgroups in order, so that i / SUBGROUP is uniform
// within one, which the compiler cannot see.
@diagnostic(off, chromium.subgroup_matrix_uniformity)
fn left(k : u32, m : u32) -> Left {
  return subgroupMatrixLoad<Left, col_major>(&a_half, k * PITCH_M + m, PITCH_M);
}
@diagnostic(off, chromium.subgroup_matrix_uniformity)
fn right(k : u32, n : u32) -> Right {
  return subgroupMatrixLoad<Right, row_major>(&b_half, k * PITCH_N + n, PITCH_N);
}

/// First column of c of an invocation's square p, or one past the end.
fn tile_column(at : Region, p : u32, i : u32) -> u32 {
  let n = (p * WG_N + column_of(i)) * SQUARE;
  return select(at.N, at.n0 + n, n < TILE_N);
}

// Workgroup memory between products: four rows of c, number `quad`, as column x of invocations has them.
fn keep_quad(x : u32, quad : u32, four : vec4f) {
  for (var r = 0u; r < 4u; r++) { c_tile[x * TILE_M + 4u * quad + r] = four[r]; }
}
fn kept_quad(x : u32, quad : u32) -> vec4f { return c_four(x * TILE_M + 4u * quad); }

fn c_four(at : u32) -> vec4f {
  return vec4f(c_tile[at], c_tile[at + 1u], c_tile[at + 2u], c_tile[at + 3u]);
}

/// The sums of invocation i; call from uniform control flow.
@diagnostic(off, chromium.subgroup_matrix_uniformity)
fn product(at : Region, i : u32) -> TileSums {
  let subgroup = i / SUBGROUP;
  let m0 = subgroup / SUBGROUPS_N * PASS_M;
  let n0 = subgroup % SUBGROUPS_N * SUBGROUP_TILE_N;
  var sum : array<array<Sum, MATRICES_N>, MATRICES_M>;
  var held : Held;
  if (at.k0 < at.k1) { held = load(at, at.k0, i); }
  for (var k0 = at.k0; k0 < at.k1; k0 += TILE_K) {
    stage(held, i);
    workgroupBarrier();
    if (k0 + TILE_K < at.k1) { held = load(at, k0 + TILE_K, i); }
    for (var k = 0u; k < TILE_K && k0 + k < at.k1; k += MATRIX_K) {
      var columns : array<Right, MATRICES_N>;
      // unroll
      for (var j = 0u; j < MATRICES_N; j++) { columns[j] = right(k, n0 + j * MATRIX_N); }
      // unroll
      for (var r = 0u; r < MATRICES_M; r++) {
        let rows = left(k, r / DOWN * PASS_M * SUBGROUPS_M + m0 + r % DOWN * MATRIX_M);
        for (var j = 0u; j < MATRICES_N; j++) {
          sum[r][j] = subgroupMatrixMultiplyAccumulate(rows, columns[j], sum[r][j]);
        }
      }
    }
    workgroupBarrier();
  }
  var own : TileSums;
  // unroll
  for (var q = 0u; q < SQUARES_M; q++) {
    for (var r = 0u; r < DOWN; r++) {
      for (var j = 0u; j < MATRICES_N; j++) {
        subgroupMatrixStore<row_major>(&c_tile, (m0 + r * MATRIX_M) * TILE_N + n0 + j * MATRIX_N,
                                       sum[q * DOWN + r][j], TILE_N);
      }
    }
    workgroupBarrier();
    for (var r = 0u; r < SQUARE; r++) {
      for (var p = 0u; p < SQUARES_N; p++) {
        let n = min((p * WG_N + column_of(i)) * SQUARE, TILE_N - SQUARE);
        own[q * SQUARE + r][p] = c_four((row_of(i) * SQUARE + r) * TILE_N + n);
      }
    }
    workgroupBarrier();
  }
  return own;
}
