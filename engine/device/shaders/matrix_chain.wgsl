// Products of matrix units on operands that stay in registers: the peak for matmul_subgroup_matrix.
//
// Mapping   subgroups with CHAINS sums each that do not wait for each other: sum += left right, `steps`
//           times.
// Result    y gets the first sum of each workgroup: every number is steps MATRIX_K / 16, since left and
//           right hold quarters.

enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;

struct Params {
  steps : u32,
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> quarters : array<f16>;       // [MATRIX_K, 16]: all 0.25
@group(0) @binding(2) var<storage, read_write> y : array<f32>;        // [groups, MATRIX_M, MATRIX_N]

const WG : u32 = 128u;
const MATRIX_M : u32 = 16u;
const MATRIX_N : u32 = 16u;
const MATRIX_K : u32 = 16u;
const CHAINS : u32 = 8u;

alias Left = subgroup_matrix_left<f16, MATRIX_K, MATRIX_M>;
alias Right = subgroup_matrix_right<f16, MATRIX_N, MATRIX_K>;
alias Sum = subgroup_matrix_result<f32, MATRIX_N, MATRIX_M>;

@compute @workgroup_size(WG)
fn matrix_chain(@builtin(workgroup_id) group : vec3u, @builtin(subgroup_id) subgroup : u32) {
  let left = subgroupMatrixLoad<Left, row_major>(&quarters, 0u, MATRIX_K);
  let right = subgroupMatrixLoad<Right, row_major>(&quarters, 0u, MATRIX_N);
  var sum : array<Sum, CHAINS>;
  for (var s = 0u; s < params.steps; s++) {
    for (var j = 0u; j < CHAINS; j++) { sum[j] = subgroupMatrixMultiplyAccumulate(left, right, sum[j]); }
  }
  var total = sum[0];
  // Every chain counts: none may be left out.
  for (var j = 1u; j < CHAINS; j++) {
    if (params.steps == j) { total = sum[j]; }
  }
  if (subgroup == 0u) { subgroupMatrixStore<row_major>(&y, group.x * MATRIX_M * MATRIX_N, total, MATRIX_N); }
}
