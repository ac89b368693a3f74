// A tile of a matrix product, sum_k op(a)[m,k] op(b)[k,n], through workgroup memory.
//
// Mapping   a workgroup of WG_M x WG_N invocations computes TILE_M x TILE_N of c, an invocation what
//           tile_squares.wgsl says; SQUARES_M and SQUARES_N are 1 to 3. Invocations that run together read
//           neighbouring vec4 (no bank conflicts).
// Tiles     16 terms of k at a time: an invocation loads squares of 4 x 4 of a and b, four of which share a
//           line of memory, transposes them to k-major in registers and stores four vec4 each. Other
//           workgroups multiply meanwhile. Double buffering takes registers that they need (H200, 4096 x
//           4096 x 4096: 37 instead of 40 TFLOP/s).
// Numerics  f32, one fma per term, k ascending.

// Specialisation.
const WG_M : u32 = 8u;             // invocations along M and along N
const WG_N : u32 = 8u;
const SUBGROUP_M : u32 = 8u;       // of these, neighbours that run together
const SUBGROUP_N : u32 = 4u;
const SQUARES_M : u32 = 2u;        // squares of an invocation along M and along N: 1 to 3
const SQUARES_N : u32 = 2u;
const LOADS : u32 = 2u;            // squares that an invocation loads: (TILE_M + TILE_N) / WG, rounded up
const SHORT_END : bool = false;    // the last TILE_K terms may be no more than HALF_K

#import tile_squares  // Region, a_square(at, m, k), b_square(at, n, k), WG, TILE_M, TileSums

const TILE_N : u32 = SQUARE * WG_N * SQUARES_N;
const TILE_K : u32 = 16u;                   // four squares
// Against bank conflicts when four neighbours store at four depths: an odd number of vec4 from one k to the
// next, two more at half of them.
const PITCH_M : u32 = ((TILE_M / 4u) | 1u) + 2u;
const PITCH_N : u32 = ((TILE_N / 4u) | 1u) + 2u;
const HALF_K : u32 = 8u;

// Nested arrays, so that the bound of each index is checked where it is computed, not at every access.
var<workgroup> a_tile : array<array<vec4f, PITCH_M>, TILE_K>;  // [TILE_K, TILE_M / 4], k-major
var<workgroup> b_tile : array<array<vec4f, PITCH_N>, TILE_K>;  // [TILE_K, TILE_N / 4]

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

/// First column of c of an invocation's square p.
fn tile_column(at : Region, p : u32, i : u32) -> u32 { return at.n0 + (p * WG_N + column_of(i)) * 4u; }

// Workgroup memory between products: four rows of c, number `quad`, as column x of invocations has them.
fn keep_quad(x : u32, quad : u32, four : vec4f) { a_tile[x][quad] = four; }
fn kept_quad(x : u32, quad : u32) -> vec4f { return a_tile[x][quad]; }

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
