// Matrix product through workgroup memory: the same product and epilogue as register.wgsl, for adapters whose
// barriers are cheap.
//
//   c[m,n] = scale sum_k a[m,k] b[k,n] + bias[n];  pre = c;  c = gelu(c);  c += residual[m,n]
//   each step is optional
//
// Layout    row-major; a is [M, K] or, with TRANSPOSE_A, [K, M]; b is [K, N] or, with TRANSPOSE_B, [N, K].
//           Either may be packed, two elements of 16 bits in a word, and is then widened as it is read.
// Mapping   a workgroup per tile of c, batch entry and split; within it as lib/shared_tile.wgsl or, on
//           matrix units, lib/matrix_tile.wgsl says.
// Traffic   reads a once per tile along N, b once per tile along M, and writes c once.
// Split     split s sums k in [s k_split, (s + 1) k_split) and writes c[s, z]; `column_sum` adds the splits
//           in order.
// Streams   matmul_streams: as many workgroups as a GPU runs at a time take equal runs of steps, tile after
//           tile, instead of a tile each, which leaves cores without work in the last wave. stream_sum.wgsl
//           adds what several have of a tile. Stream-K: Osama et al. 2023, arXiv:2301.03598.
// Numerics  f32, one fma per term, k ascending; on matrix units as lib/matrix_tile.wgsl says.

#import index        // linear_group(group, groups)
#import packed       // F32, F16, BF16, unpacked(word, dtype)
// Region, product(at, i), tile_row(at, r, i), tile_column(at, p, i), THREAD_M, SQUARES_N, TRANSPOSE_A,
// TRANSPOSE_B
#import shared_tile or matrix_tile
#import epilogue     // epilogue(sum, at, n)

