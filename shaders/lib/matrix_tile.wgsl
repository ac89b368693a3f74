// The tile of shared_tile.wgsl on the matrix units of a GPU: the same sums for the same callers, of operands
// that are rounded to f16 as they are staged, or split into two f16: Ootomo & Yokota 2022, arXiv:2203.03341.
// Opt-in (tier 3). Tests run it by emulation where there are no units (tests/shaders/subgroup_matrix.ts).
//
//   1 component    x = f16(x)                     a b = a0 b0
//   2 components   x = x0 + x1,  x0 = f16(x),     a b = a0 b0 + a0 b1 + a1 b0
//                  x1 = f16(x - x0)
//
// An importer defines, beside what tile_squares.wgsl needs,
//   fn a_exponent(at : Region, m : u32) -> u32    of 2 components: row m of a is multiplied by 2^(this - 127)
//                                                 before it is split, and its sums by the inverse
//   fn b_exponent(at : Region, n : u32) -> u32    the same for column n of b
//
// Mapping   SUBGROUPS_M x SUBGROUPS_N subgroups. One has SUBGROUP_TILE_N columns and, of every 16 SUBGROUPS_M
//           rows, 16, in matrices of MATRIX_M x MATRIX_N.
// Tiles     TILE_K terms at a time, k-major as f16. While they are multiplied, the next ones are in flight,
//           in registers. Lines are 16 bytes longer than they need be, against bank conflicts.
// Sums      of the units cannot be addressed by element: they go through workgroup memory, PASS_M x PASS_N of
//           each subgroup in a pass.
// Traffic   a tile of 128 x 128 multiplies 64 terms for every byte that it stages, one of 256 x 128 85.
// Numerics  products of f16 are exact in f32, the accuracy of their sums depends on the unit. Of 1 component,
//           magnitudes above 65504 become infinite, those below 6e-8 zero: gradients need a loss scale. Of 2,
//           an operand is off by 2^-22 of itself at most or, where that is more, by 2^-39 of the largest in
//           its row (2^-28 on units that take subnormals for zeros), and a1 b1 is left out, 2^-22 of a b.
//           Operands that are not finite make sums that are not.

enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;

// Specialisation.
const SUBGROUP : u32 = 32u;         // invocations of every subgroup
const SUBGROUPS_M : u32 = 2u;       // subgroups of a workgroup along M and along N
const SUBGROUPS_N : u32 = 2u;
const SUBGROUP_TILE_N : u32 = 16u;  // columns of a subgroup, a multiple of MATRIX_N
const PASS_N : u32 = 16u;           // columns of a subgroup in a pass, a divisor of those and such a multiple
const SQUARES_M : u32 = 1u;         // passes along M
const SQUARES_N : u32 = 1u;         // of an invocation along N: in each pass LINE / (4 WG_N), rounded up
const LOADS : u32 = 1u;             // and those that it loads at a time: (TILE_M + TILE_N) / WG, rounded up
const TILE_K : u32 = 32u;           // terms that are staged together, a multiple of 16
const COMPONENTS : u32 = 1u;        // f16 that an operand is the sum of, 1 or 2
alias Four = vec4<f16>;             // four elements in flight; vec4f with 2 COMPONENTS
// what the unit multiplies: [MATRIX_M, MATRIX_K] by [MATRIX_K, MATRIX_N]; each divides 16
const MATRIX_M : u32 = 16u;
const MATRIX_N : u32 = 16u;
const MATRIX_K : u32 = 16u;

const PASS_M : u32 = 16u;                         // rows of a subgroup in a pass
const WG_M : u32 = PASS_M / 4u * SUBGROUPS_M;     // invocations along M and along N
const WG_N : u32 = SUBGROUP * SUBGROUPS_M * SUBGROUPS_N / WG_M;
const SUBGROUP_M : u32 = 1u;                     // of these, neighbours that run together
const SUBGROUP_N : u32 = WG_N;

#import tile_squares  // Region, a_square(at, m, k), b_square(at, n, k), WG, TILE_M, TileSums

const TILE_N : u32 = SUBGROUP_TILE_N * SUBGROUPS_N;  // columns of c per workgroup
const LINE : u32 = PASS_N * SUBGROUPS_N;         // and in a pass
const PASSES_N : u32 = SUBGROUP_TILE_N / PASS_N;
const PASS_SQUARES : u32 = SQUARES_N / PASSES_N;
const STEP_K : u32 = 16u;                        // terms of four squares
const STEPS : u32 = TILE_K / STEP_K;
const PITCH_M : u32 = TILE_M + 8u;
const PITCH_N : u32 = TILE_N + 8u;
const DOWN : u32 = PASS_M / MATRIX_M;             // matrices of a subgroup in a pass
const MATRICES_M : u32 = SQUARES_M * DOWN;       // and of c
const MATRICES_N : u32 = SUBGROUP_TILE_N / MATRIX_N;
const ACROSS : u32 = PASS_N / MATRIX_N;          // of these in a pass

