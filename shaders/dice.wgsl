// DICE loss of probability maps. Milletari, Navab & Ahmadi 2016, arXiv:1606.04797; the form of VILA-HD's
// trainer.
//
//   inner[b] = 2 sum_n p/100 y + eps,   outer[b] = sum_n p/100 + sum_n y/100 + eps
//   loss     = mean over counted rows of 1 - inner / outer;  0 if no row counts
//   dp       = -dloss / counted rows * (2 y outer - inner) / (100 outer^2)
//
// The factor 1/100 is the reference's guard against overflow in half precision; it makes eps weigh 100 times
// as much.
//
// Layout    p, y, dp [B, N] row-major; partial [B, splits, 2]; rows [B, 2]; row_weight [B].
// Mapping   one workgroup per row and split, then one workgroup for the total. dp: one invocation per cell.
// Traffic   reads p and y once, writes next to nothing; dp reads y again and writes once.

#import index   // linear_group(group, groups)
#import reduce  // ROW_WG, workgroup_sum(value, i)

struct Params {
  B : u32,
  N : u32,            // cells per row
  split_cells : u32,  // cells of a split, a workgroup's
  splits : u32,       // workgroups per row
  eps : f32,          // keeps the quotient of two empty maps at 1
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> p : array<f32>;                // [B, N]
@group(0) @binding(2) var<storage, read> y : array<f32>;                // [B, N]
@group(0) @binding(3) var<storage, read> row_weight : array<f32>;       // [B], if HAS_WEIGHT
@group(0) @binding(4) var<storage, read_write> partial : array<vec2f>;  // [B, splits] sums of p y and p + y
@group(0) @binding(1) var<storage, read> partials : array<vec2f>;       // [B, splits]
@group(0) @binding(4) var<storage, read_write> loss : array<f32>;       // [1]
@group(0) @binding(5) var<storage, read_write> rows : array<vec2f>;     // [B] inner, outer
@group(0) @binding(6) var<storage, read_write> share : array<f32>;      // [1] 1 / counted rows, or 0
@group(0) @binding(4) var<storage, read> row_sums : array<vec2f>;       // [B] inner, outer
@group(0) @binding(5) var<storage, read> row_share : array<f32>;        // [1]
@group(0) @binding(6) var<storage, read> dloss : array<f32>;            // [1]
@group(0) @binding(7) var<storage, read_write> dp : array<f32>;         // [B, N]

const HAS_WEIGHT : bool = false;
const HUNDREDTH : f32 = 0.01;

fn counts(row : u32) -> bool {
  if (HAS_WEIGHT) {
    return row_weight[row] != 0.0;
  }
  return true;
}

@compute @workgroup_size(WG)
fn dice(
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
  var sum = vec2f();
  for (var n = start + i; n < end; n += ROW_WG) {
    let probability = p[row * params.N + n];
    let truth = y[row * params.N + n];
    sum += vec2f(probability * truth, probability + truth);
  }
  let both = workgroup_sum(sum.x, i);
  let either = workgroup_sum(sum.y, i);
  if (i == 0u) {
    partial[job] = vec2f(both, either);
  }
}

@compute @workgroup_size(WG)
fn dice_sum(@builtin(local_invocation_index) i : u32) {
  var sum = 0.0;
  var counted_here = 0.0;
  for (var row = i; row < params.B; row += ROW_WG) {
    var both_either = vec2f();
    for (var split = 0u; split < params.splits; split++) {
      both_either += partials[row * params.splits + split];
    }
    let quotient = both_either * vec2f(2.0, 1.0) * HUNDREDTH + params.eps;
    rows[row] = quotient;
    if (counts(row)) {
      counted_here += 1.0;
      sum += 1.0 - quotient.x / quotient.y;
    }
  }
  let total = workgroup_sum(sum, i);
  let counted = workgroup_sum(counted_here, i);
  if (i == 0u) {
    let each = select(0.0, 1.0 / max(counted, 1.0), counted > 0.0);
    loss[0] = total * each;
    share[0] = each;
  }
}

@compute @workgroup_size(WG)
fn dice_dp(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let cell = linear_group(group, groups) * WG + i;
  if (cell >= params.B * params.N) {
    return;
  }
  let quotient = row_sums[cell / params.N];
  let slope = -HUNDREDTH * (2.0 * y[cell] - quotient.x / quotient.y) / quotient.y;
  dp[cell] = select(0.0, dloss[0] * row_share[0] * slope, counts(cell / params.N));
}
