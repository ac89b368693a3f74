// A few rows times a matrix, with the epilogue of a linear layer: what a decoder does for each token.
//
//   c[m,n] = scale sum_k a[m,k] b[n,k] + bias[n];  pre = c;  c = gelu(c);  c += residual[m,n]
//   each step is optional; or, with b holding gate [N, K] and up [N, K], SwiGLU (Shazeer 2020,
//   arXiv:2002.05202): c = g sigmoid(g) u,  g = sum_k a[m,k] gate[n,k],  u = sum_k a[m,k] up[n,k]
//
// Layout    a [M, K] f32, c [M, N]; b [N, K], read 16 bytes at a time, in f32, f16, bf16 or integers of
//           8 or 4 bits with a factor for each PER_FACTOR neighbours along k. A matrix beyond the binding
//           limit takes several dispatches, a run of its rows each.
// Mapping   ROW_WG invocations share THREAD_N rows of b and read neighbours along k; on a CPU each
//           invocation has rows of its own.
// Traffic   reads b once: that is what takes time. a comes from the caches.
// Numerics  f32, one fma per term; integers are summed within 16 bytes, and then multiplied by their factor.

alias Vec = f32;

#import reduce    // own_row(group, groups, i, R), workgroup_sum(value, i)
#import dense     // F32, INT8, INT4, four_of(words, p, dtype)
#import epilogue  // epilogue(sum, at, n)
#import sigmoid   // sigmoid(v)

struct Params {
  N : u32,       // columns of c
  first : u32,   // the column that the first row of b makes
  R : u32,       // columns of c that b makes
  loads : u32,   // 16 bytes each, of a row of b
  scale : f32,
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> a : array<vec4f>;            // [M, K]
@group(0) @binding(2) var<storage, read> b : array<vec4u>;            // [PER_COLUMN, R, loads]
@group(0) @binding(3) var<storage, read_write> c : array<f32>;        // [M, N]
@group(0) @binding(4) var<storage, read> bias : array<f32>;           // [N]
@group(0) @binding(5) var<storage, read> residual : array<f32>;       // [M, N]
@group(0) @binding(6) var<storage, read_write> pre : array<f32>;      // [M, N]
@group(0) @binding(7) var<storage, read> factors : array<u32>;        // [PER_COLUMN, R, K / PER_FACTOR] f16

// Specialisation.
const THREAD_M : u32 = 1u;      // rows of a and c
const THREAD_N : u32 = 1u;      // rows of b per invocation
const PER_COLUMN : u32 = 1u;    // rows of b per column of c; 2 are gate and up
const UNROLLED : bool = false;  // unroll the marked loops
const B_TYPE : u32 = F32;
const LOAD : u32 = 4u;    // elements in 16 bytes
const PER_FACTOR : u32 = 32u;  // elements that share a factor, where they are integers

const FOURS : u32 = LOAD / 4u;
const THREAD_COLUMNS : u32 = THREAD_N / PER_COLUMN;  // of c

alias Sums = array<array<f32, THREAD_N>, THREAD_M>;

fn factor_at(at : u32) -> f32 { return unpack2x16float(factors[at / 2u])[at % 2u]; }

@compute @workgroup_size(WG)
fn matmul_rows(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let own = own_row(group, groups, i, (params.R + THREAD_COLUMNS - 1u) / THREAD_COLUMNS);
  var row : array<u32, THREAD_N>;
  // unroll
  for (var j = 0u; j < THREAD_N; j++) {
    let n = min(own.r * THREAD_COLUMNS + j % THREAD_COLUMNS, params.R - 1u);
    row[j] = (n + j / THREAD_COLUMNS * params.R) * params.loads;
  }
  var sum : Sums;
  for (var k = own.lane; k < params.loads; k += ROW_WG) {
    var words : array<vec4u, THREAD_N>;
    // unroll
    for (var j = 0u; j < THREAD_N; j++) { words[j] = b[row[j] + k]; }
    var part = Sums();  // assigned: of a declaration alone, lavapipe keeps what the step before left
    if (B_TYPE < INT8) { part = sum; }
    // unroll
    for (var p = 0u; p < FOURS; p++) {
      for (var j = 0u; j < THREAD_N; j++) {
        let right = four_of(words[j], p, B_TYPE);
        for (var m = 0u; m < THREAD_M; m++) {
          let left = a[(m * params.loads + k) * FOURS + p];
          part[m][j] = fma(left.w, right.w, fma(left.z, right.z, fma(left.y, right.y,
                       fma(left.x, right.x, part[m][j]))));
        }
      }
    }
    // unroll
    for (var m = 0u; m < THREAD_M; m++) {
      for (var j = 0u; j < THREAD_N; j++) {
        if (B_TYPE < INT8) { sum[m][j] = part[m][j]; } else {
          sum[m][j] = fma(factor_at((row[j] + k) * LOAD / PER_FACTOR), part[m][j], sum[m][j]);
        }
      }
    }
  }
  // unroll
  for (var m = 0u; m < THREAD_M; m++) {
    for (var j = 0u; j < THREAD_COLUMNS; j++) {
      var total = workgroup_sum(sum[m][j], i);
      if (PER_COLUMN == 2u) {
        total *= sigmoid(total) * workgroup_sum(sum[m][j + THREAD_N - THREAD_COLUMNS], i);
      }
      let at = own.r * THREAD_COLUMNS + j;
      if (own.index == own.r && own.lane == 0u && at < params.R) {
        let n = params.first + at;
        let index = m * params.N + n;
        c[index] = epilogue(total, index, n);
      }
    }
  }
}