struct Params {
  M : u32,
  N : u32,         // columns of c
  K : u32,
  k_split : u32,   // terms per split, a multiple of TILE_K; at least K if there is one split
  a_batch : u32,   // from one batch entry of a to the next; 0 if all share one a
  b_batch : u32,   // the same for b
  batch : u32,
  groups_m : u32,  // workgroups along M
  groups_n : u32,  // workgroups along N
  splits : u32,
  scale : f32,
  steps : u32,     // of TILE_K terms, per tile
  run : u32,       // steps per stream
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> a : array<AVec>;  // [batch or 1, M, K] or [batch or 1, K, M]
@group(0) @binding(2) var<storage, read> b : array<BVec>;  // [batch or 1, K, N] or [batch or 1, N, K]
@group(0) @binding(3) var<storage, read_write> c : array<Vec>;        // [splits, batch, M, N] or, of streams,
                                                                      // [tiles + streams, TILE_M, TILE_N]
@group(0) @binding(4) var<storage, read> bias : array<Vec>;           // [N]
@group(0) @binding(5) var<storage, read> residual : array<Vec>;       // [batch, M, N]
@group(0) @binding(6) var<storage, read_write> pre : array<Vec>;      // [batch, M, N]
// a where A_TYPE is not F32, and b likewise: two elements in a word; or, of F32 in two components on matrix
// units, what row_exponents.wgsl has of the rows of a, [batch or 1, M], and the columns of b, [batch or 1, N]
@group(0) @binding(7) var<storage, read> a_packed : array<u32>;       // [ceil(size of a / 2)]
@group(0) @binding(8) var<storage, read> b_packed : array<u32>;       // [ceil(size of b / 2)]

// Specialisation.
alias AVec = vec4f;                // or f32 where the contiguous axis of a is not divisible by 4
alias BVec = vec4f;                // the same for b
alias Vec = vec4f;                 // or f32 where N is not divisible by 4
const A_VEC : u32 = 4u;            // f32 per AVec
const B_VEC : u32 = 4u;            // f32 per BVec
const VEC : u32 = 4u;              // f32 per Vec
const A_TYPE : u32 = F32;          // how a and b are stored; sums are f32 in any case
const B_TYPE : u32 = F32;
alias Vecs = array<vec4f, 1>;      // four columns as Vecs; vec4f where Vec is f32

const VECS : u32 = 4u / VEC;

// The share of a workgroup: split * batch + batch entry, and its region of that matmul.
struct Place {
  plane : u32,
  region : Region,
}

fn place(tile : u32) -> Place {
  let plane = tile / (params.groups_n * params.groups_m);
  let z = plane % params.batch;
  let k0 = plane / params.batch * params.k_split;
  return Place(plane, Region(tile / params.groups_n % params.groups_m * TILE_M,
                             tile % params.groups_n * TILE_N,
                             params.M, params.N, k0, min(k0 + params.k_split, params.K),
                             z * params.a_batch, select(params.K, params.M, TRANSPOSE_A),
                             z * params.b_batch, select(params.N, params.K, TRANSPOSE_B)));
}

// Four neighbours along the contiguous axis. vec4f(x) is x for a vec4f and repeats an f32, so that both
// branches compile for both types.
fn a_run(at : u32) -> vec4f {
  if (A_TYPE != F32) {
    if (A_VEC == 4u) {
      return vec4f(unpacked(a_packed[at / 2u], A_TYPE), unpacked(a_packed[at / 2u + 1u], A_TYPE));
    }
    return vec4f(a_packed_at(at), a_packed_at(at + 1u), a_packed_at(at + 2u), a_packed_at(at + 3u));
  }
  if (A_VEC == 4u) { return vec4f(a[at / 4u]); }
  return vec4f(vec4f(a[at]).x, vec4f(a[at + 1u]).x, vec4f(a[at + 2u]).x, vec4f(a[at + 3u]).x);
}
fn b_run(at : u32) -> vec4f {
  if (B_TYPE != F32) {
    if (B_VEC == 4u) {
      return vec4f(unpacked(b_packed[at / 2u], B_TYPE), unpacked(b_packed[at / 2u + 1u], B_TYPE));
    }
    return vec4f(b_packed_at(at), b_packed_at(at + 1u), b_packed_at(at + 2u), b_packed_at(at + 3u));
  }
  if (B_VEC == 4u) { return vec4f(b[at / 4u]); }
  return vec4f(vec4f(b[at]).x, vec4f(b[at + 1u]).x, vec4f(b[at + 2u]).x, vec4f(b[at + 3u]).x);
}
fn a_packed_at(at : u32) -> f32 { return unpacked(a_packed[at / 2u], A_TYPE)[at % 2u]; }
fn b_packed_at(at : u32) -> f32 { return unpacked(b_packed[at / 2u], B_TYPE)[at % 2u]; }
fn a_exponent(at : Region, m : u32) -> u32 { return a_packed[at.a0 / params.K + m]; }
fn b_exponent(at : Region, n : u32) -> u32 { return b_packed[at.b0 / params.K + n]; }
fn a_ready(square : mat4x4f, e : u32, k : u32, k1 : u32) -> mat4x4f { return before(square, k, k1); }

@compute @workgroup_size(WG)
fn matmul_tiled(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                @builtin(local_invocation_index) i : u32) {
  let at = place(linear_group(group, groups));
  if (at.plane >= params.splits * params.batch) { return; }
  var sum = product(at.region, i);
  // unroll
  for (var r = 0u; r < THREAD_M; r++) {
    let m = tile_row(at.region, r, i);
    for (var p = 0u; p < SQUARES_N; p++) {
      var four = Vecs(sum[r][p]);
      for (var j = 0u; j < VECS; j++) {
        let n = tile_column(at.region, p, i) + j;
        if (m < params.M && n < params.N) {
          let index = ((at.plane * params.M + m) * params.N + n) / VEC;
          c[index] = epilogue(four[j], index, n / VEC);
        }
      }
    }
  }
}

@compute @workgroup_size(WG)
fn matmul_streams(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                  @builtin(local_invocation_index) i : u32) {
  let stream = linear_group(group, groups);
  let steps = params.steps;
  let all = params.batch * params.groups_m * params.groups_n * steps;
  let end = min((stream + 1u) * params.run, all);
  var first = min(stream * params.run, all);
  while (first < end) {
    let tile = first / steps;
    let last = min(end, (tile + 1u) * steps);
    var region = place(tile).region;
    region.k0 = (first - tile * steps) * TILE_K;
    region.k1 = min((last - tile * steps) * TILE_K, params.K);
    let sum = product(region, i);
    // unroll
    for (var r = 0u; r < THREAD_M; r++) {
      let m = tile_row(region, r, i);
      for (var p = 0u; p < SQUARES_N; p++) {
        var four = Vecs(sum[r][p]);
        for (var j = 0u; j < VECS; j++) {
          let n = tile_column(region, p, i) + j;
          if (m < params.M && n < params.N) {
            c[(((tile + stream) * TILE_M + m - region.m0) * TILE_N + n - region.n0) / VEC] = four[j];
          }
        }
      }
    }
    first = last;
  }
}
