// Matrix product in registers, with the epilogue of a linear layer: c[z] = epilogue(scale op(a[z]) op(b[z])),
// op(a) [M, K], op(b) [K, N], for each batch entry z. CPUs use it for every matmul, GPUs for at most 8 rows.
//
//   c[m,n] = scale sum_k a[m,k] b[k,n] + bias[n];  pre = c;  c = gelu(c);  c += residual[m,n]
//   each step is optional
//
// Layout    row-major; a is [M, K] or, with TRANSPOSE_A, [K, M]; b is [K, N] or, with TRANSPOSE_B, [N, K].
//           Either may be packed, two elements of 16 bits in a word, and is then widened as it is read.
// Mapping   a workgroup per THREAD_M rows and WG THREAD_N Vecs of columns, batch entry and split; within it
//           as lib/register_tile.wgsl.
// Split     split s sums k in [s k_split, (s + 1) k_split) and writes c[s, z]; `column_sum` adds the splits
//           in order.
// Traffic   reads a once per WG THREAD_N Vecs of columns, b once per THREAD_M rows, and writes c once.
// Numerics  f32, one fma per term, k ascending.

alias Vec = vec4f;                 // or f32 where N is not divisible by 4 or b is transposed
const VEC : u32 = 4u;              // columns in a Vec

#import index          // linear_group(group, groups)
#import packed         // F32, F16, BF16, unpacked(word, dtype)
#import register_tile  // RegisterRegion, register_product(at, terms, i), AVec, A_VEC, THREAD_M, THREAD_N, WG
#import epilogue       // epilogue(sum, at, n)

struct Params {
  M : u32,
  N : u32,         // columns of c, in Vecs
  K : u32,
  k_split : u32,   // terms per split; at least K if there is one split
  a_row : u32,     // from one AVec of rows of op(a) to the next, in AVecs
  a_step : u32,    // from one k to the next, in AVecs
  a_batch : u32,   // from one batch entry of a to the next, in AVecs; 0 if all share one a
  b_batch : u32,   // the same for b, in Vecs
  batch : u32,
  groups_m : u32,  // workgroups along M
  groups_n : u32,  // workgroups along N
  splits : u32,
  scale : f32,
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> a : array<AVec>;  // [batch or 1, M, K] or [batch or 1, K, M / A_VEC]
@group(0) @binding(2) var<storage, read> b : array<Vec>;  // [batch or 1, K, N] or [batch or 1, N, K]
@group(0) @binding(3) var<storage, read_write> c : array<Vec>;        // [splits, batch, M, N]
@group(0) @binding(4) var<storage, read> bias : array<Vec>;           // [N]
@group(0) @binding(5) var<storage, read> residual : array<Vec>;       // [batch, M, N]
@group(0) @binding(6) var<storage, read_write> pre : array<Vec>;      // [batch, M, N]
@group(0) @binding(7) var<storage, read> a_packed : array<PackedA>;   // [as a], where A_TYPE is not F32
@group(0) @binding(8) var<storage, read> b_packed : array<PackedB>;   // [as b], where B_TYPE is not F32

// Specialisation.
const TRANSPOSE_B : bool = false;  // only where Vec is f32
const A_TYPE : u32 = F32;          // how a and b are stored
const B_TYPE : u32 = F32;
alias AVecs = vec4f;               // four elements as AVecs; array<vec4f, 1> where AVec is vec4f
alias Vecs = array<vec4f, 1>;      // four elements as Vecs; vec4f where Vec is f32
alias PackedA = u32;               // vec2u where AVec is vec4f
alias PackedB = vec2u;             // u32 where Vec is f32

// vec2u(x) is x for a vec2u and twice the word for a u32.
fn a_at(at : u32) -> AVec {
  if (A_TYPE == F32) { return a[at]; }
  return AVecs(widened(vec2u(a_packed[select(at / 2u, at, A_VEC == 4u)]), at, A_VEC, A_TYPE))[0];
}
fn b_at(at : u32) -> Vec {
  if (B_TYPE == F32) { return b[at]; }
  return Vecs(widened(vec2u(b_packed[select(at / 2u, at, VEC == 4u)]), at, VEC, B_TYPE))[0];
}

@compute @workgroup_size(WG)
fn matmul(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
          @builtin(local_invocation_id) local : vec3u) {
  let tile = linear_group(group, groups);
  let m0 = tile / params.groups_n % params.groups_m * THREAD_M;
  let n0 = (tile % params.groups_n * WG + local.x) * THREAD_N;
  let plane = tile / (params.groups_n * params.groups_m);  // split * batch + z
  let z = plane % params.batch;
  let split = plane / params.batch;
  if (split >= params.splits) { return; }

  let k0 = split * params.k_split;
  let terms = min(k0 + params.k_split, params.K) - min(k0, params.K);
  let b_col = select(1u, params.K, TRANSPOSE_B);
  let b_step = select(params.N, 1u, TRANSPOSE_B);
  let region = RegisterRegion(m0, n0, params.M, params.N,
                              z * params.a_batch + k0 * params.a_step, params.a_row, params.a_step,
                              z * params.b_batch + k0 * b_step, b_col, b_step);
  var sum = register_product(region, terms, local.x);
  // unroll
  for (var i = 0u; i < THREAD_M; i++) {
    for (var j = 0u; j < THREAD_N; j++) {
      let n = n0 + j;
      if (m0 + i < params.M && n < params.N) {
        let at = (plane * params.M + m0 + i) * params.N + n;
        c[at] = epilogue(sum[i][j], at, n);
      }
    }
  }
}
