// Binary cross-entropy of probabilities, mean over the rows that count.
//
//   cell[b,n] = -(y log p + (1 - y) log(1 - p)),  logs not below -100
//   loss      = sum over counted rows of cell / (counted rows * N);  0 if no row counts
//   dp        = dloss / (counted rows * N) * (p - y) / max(p (1 - p), 1e-12)
//
// Layout    p, y, dp [B, N] row-major; partial [B, splits]; row_weight [B], a row counts where it is not
//           zero.
// Mapping   one workgroup per row and split, then one workgroup for the total. dp: one invocation per cell.
// Traffic   reads p and y once, writes next to nothing; dp reads both again and writes once.
// Numerics  the bounds are PyTorch's (aten/src/ATen/native/Loss.cpp), so that p = 0 and p = 1 give finite
//           results.

#import index   // linear_group(group, groups)
#import numerics  // or_nan(result, operand)
#import reduce  // ROW_WG, workgroup_sum(value, i)

struct Params {
  B : u32,
  N : u32,            // cells per row
  split_cells : u32,  // cells of a split, a workgroup's
  splits : u32,       // workgroups per row
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> p : array<f32>;              // [B, N]
@group(0) @binding(2) var<storage, read> y : array<f32>;              // [B, N]
@group(0) @binding(3) var<storage, read> row_weight : array<f32>;     // [B], if HAS_WEIGHT
@group(0) @binding(4) var<storage, read_write> partial : array<f32>;  // [B, splits]
@group(0) @binding(1) var<storage, read> partials : array<f32>;       // [B, splits]
@group(0) @binding(4) var<storage, read_write> loss : array<f32>;     // [1]
@group(0) @binding(5) var<storage, read_write> share : array<f32>;    // [1] 1 / (counted rows * N), or 0
@group(0) @binding(4) var<storage, read> cell_share : array<f32>;     // [1]
@group(0) @binding(5) var<storage, read> dloss : array<f32>;          // [1]
@group(0) @binding(6) var<storage, read_write> dp : array<f32>;       // [B, N]

const HAS_WEIGHT : bool = false;
const LOG_FLOOR : f32 = -100.0;
// above the smallest normal number: what is below may be flushed to zero
const LOG_FLOOR_AT : f32 = 1.2e-38;
const VARIANCE_FLOOR : f32 = 1.0e-12;

fn counts(row : u32) -> bool {
  if (HAS_WEIGHT) {
    return row_weight[row] != 0.0;
  }
  return true;
}

/// log, bounded below; WGSL leaves log(0) open, and max(NaN, 1) may be 1.
fn bounded_log(x : f32) -> f32 {
  return or_nan(select(log(max(x, LOG_FLOOR_AT)), LOG_FLOOR, x < LOG_FLOOR_AT), x);
}

@compute @workgroup_size(WG)
fn binary_cross_entropy(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let job = linear_group(group, groups);
  if (job >= params.B * params.splits) {
    return;
  }
  let row = job / params.splits;
  let start = (job % params.splits) * params.split_cells;
  let end = min(start + params.split_cells, params.N);
  var sum = 0.0;
  for (var n = start + i; n < end; n += ROW_WG) {
    let probability = p[row * params.N + n];
    let truth = y[row * params.N + n];
    sum -= truth * bounded_log(probability) + (1.0 - truth) * bounded_log(1.0 - probability);
  }
  let total = workgroup_sum(sum, i);
  if (i == 0u) {
    partial[job] = total;
  }
}

@compute @workgroup_size(WG)
fn binary_cross_entropy_sum(@builtin(local_invocation_index) i : u32) {
  var sum = 0.0;
  var rows = 0.0;
  for (var row = i; row < params.B; row += ROW_WG) {
    if (counts(row)) {
      rows += 1.0;
      for (var split = 0u; split < params.splits; split++) {
        sum += partials[row * params.splits + split];
      }
    }
  }
  let total = workgroup_sum(sum, i);
  let counted = workgroup_sum(rows, i);
  if (i == 0u) {
    let each = select(0.0, 1.0 / (max(counted, 1.0) * f32(params.N)), counted > 0.0);
    loss[0] = total * each;
    share[0] = each;
  }
}

@compute @workgroup_size(WG)
fn binary_cross_entropy_dp(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let cell = linear_group(group, groups) * WG + i;
  if (cell >= params.B * params.N) {
    return;
  }
  let probability = p[cell];
  let slope = (probability - y[cell]) / max(probability * (1.0 - probability), VARIANCE_FLOOR);
  dp[cell] = select(0.0, dloss[0] * cell_share[0] * slope, counts(cell / params.N));
}
