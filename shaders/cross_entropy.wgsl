// Cross-entropy of logits against labels, in strips of the vocabulary.
//
//   lse[n]  = log sum_v e^z[n,v]
//   loss    = 1/count sum_n (lse[n] - z[n, label n])          over the rows whose label counts
//   g[n,v]  = dloss / count (e^(z[n,v] - lse[n]) - [v = label n]),  0 in the other rows
//
// The logits z [N, V] of a language model are never stored as a whole. The host loops over strips of columns
// and blocks of rows: a matmul gives the logits of a block; cross_entropy_rows folds them into the state of
// their rows; in the backward pass cross_entropy_slopes makes g of them in place, and the gradients are
// matmuls again.
//
// Layout    logits [R, C] of one block, row-major, C counts vectors; state, lse and labels [N].
// Mapping   ROW_WG invocations per row; the first owns vectors 0, ROW_WG, 2 ROW_WG, ...; one workgroup for
//           the mean.
// Traffic   reads the block once; slopes write it once.
// Numerics  the highest logit so far is subtracted, and the sum rescaled when it grows, so no exponential
//           exceeds 1. A label outside the vocabulary that does not say "ignored" makes its row NaN.

#import reduce    // own_row(group, groups, i, R), workgroup_sum(value, i), workgroup_max(value, i)
#import vector    // Vec, VEC, vec_sum(value), vec_max(value)
#import numerics  // LOWEST, or_nan(result, operand), sum_or_nan(sum)

struct Params {
  R : u32,        // rows of the block
  C : u32,        // vectors per row of the block
  row : u32,      // first row of the block ...
  N : u32,        // ... of so many
  column : u32,   // first column of the strip ...
  V : u32,        // ... of so many
  ignored : u32,  // the label that does not count
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> labels : array<u32>;            // [N]
@group(0) @binding(2) var<storage, read> logits : array<Vec>;            // [R, C]
// of a row: the highest logit so far, the sum of e^(z - highest), the logit of the label, unused
@group(0) @binding(3) var<storage, read_write> state : array<vec4f>;     // [N]

@compute @workgroup_size(WG)
fn cross_entropy_rows(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let own = own_row(group, groups, i, params.R);
  let start = own.r * params.C;
  // Finite from the start: -inf - -inf is NaN.
  var highest = LOWEST;
  var total = Vec();
  for (var first = 0u; first < params.C; first += CHAIN_TERMS) {
    let end = min(params.C, first + CHAIN_TERMS);
    let before = highest;
    var part = Vec();
    for (var c = first + own.lane; c < end; c += ROW_WG) {
      let z = logits[start + c];
      let next = max(highest, vec_max(z));
      part = part * exp(highest - next) + exp(z - next);
      highest = next;
    }
    total = total * exp(before - highest) + part;
  }
  let row_highest = workgroup_max(highest, i);
  let row_total = workgroup_sum(vec_sum(total) * exp(highest - row_highest), i);
  if (own.index >= params.R || own.lane != 0u) { return; }
  let n = params.row + own.r;
  var before = vec4f(LOWEST, 0.0, 0.0, 0.0);
  if (params.column > 0u) { before = state[n]; }
  let top = max(before.x, row_highest);
  let sum = before.y * exp(before.x - top) + row_total * exp(row_highest - top);
  let at = labels[n] - params.column;  // huge where the label comes before the strip
  if (at < params.C * VEC) { before.z = vec4f(vec4(logits[start + at / VEC]))[at % VEC]; }
  state[n] = vec4f(top, sum, before.z, 0.0);
}

@group(0) @binding(2) var<storage, read_write> lse : array<f32>;         // [N]
@group(0) @binding(4) var<storage, read_write> loss : array<f32>;        // [1]
@group(0) @binding(5) var<storage, read_write> count : array<f32>;       // [1] rows that count

@compute @workgroup_size(WG)
fn cross_entropy_mean(@builtin(local_invocation_index) i : u32) {
  var sum = 0.0;
  var counted = 0.0;
  for (var n = i; n < params.N; n += ROW_WG) {
    let row = state[n];
    let label = labels[n];
    let counts = label != params.ignored;
    // sum_or_nan makes NaN of zero
    let total = sum_or_nan(select(row.y, 0.0, counts && label >= params.V));
    let row_lse = row.x + or_nan(log(total), total);
    lse[n] = row_lse;
    if (counts) {
      sum += row_lse - row.z;
      counted += 1.0;
    }
  }
  let all = workgroup_sum(sum, i);
  let all_counted = workgroup_sum(counted, i);
  if (i == 0u) {
    loss[0] = all / max(all_counted, 1.0);
    count[0] = all_counted;
  }
}

@group(0) @binding(2) var<storage, read_write> slopes : array<Vec>;      // [R, C] the logits, then g
@group(0) @binding(3) var<storage, read> row_lses : array<f32>;          // [N]
@group(0) @binding(4) var<storage, read> dloss : array<f32>;             // [1]
@group(0) @binding(5) var<storage, read> counted_rows : array<f32>;      // [1]

alias Vecs = vec4f;  // a vec4f as Vecs: array<vec4f, 1> where Vec is vec4f

// 1 at the label, which is element `at` of the vector, and 0 beside it.
fn one_hot(at : u32) -> Vec {
  return Vecs(select(vec4f(), vec4f(1.0), vec4u(0u, 1u, 2u, 3u) == vec4u(at)))[0];
}

@compute @workgroup_size(WG)
fn cross_entropy_slopes(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let own = own_row(group, groups, i, params.R);
  if (own.index >= params.R) { return; }
  let start = own.r * params.C;
  let n = params.row + own.r;
  let label = labels[n];
  let row_lse = row_lses[n];
  let share = select(dloss[0] / max(counted_rows[0], 1.0), 0.0, label == params.ignored);
  let factor = or_nan(share, row_lse);
  for (var c = own.lane; c < params.C; c += ROW_WG) {
    let value = exp(slopes[start + c] - row_lse) - one_hot(label - params.column - c * VEC);
    slopes[start + c] = factor * value;
  }
}
