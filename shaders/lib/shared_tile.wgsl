// A tile of a matrix product, sum_k op(a)[m,k] op(b)[k,n], through workgroup memory.
//
// An importer defines
//   fn a_run(at : u32) -> vec4f   four neighbours of a, from element `at` on, a multiple of four
//   fn b_run(at : u32) -> vec4f   the same for b
//   fn a_ready(square : mat4x4f, e : u32, k : u32, k1 : u32) -> mat4x4f
//                                 the columns k to k + 3 of a in rows 4 (e / 4) to 4 (e / 4) + 3 of the tile
//                                 as they are multiplied: `before`, or more
//
// Mapping   a workgroup of WG_M x WG_N invocations computes TILE_M x TILE_N of c, an invocation SQUARES_M
//           x SQUARES_N squares of 4 x 4 that are 4 WG_M and 4 WG_N apart; invocations that run together
//           are SUBGROUP_M x SUBGROUP_N neighbours, which read neighbouring vec4 (no bank conflicts).
// Tiles     16 terms of k at a time: an invocation loads squares of 4 x 4 of a and b, four of which share a
//           line of memory, transposes them to k-major in registers and stores four vec4 each. Other
//           workgroups multiply meanwhile. Double buffering takes registers that they need (H200, 4096 x
//           4096 x 4096: 37 instead of 40 TFLOP/s).
// Edges     terms from k1 on are zero; rows and columns past the end have undefined values, which the caller
//           does not store.
// Numerics  f32, one fma per term, k ascending.

// Specialisation.
const TRANSPOSE_A : bool = false;  // m is the contiguous axis of a, not k
const TRANSPOSE_B : bool = false;  // k is the contiguous axis of b, not n
const WG_M : u32 = 8u;             // invocations along M and along N
const WG_N : u32 = 8u;
const SUBGROUP_M : u32 = 8u;       // of these, neighbours that run together
const SUBGROUP_N : u32 = 4u;
const SQUARES_M : u32 = 2u;        // squares of an invocation along M and along N: 1 to 3
const SQUARES_N : u32 = 2u;
const LOADS : u32 = 2u;            // squares that an invocation loads: (TILE_M + TILE_N) / WG, rounded up
const UNROLLED : bool = false;     // unroll the marked loops
const SHORT_END : bool = false;    // the last TILE_K terms may be no more than HALF_K

const WG : u32 = WG_M * WG_N;
const SQUARE : u32 = 4u;
const THREAD_M : u32 = SQUARE * SQUARES_M;  // of c, per invocation
const TILE_M : u32 = WG_M * THREAD_M;       // rows and columns of c per workgroup
const TILE_N : u32 = SQUARE * WG_N * SQUARES_N;
const TILE_K : u32 = 16u;                   // four squares
// Against bank conflicts when four neighbours store at four depths: an odd number of vec4 from one k to the
// next, two more at half of them.
const PITCH_M : u32 = ((TILE_M / 4u) | 1u) + 2u;
const PITCH_N : u32 = ((TILE_N / 4u) | 1u) + 2u;
const HALF_K : u32 = 8u;

alias TileSums = array<array<vec4f, SQUARES_N>, THREAD_M>;  // [row of the invocation][square along N]

// Nested arrays, so that the bound of each index is checked where it is computed, not at every access.
var<workgroup> a_tile : array<array<vec4f, PITCH_M>, TILE_K>;  // [TILE_K, TILE_M / 4], k-major
var<workgroup> b_tile : array<array<vec4f, PITCH_N>, TILE_K>;  // [TILE_K, TILE_N / 4]

// What a workgroup multiplies.
struct Region {
  m0 : u32,      // its first row and column of c
  n0 : u32,
  M : u32,       // rows and columns of c
  N : u32,
  k0 : u32,      // its terms
  k1 : u32,
  a0 : u32,      // where the matrix a starts, and from one of its lines to the next
  a_line : u32,
  b0 : u32,
  b_line : u32,
}

// op(a)[m .. m + 3, k .. k + 3] with one column of the result per k.
fn a_square(at : Region, m : u32, k : u32) -> mat4x4f {
  var square : mat4x4f;
  // unroll
  for (var i = 0u; i < SQUARE; i++) {
    if (TRANSPOSE_A) {
      square[i] = a_run(at.a0 + (k + i) * at.a_line + m);
    } else {
      square[i] = a_run(at.a0 + min(m + i, at.M - 1u) * at.a_line + k);
    }
  }
  if (!TRANSPOSE_A) { square = transpose(square); }
  return square;
}