// WGSL names the columns of a matrix before its rows.
alias Left = subgroup_matrix_left<f16, MATRIX_K, MATRIX_M>;
alias Right = subgroup_matrix_right<f16, MATRIX_N, MATRIX_K>;
alias Sum = subgroup_matrix_result<f32, MATRIX_N, MATRIX_M>;
alias Held = array<array<array<Four, SQUARE>, LOADS>, STEPS>;
alias Factors = array<vec4f, LOADS>;

var<workgroup> a_half : array<f16, COMPONENTS * TILE_K * PITCH_M>;  // [COMPONENTS, TILE_K, PITCH_M]
var<workgroup> b_half : array<f16, COMPONENTS * TILE_K * PITCH_N>;  // [COMPONENTS, TILE_K, PITCH_N]
var<workgroup> c_tile : array<f32, PASS_M * SUBGROUPS_M * LINE>;  // [PASS_M * SUBGROUPS_M, LINE]

// Squares 0 to TILE_M - 1 of each step are those of a, the next TILE_N those of b: four along k, then along M
// or N.
fn load(at : Region, k0 : u32, i : u32) -> Held {
  var held : Held;
  // unroll
  for (var h = 0u; h < STEPS; h++) {
    for (var n = 0u; n < LOADS; n++) {
      let e = n * WG + i;
      let k = k0 + h * STEP_K + e % 4u * 4u;
      var square : mat4x4f;
      if (e < TILE_M) {
        square = a_ready(a_square(at, at.m0 + e / 4u * 4u, k), e, k, at.k1);
      } else if (e < TILE_M + TILE_N) {
        square = b_square(at, at.n0 + (e - TILE_M) / 4u * 4u, k);
      }
      for (var d = 0u; d < SQUARE; d++) { held[h][n][d] = Four(square[d]); }
    }
  }
  return held;
}

// 2^(exponent - 127).
fn power_of_two(exponent : u32) -> f32 { return bitcast<f32>(exponent << 23u); }

// The nearest number that f16 holds, by its bits: to compilers f32(f16(x)) may be x.
fn nearest(x : f32) -> f32 {
  let size = bitcast<f32>((bitcast<u32>(abs(x)) + 0x1000u) & 0x7fffe000u);
  return select(size, -size, x < 0.0);
}
fn nearest_four(x : vec4f) -> vec4f { return vec4f(nearest(x.x), nearest(x.y), nearest(x.z), nearest(x.w)); }

// Of the rows or columns of the squares that an invocation loads.
fn factors_of(at : Region, i : u32) -> Factors {
  var factors : Factors;
  // unroll
  for (var n = 0u; n < LOADS; n++) {
    let e = n * WG + i;
    if (COMPONENTS > 1u && e < TILE_M) {
      let m = at.m0 + e / 4u * 4u;
      factors[n] = vec4f(power_of_two(a_exponent(at, m)), power_of_two(a_exponent(at, m + 1u)),
                         power_of_two(a_exponent(at, m + 2u)), power_of_two(a_exponent(at, m + 3u)));
    } else if (COMPONENTS > 1u && e < TILE_M + TILE_N) {
      let b_n = at.n0 + (e - TILE_M) / 4u * 4u;
      factors[n] = vec4f(power_of_two(b_exponent(at, b_n)), power_of_two(b_exponent(at, b_n + 1u)),
                         power_of_two(b_exponent(at, b_n + 2u)), power_of_two(b_exponent(at, b_n + 3u)));
    }
  }
  return factors;
}

