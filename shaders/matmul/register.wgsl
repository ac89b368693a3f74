// Matrix product in registers, and what a linear layer needs beside it: c[z] = epilogue(scale op(a[z]) op(b[z])), op(a) [M, K], op(b) [K, N], for each batch entry z.
//
//   c[m,n] = scale sum_k a[m,k] b[k,n] + bias[n];  pre = c;  c = gelu(c);  c += residual[m,n]        each step is optional
//
// Layout    row-major; a is [M, K] or, with TRANSPOSE_A, [K, M]; b is [K, N] or, with TRANSPOSE_B, [N, K].
// Mapping   an invocation computes ROWS x COLS lanes of c. Neighbours in a workgroup share their rows: each reads one in LANES and hands
//           it round, or reads QUAD of them at once; reading b is contiguous. No workgroup memory and no barrier: the form for adapters
//           that run on a CPU.
// Split     slice s sums k in [s k_slice, (s + 1) k_slice) and writes c[s, z]; `column_sum` adds the slices in order.
// Edges     an index past the end reads the last row or lane once more and is not stored. A lane is one f32 where N is not divisible
//           by 4 or b is transposed.
// Numerics  f32, one fma per term, k ascending.
//
// matmul_transpose         turned[z,n,m] = rows[z,m,n]: a large product on a CPU first turns a transposed b, to read it contiguously, and,
//                          where nothing can be handed round, an a that is not transposed, to read four rows at once
// matmul_transpose_quads   the same in blocks of 4 x 4

#import index  // linear_group(group, groups)
#import gelu   // gelu_erf(lane), gelu_tanh(lane)
#import broadcast or broadcast_subgroup  // LANES, lane_of(mine, lane)