// op(b)[k .. k + 3, n .. n + 3] with one column of the result per k, zero from k1 on.
fn b_square(at : Region, n : u32, k : u32) -> mat4x4f {
  var square : mat4x4f;
  // unroll
  for (var i = 0u; i < SQUARE; i++) {
    if (TRANSPOSE_B) {
      square[i] = b_run(at.b0 + min(n + i, at.N - 1u) * at.b_line + k);
    } else {
      square[i] = b_run(at.b0 + (k + i) * at.b_line + n);
    }
  }
  if (TRANSPOSE_B) { square = transpose(square); }
  return before(square, k, at.k1);
}

// The columns k, k + 1, ... of a square, zero from k1 on.
fn before(square : mat4x4f, k : u32, k1 : u32) -> mat4x4f {
  if (k + 4u <= k1) { return square; }
  var some : mat4x4f;
  // unroll
  for (var i = 0u; i < SQUARE; i++) { some[i] = select(vec4f(), square[i], k + i < k1); }
  return some;
}

// Squares 0 to TILE_M - 1 are those of a, the next TILE_N those of b: four along k, then along M or N.
fn stage(at : Region, k : u32, i : u32) {
  // unroll
  for (var n = 0u; n < LOADS; n++) {
    let e = n * WG + i;
    let depth = e % 4u * 4u;
    if (e < TILE_M) {
      let square = a_ready(a_square(at, at.m0 + e / 4u * 4u, k + depth), e, k + depth, at.k1);
      for (var d = 0u; d < SQUARE; d++) { a_tile[depth + d][e / 4u + depth / HALF_K * 2u] = square[d]; }
    } else if (e < TILE_M + TILE_N) {
      let square = b_square(at, at.n0 + (e - TILE_M) / 4u * 4u, k + depth);
      for (var d = 0u; d < SQUARE; d++) {
        b_tile[depth + d][(e - TILE_M) / 4u + depth / HALF_K * 2u] = square[d];
      }
    }
  }
}

// Row and column of an invocation among WG_M x WG_N.
fn column_of(i : u32) -> u32 {
  return i % SUBGROUP_N + i / (SUBGROUP_M * SUBGROUP_N) % (WG_N / SUBGROUP_N) * SUBGROUP_N;
}
fn row_of(i : u32) -> u32 { return i / SUBGROUP_N % SUBGROUP_M + i / (SUBGROUP_M * WG_N) * SUBGROUP_M; }
/// Row of c of an invocation's row r, and first column of its square p.
fn tile_row(at : Region, r : u32, i : u32) -> u32 {
  return at.m0 + (r / 4u * WG_M + row_of(i)) * 4u + r % 4u;
}
fn tile_column(at : Region, p : u32, i : u32) -> u32 { return at.n0 + (p * WG_N + column_of(i)) * 4u; }

/// The sums of invocation i; call from uniform control flow.
fn product(at : Region, i : u32) -> TileSums {
  let tx = column_of(i);
  let ty = row_of(i);
  var sum : TileSums;
  for (var k = at.k0; k < at.k1; k += TILE_K) {
    stage(at, k, i);
    workgroupBarrier();
    // unroll
    for (var h = 0u; h < TILE_K / HALF_K; h++) {
      if (!SHORT_END || k + h * HALF_K < at.k1) {
        for (var d = 0u; d < HALF_K; d++) {
          var right : array<vec4f, SQUARES_N>;
          for (var p = 0u; p < SQUARES_N; p++) { right[p] = b_tile[h * HALF_K + d][p * WG_N + tx + h * 2u]; }
          for (var q = 0u; q < SQUARES_M; q++) {
            let left = a_tile[h * HALF_K + d][q * WG_M + ty + h * 2u];
            for (var r = 0u; r < SQUARE; r++) {
              for (var p = 0u; p < SQUARES_N; p++) {
                sum[4u * q + r][p] = fma(vec4f(left[r]), right[p], sum[4u * q + r][p]);
              }
            }
          }
        }
      }
    }
    workgroupBarrier();
  }
  return sum;
}
