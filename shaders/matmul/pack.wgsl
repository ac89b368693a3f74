// Packs an operand for subgroup_matrix.wgsl: rounded to f16, in squares of 16 rows (m or n) by 16 terms.
//
//   squares[z, r / 16, k / 16, r % 16, k % 16] = f16(op(source[z])[r,k])
//   and zero past the last row and the last term
//
// Layout    a square has 512 bytes, and those of 16 rows follow each other along k; rows past the end fill a
//           whole tile.
// Mapping   an invocation per eight terms of a row: 32 write one square, side by side.
// Traffic   reads the operand once and writes half as many bytes.
// Numerics  magnitudes above 65504 become infinite, those below 6e-8 zero.

enable f16;

#import index   // linear_group(group, groups)
#import packed  // F32, F16, BF16, unpacked(word, dtype)

struct Params {
  M : u32,         // rows
  K : u32,         // terms
  batch : u32,
  groups_m : u32,  // squares along the rows
  groups_n : u32,  // squares along k
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> source : array<Vec>;  // [batch, M, K], TRANSPOSED [batch, K, M]
// The same where SOURCE is not F32: two elements in a word.
@group(0) @binding(2) var<storage, read> source_packed : array<u32>;  // [ceil(size / 2)]
@group(0) @binding(3) var<storage, read_write> squares : array<vec4u>;  // [batch, groups_m, groups_n, 16, 16]

// Specialisation.
alias Vec = vec4f;                // or f32 where k is not the contiguous axis or K is not divisible by 4
const VEC : u32 = 4u;             // f32 per Vec
const TRANSPOSED : bool = false;  // the rows are the contiguous axis
const SOURCE : u32 = F32;         // how the operand is stored

const SIDE : u32 = 16u;  // of a square
const WG : u32 = 64u;    // invocations of a workgroup; they share nothing

fn word(low : f32, high : f32) -> u32 { return bitcast<u32>(vec2<f16>(f16(low), f16(high))); }

fn value_at(at : u32) -> f32 {
  if (SOURCE == F32) { return vec4f(source[at]).x; }
  return unpacked(source_packed[at / 2u], SOURCE)[at % 2u];
}

// Terms of a row, zero past the end: one, and four from k on.
fn term(start : u32, row : u32, k : u32) -> f32 {
  if (k >= params.K) { return 0.0; }
  return value_at(start + select(row * params.K + k, k * params.M + row, TRANSPOSED));
}
fn terms(start : u32, row : u32, k : u32) -> vec4f {
  if (VEC == 1u) {
    return vec4f(term(start, row, k), term(start, row, k + 1u),
                 term(start, row, k + 2u), term(start, row, k + 3u));
  }
  if (k >= params.K) { return vec4f(); }
  return vec4f(source[(start + row * params.K + k) / 4u]);
}

@compute @workgroup_size(WG)
fn matmul_pack(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
               @builtin(local_invocation_index) i : u32) {
  let index = linear_group(group, groups) * WG + i;
  let square = index / 32u;
  if (square >= params.batch * params.groups_m * params.groups_n) { return; }
  let row = square / params.groups_n % params.groups_m * SIDE + index % 32u / 2u;
  let k = square % params.groups_n * SIDE + index % 2u * 8u;
  let start = square / params.groups_n / params.groups_m * params.M * params.K;
  var low = vec4f();
  var high = vec4f();
  if (row < params.M) {
    low = terms(start, row, k);
    high = terms(start, row, k + 4u);
  }
  squares[index] = vec4u(word(low.x, low.y), word(low.z, low.w), word(high.x, high.y), word(high.z, high.w));
}
