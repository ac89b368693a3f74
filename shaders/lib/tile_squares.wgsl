// Operands of a matrix product in tiles, sum_k op(a)[m,k] op(b)[k,n], read in squares of 4 x 4, and who has
// which sums: what shared_tile.wgsl and matrix_tile.wgsl share.
//
// An importer of those defines
//   fn a_run(at : u32) -> vec4f   four neighbours of a, from element `at` on, a multiple of four
//   fn b_run(at : u32) -> vec4f   the same for b
//   fn a_ready(square : mat4x4f, e : u32, k : u32, k1 : u32) -> mat4x4f
//                                 the columns k to k + 3 of a in rows 4 (e / 4) to 4 (e / 4) + 3 of the tile
//                                 as they are multiplied: `before`, or more; of an e always the same
//                                 invocation asks
//
// Mapping   WG_M x WG_N invocations; one has SQUARES_M x SQUARES_N squares of 4 x 4 of c that are 4 WG_M and
//           4 WG_N apart; invocations that run together are SUBGROUP_M x SUBGROUP_N neighbours.
// Edges     terms from k1 on are zero; rows and columns past the end repeat the last one of an operand that
//           is contiguous along k, and have undefined values otherwise: the caller does not store them.

// Specialisation.
const TRANSPOSE_A : bool = false;  // m is the contiguous axis of a, not k
const TRANSPOSE_B : bool = false;  // k is the contiguous axis of b, not n
const UNROLLED : bool = false;     // unroll the marked loops

const SQUARE : u32 = 4u;
const WG : u32 = WG_M * WG_N;
const THREAD_M : u32 = SQUARE * SQUARES_M;  // of c, per invocation
const TILE_M : u32 = WG_M * THREAD_M;       // rows of c per workgroup

alias TileSums = array<array<vec4f, SQUARES_N>, THREAD_M>;  // [row of the invocation][square along N]

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

// Row and column of an invocation among WG_M x WG_N.
fn column_of(i : u32) -> u32 {
  return i % SUBGROUP_N + i / (SUBGROUP_M * SUBGROUP_N) % (WG_N / SUBGROUP_N) * SUBGROUP_N;
}
fn row_of(i : u32) -> u32 { return i / SUBGROUP_N % SUBGROUP_M + i / (SUBGROUP_M * WG_N) * SUBGROUP_M; }
/// Row of c of an invocation's row r.
fn tile_row(at : Region, r : u32, i : u32) -> u32 {
  return at.m0 + (r / 4u * WG_M + row_of(i)) * 4u + r % 4u;
}
