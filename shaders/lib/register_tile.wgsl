// A matrix product in registers, sum_k a[m,k] b[k,n]: an invocation computes THREAD_M rows and THREAD_N Vecs
// of columns. No workgroup memory and no barrier. CPUs use it for every matmul, GPUs for at most 8 rows.
//
// An importer defines
//   alias Vec                  f32 or vec4f, neighbours along n
//   fn a_at(at : u32) -> AVec  the element of a at an index, or A_VEC rows of one column
//   fn b_at(at : u32) -> Vec   the Vec of b at an index
//
// Mapping   the invocations of a workgroup share their rows and are neighbours along n. Each reads one row in
//           SUBGROUP and broadcasts it, or reads A_VEC rows together; reads of b are contiguous.
// Edges     an index past the end reads the last row or Vec again; the importer does not store the result.
// Numerics  f32, one fma per term, k ascending.

#import broadcast or broadcast_subgroup  // SUBGROUP, lane_of(mine, lane)

// Specialisation.
alias AVec = f32;               // or vec4f, of four rows
const A_VEC : u32 = 1u;         // rows in an AVec; SUBGROUP is 1 where it is 4
const THREAD_M : u32 = 8u;      // rows of c per invocation, a multiple of SUBGROUP and A_VEC
const THREAD_N : u32 = 2u;      // Vecs of c per invocation
const UNROLLED : bool = false;  // unroll the marked loops
// invocations per workgroup, SUBGROUP unless that is 1; 8 fill a SIMD register of a CPU
const WG : u32 = 8u;

const LOAD_M : u32 = SUBGROUP * A_VEC;  // rows of a per load
const LOADS : u32 = THREAD_M / LOAD_M;

alias RegisterSums = array<array<Vec, THREAD_N>, THREAD_M>;

// What an invocation multiplies. All of a counts AVecs, all of b counts Vecs.
struct RegisterRegion {
  m0 : u32,      // first row of c, which its whole workgroup shares
  n0 : u32,      // first Vec of a row of c
  M : u32,       // rows of c
  N : u32,       // Vecs of a row of c
  a0 : u32,      // the first term of row 0
  a_row : u32,   // from one AVec of rows to the next
  a_step : u32,  // from one term to the next
  b0 : u32,      // the first term of Vec 0
  b_col : u32,   // from one Vec of columns to the next
  b_step : u32,  // from one term to the next
}

/// The sums of invocation i of a workgroup; call from uniform control flow, with a uniform number of terms.
fn register_product(at : RegisterRegion, terms : u32, i : u32) -> RegisterSums {
  var row : array<u32, LOADS>;     // where this invocation's rows of a are read next
  // unroll
  for (var r = 0u; r < LOADS; r++) {
    row[r] = at.a0 + min(at.m0 / A_VEC + r * SUBGROUP + i % SUBGROUP, (at.M - 1u) / A_VEC) * at.a_row;
  }
  var col : array<u32, THREAD_N>;  // where each Vec of b is read next
  // unroll
  for (var j = 0u; j < THREAD_N; j++) { col[j] = at.b0 + min(at.n0 + j, at.N - 1u) * at.b_col; }

  var sum : RegisterSums;
  for (var k = 0u; k < terms; k++) {
    var right : array<Vec, THREAD_N>;
    // unroll
    for (var j = 0u; j < THREAD_N; j++) {
      right[j] = b_at(col[j]);
      col[j] += at.b_step;
    }
    // All loads before the first sum: on a CPU each load is a branch per invocation, and sums between them
    // would be spilled each time.
    var mine : array<AVec, LOADS>;
    // unroll
    for (var r = 0u; r < LOADS; r++) {
      mine[r] = a_at(row[r]);
      row[r] += at.a_step;
    }
    // unroll
    for (var r = 0u; r < LOADS; r++) {
      let part = mine[r];
      for (var l = 0u; l < LOAD_M; l++) {
        // vec4f repeats the element of an AVec of one row
        let left = Vec(vec4f(lane_of(part, l))[l % A_VEC]);
        for (var j = 0u; j < THREAD_N; j++) {
          sum[r * LOAD_M + l][j] = fma(left, right[j], sum[r * LOAD_M + l][j]);
        }
      }
    }
  }
  return sum;
}