fn stage(held : Held, factors : Factors, i : u32) {
  // unroll
  for (var h = 0u; h < STEPS; h++) {
    for (var n = 0u; n < LOADS; n++) {
      let e = n * WG + i;
      let k = h * STEP_K + e % 4u * 4u;
      for (var d = 0u; d < SQUARE; d++) {
        var rest = held[h][n][d];
        if (COMPONENTS > 1u) { rest = Four(vec4f(rest) * factors[n]); }
        for (var one = 0u; one < COMPONENTS; one++) {
          var now = rest;
          if (one + 1u < COMPONENTS) { now = Four(nearest_four(vec4f(rest))); }
          let line = vec4<f16>(now);
          let depth = one * TILE_K + k + d;
          if (e < TILE_M) {
            let to = depth * PITCH_M + e / 4u * 4u;
            for (var r = 0u; r < SQUARE; r++) { a_half[to + r] = line[r]; }
          } else if (e < TILE_M + TILE_N) {
            let to = depth * PITCH_N + (e - TILE_M) / 4u * 4u;
            for (var r = 0u; r < SQUARE; r++) { b_half[to + r] = line[r]; }
          }
          rest -= now;
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

// First column in its pass of an invocation's square p.
fn line_column(p : u32, i : u32) -> u32 { return (p % PASS_SQUARES * WG_N + column_of(i)) * SQUARE; }
/// First column of c of an invocation's square p, or one past the end.
fn tile_column(at : Region, p : u32, i : u32) -> u32 {
  let x = line_column(p, i);
  let n = x / PASS_N * SUBGROUP_TILE_N + p / PASS_SQUARES * PASS_N + x % PASS_N;
  return select(at.N, at.n0 + n, x < LINE);
}

// Workgroup memory between products: four rows of c, number `quad`, as column x of invocations has them.
fn keep_quad(x : u32, quad : u32, four : vec4f) {
  for (var r = 0u; r < 4u; r++) { c_tile[x * TILE_M + 4u * quad + r] = four[r]; }
}
fn kept_quad(x : u32, quad : u32) -> vec4f { return c_four(x * TILE_M + 4u * quad); }

fn c_four(at : u32) -> vec4f {
  return vec4f(c_tile[at], c_tile[at + 1u], c_tile[at + 2u], c_tile[at + 3u]);
}

// A sum without the powers of two of its operands: half of the inverse at a time, since no f32 may hold all.
fn unscaled(sum : f32, exponents : u32) -> f32 {
  return sum * power_of_two(254u - exponents / 2u) * power_of_two(254u - (exponents + 1u) / 2u);
}
// Four of row m, from column n on.
fn unscaled_four(at : Region, m : u32, n : u32, sums : vec4f) -> vec4f {
  if (COMPONENTS == 1u) { return sums; }
  let a = a_exponent(at, m);
  return vec4f(unscaled(sums.x, a + b_exponent(at, n)), unscaled(sums.y, a + b_exponent(at, n + 1u)),
               unscaled(sums.z, a + b_exponent(at, n + 2u)), unscaled(sums.w, a + b_exponent(at, n + 3u)));
}

/// The sums of invocation i; call from uniform control flow.
@diagnostic(off, chromium.subgroup_matrix_uniformity)
fn product(at : Region, i : u32) -> TileSums {
  let subgroup = i / SUBGROUP;
  let m0 = subgroup / SUBGROUPS_N * PASS_M;
  let x0 = subgroup % SUBGROUPS_N * PASS_N;
  let n0 = subgroup % SUBGROUPS_N * SUBGROUP_TILE_N;
  var sum : array<array<Sum, MATRICES_N>, MATRICES_M>;
  var held : Held;
  let factors = factors_of(at, i);
  if (at.k0 < at.k1) { held = load(at, at.k0, i); }
  for (var k0 = at.k0; k0 < at.k1; k0 += TILE_K) {
    stage(held, factors, i);
    workgroupBarrier();
    if (k0 + TILE_K < at.k1) { held = load(at, k0 + TILE_K, i); }
    for (var k = 0u; k < TILE_K && k0 + k < at.k1; k += MATRIX_K) {
      var columns : array<array<Right, MATRICES_N>, COMPONENTS>;
      // unroll
      for (var one = 0u; one < COMPONENTS; one++) {
        for (var j = 0u; j < MATRICES_N; j++) {
          columns[one][j] = right(one * TILE_K + k, n0 + j * MATRIX_N);
        }
      }
      // unroll
      for (var r = 0u; r < MATRICES_M; r++) {
        let m = r / DOWN * PASS_M * SUBGROUPS_M + m0 + r % DOWN * MATRIX_M;
        for (var one = 0u; one < COMPONENTS; one++) {
          let rows = left(one * TILE_K + k, m);
          for (var other = 0u; other < COMPONENTS; other++) {
            for (var j = 0u; j < MATRICES_N; j++) {
              if (one + other < COMPONENTS) {
                sum[r][j] = subgroupMatrixMultiplyAccumulate(rows, columns[other][j], sum[r][j]);
              }
            }
          }
        }
      }
    }
    workgroupBarrier();
  }
  var own : TileSums;
  // unroll
  for (var q = 0u; q < SQUARES_M; q++) {
    for (var s = 0u; s < PASSES_N; s++) {
      for (var r = 0u; r < DOWN; r++) {
        for (var j = 0u; j < ACROSS; j++) {
          subgroupMatrixStore<row_major>(&c_tile, (m0 + r * MATRIX_M) * LINE + x0 + j * MATRIX_N,
                                         sum[q * DOWN + r][s * ACROSS + j], LINE);
        }
      }
      workgroupBarrier();
      for (var r = 0u; r < SQUARE; r++) {
        for (var e = 0u; e < PASS_SQUARES; e++) {
          let m = q * SQUARE + r;
          let p = s * PASS_SQUARES + e;
          let four = c_four((row_of(i) * SQUARE + r) * LINE + min(line_column(p, i), LINE - SQUARE));
          own[m][p] = unscaled_four(at, tile_row(at, m, i), tile_column(at, p, i), four);
        }
      }
      workgroupBarrier();
    }
  }
  return own;
}