struct Params {
  M : u32,
  N : u32,         // columns of c, in lanes
  K : u32,
  k_slice : u32,   // terms per slice; at least K if there is one slice
  a_step : u32,    // from one k to the next, in parts; transposing: from one row of the result to the next
  a_batch : u32,   // from one batch entry of a to the next, in parts; 0 if all share one a
  b_batch : u32,   // the same for b, in lanes
  batch : u32,
  groups_m : u32,  // workgroups along M
  groups_n : u32,  // workgroups along N
  slices : u32,
  scale : f32,
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> a : array<Part>;            // [batch or 1, M, K] or [batch or 1, K, M / QUAD]
@group(0) @binding(2) var<storage, read> b : array<Lane>;            // [batch or 1, K, N] or [batch or 1, N, K]
@group(0) @binding(3) var<storage, read_write> c : array<Lane>;      // [slices, batch, M, N]
@group(0) @binding(4) var<storage, read> bias : array<Lane>;         // [N]
@group(0) @binding(5) var<storage, read> residual : array<Lane>;     // [batch, M, N]
@group(0) @binding(6) var<storage, read_write> pre : array<Lane>;    // [batch, M, N]

@group(0) @binding(1) var<storage, read> rows : array<f32>;          // matmul_transpose: [batch, M, N]
@group(0) @binding(2) var<storage, read_write> turned : array<f32>;  // matmul_transpose: [batch, N, a_step], a_step at least M
@group(0) @binding(1) var<storage, read> rows4 : array<vec4f>;       // matmul_transpose_quads: [batch, M, N]
@group(0) @binding(2) var<storage, read_write> turned4 : array<vec4f>;  // matmul_transpose_quads: [batch, 4 N, a_step], 4 a_step at least M

// Specialisation.
alias Lane = vec4f;                // or f32
alias Part = f32;                  // or vec4f, of four rows
const QUAD : u32 = 1u;             // rows in a part; 4 only with TRANSPOSE_A, and LANES is 1 then
const ROWS : u32 = 8u;             // rows of c per invocation, a multiple of LANES and QUAD
const COLS : u32 = 2u;             // lanes of c per invocation
const WIDTH : u32 = 8u;            // invocations per workgroup, LANES unless that is 1; 8 fill one SIMD register of a CPU
const TRANSPOSE_A : bool = false;
const TRANSPOSE_B : bool = false;  // only where Lane is f32
const HAS_BIAS : bool = false;
const HAS_RESIDUAL : bool = false;
const HAS_PRE : bool = false;
const GELU : u32 = 0u;             // 0 none, 1 erf, 2 tanh
const UNROLLED : bool = false;     // unroll the marked loops

const AT_ONCE : u32 = LANES * QUAD;  // rows of a that a load brings

@compute @workgroup_size(WIDTH)
fn matmul(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
          @builtin(local_invocation_id) local : vec3u) {
  let tile = linear_group(group, groups);
  let m0 = tile / params.groups_n % params.groups_m * ROWS;
  let n0 = (tile % params.groups_n * WIDTH + local.x) * COLS;
  let plane = tile / (params.groups_n * params.groups_m);  // slice * batch + z
  let z = plane % params.batch;
  let slice = plane / params.batch;
  if (slice >= params.slices) { return; }

  let k0 = slice * params.k_slice;
  let k1 = min(k0 + params.k_slice, params.K);
  let b_step = select(params.N, 1u, TRANSPOSE_B);

  var row : array<u32, ROWS / AT_ONCE>;  // where this invocation's rows of op(a) are read next
  // unroll
  for (var i = 0u; i < ROWS / AT_ONCE; i++) {
    let m = min(m0 / QUAD + i * LANES + local.x % LANES, (params.M - 1u) / QUAD);
    row[i] = z * params.a_batch + select(m * params.K, m, TRANSPOSE_A) + k0 * params.a_step;
  }
  var col : array<u32, COLS>;  // where each lane of op(b) is read next
  // unroll
  for (var j = 0u; j < COLS; j++) {
    let n = min(n0 + j, params.N - 1u);
    col[j] = z * params.b_batch + select(n, n * params.K, TRANSPOSE_B) + k0 * b_step;
  }

  var sum : array<array<Lane, COLS>, ROWS>;
  for (var k = k0; k < k1; k++) {
    var right : array<Lane, COLS>;
    // unroll
    for (var j = 0u; j < COLS; j++) {
      right[j] = b[col[j]];
      col[j] += b_step;
    }
    // All loads before the first sum: on a CPU each is a branch per invocation, and sums between them would be spilled again and again.
    var mine : array<Part, ROWS / AT_ONCE>;
    // unroll
    for (var i = 0u; i < ROWS / AT_ONCE; i++) {
      mine[i] = a[row[i]];
      row[i] += params.a_step;
    }
    // unroll
    for (var i = 0u; i < ROWS / AT_ONCE; i++) {
      let part = mine[i];
      for (var r = 0u; r < AT_ONCE; r++) {
        let left = Lane(vec4f(lane_of(part, r))[r % QUAD]);  // of a part of one row, vec4f makes four equal ones
        for (var j = 0u; j < COLS; j++) { sum[i * AT_ONCE + r][j] = fma(left, right[j], sum[i * AT_ONCE + r][j]); }
      }
    }
  }

  // unroll
  for (var i = 0u; i < ROWS; i++) {
    for (var j = 0u; j < COLS; j++) {
      let n = n0 + j;
      if (m0 + i < params.M && n < params.N) {
        let at = (plane * params.M + m0 + i) * params.N + n;
        var value = params.scale * sum[i][j];
        if (HAS_BIAS) { value += bias[n]; }
        if (HAS_PRE) { pre[at] = value; }
        if (GELU == 1u) { value = gelu_erf(value); }
        if (GELU == 2u) { value = gelu_tanh(value); }
        if (HAS_RESIDUAL) { value += residual[at]; }
        c[at] = value;
      }
    }
  }
}

const RUN : u32 = 8u;  // numbers of one row that an invocation transposes: it reads side by side, its neighbours write side by side

@compute @workgroup_size(64)
fn matmul_transpose(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                    @builtin(local_invocation_index) i : u32) {
  let index = linear_group(group, groups) * 64u + i;
  let m = index % params.M;
  let runs = (params.N + RUN - 1u) / RUN;
  let n0 = index / params.M % runs * RUN;
  let z = index / params.M / runs;
  if (z >= params.batch) { return; }
  for (var n = n0; n < min(n0 + RUN, params.N); n++) {
    turned[(z * params.N + n) * params.a_step + m] = rows[(z * params.M + m) * params.N + n];
  }
}

@compute @workgroup_size(64)
fn matmul_transpose_quads(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                          @builtin(local_invocation_index) i : u32) {
  let index = linear_group(group, groups) * 64u + i;
  let across = (params.M + 3u) / 4u;
  let m = index % across;
  let runs = (params.N + RUN / 4u - 1u) / (RUN / 4u);
  let n0 = index / across % runs * (RUN / 4u);
  let z = index / across / runs;
  if (z >= params.batch) { return; }
  for (var n = n0; n < min(n0 + RUN / 4u, params.N); n++) {
    var square : mat4x4f;
    for (var q = 0u; q < 4u; q++) { square[q] = rows4[(z * params.M + min(4u * m + q, params.M - 1u)) * params.N + n]; }
    square = transpose(square);
    for (var q = 0u; q < 4u; q++) { turned4[(4u * (z * params.N + n) + q) * params.a_step + m] = square[q]; }
  }
}
