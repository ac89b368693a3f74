// By which powers of two the rows of an operand are multiplied before lib/matrix_tile.wgsl splits them into
// two f16: the largest of a row then lies in [2^14, 2^15), below the largest numbers of f16.
//
//   exponents[z,r] = 127 + 14 - floor(log2(max_k |op(source[z])[r,k]|)), at most 253
//
// Layout    exponents are those of f32: 2^(e - 127) has the bits e << 23.
// Mapping   one row per workgroup; invocation i owns the terms i, i + ROW_WG, i + 2 ROW_WG, ...
// Traffic   reads the operand once; of rows that are not contiguous, neighbouring workgroups share lines.
// Numerics  exact.

#import reduce  // own_row(group, groups, i, R), workgroup_max(value, i)

struct Params {
  R : u32,      // rows, of all batch entries
  M : u32,      // of a batch entry
  K : u32,      // terms
  line : u32,   // from one row to the next
  step : u32,   // from one term to the next
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> source : array<f32>;            // [R / M, M, K] or [R / M, K, M]
@group(0) @binding(2) var<storage, read_write> exponents : array<u32>;  // [R]

const HIGHEST : u32 = 268u;  // 127 + 14 + 127: an exponent of f32 and that of its row add up to it

@compute @workgroup_size(WG)
fn matmul_row_exponents(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                        @builtin(local_invocation_index) i : u32) {
  let own = own_row(group, groups, i, params.R);
  let first = own.r / params.M * params.M * params.K + own.r % params.M * params.line;
  var largest = 0.0;
  for (var k = own.lane; k < params.K; k += ROW_WG) {
    largest = max(largest, abs(source[first + k * params.step]));
  }
  let exponent = bitcast<u32>(workgroup_max(largest, i)) >> 23u;
  if (own.index == own.r && own.lane == 0u) { exponents[own.r] = min(HIGHEST - exponent, 253u); }
}
