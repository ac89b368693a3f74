// Sums, sums of squares and maxima over one axis, in a fixed order.
//
//   rows     y[r, p]    = fold_k x[r, k]       k in part p of the row    the reduced axis is the last one
//   columns  y[o, p, i] = fold_k x[o, k, i]    k in part p of the axis   any axis
//
// Layout    x [O, K, I] f32; y [O, parts, I]. A long axis is cut into parts, which a second run folds.
// Mapping   rows: one workgroup per part, invocation i folds values i, i + WG, ..., then the workgroup's tree.
//           columns: one invocation per result, so that neighbouring invocations read neighbouring values.
// Traffic   reads x once.
// Numerics  the order depends on the shape and WG alone, so equal runs give equal bits.

#import index
#import reduce

const SUM = 0u;
const SQUARES = 1u;  // sum of x^2
const MAX = 2u;
const OP : u32 = SUM;
alias Value = f32;   // columns: vec4f where I divides by 4

struct Params {
  groups : u32,   // rows: workgroups at work; columns: values in y
  K : u32,        // values along the reduced axis (rows_vec4: of four elements)
  I : u32,        // values behind it
  parts : u32,    // of the axis
  chunk : u32,    // values of a part
  start : u32,    // rows: where y begins
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> x : array<f32>;           // [O, K]
@group(0) @binding(2) var<storage, read_write> y : array<f32>;     // [start + O * parts]

fn fold_workgroup(value : f32, i : u32) -> f32 {
  if (OP == MAX) { return workgroup_max(value, i); }
  return workgroup_sum(value, i);
}

@compute @workgroup_size(WG)
fn rows(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let g = linear_group(group, groups);
  if (g >= params.groups) { return; }
  let row = g / params.parts;
  let begin = (g - row * params.parts) * params.chunk;
  let end = row * params.K + min(params.K, begin + params.chunk);
  let first = row * params.K + begin;
  var acc = select(0.0, x[first], OP == MAX);
  for (var k = first + i; k < end; k += WG) {
    let v = x[k];
    if (OP == MAX) { acc = max(acc, v); } else { acc += select(v, v * v, OP == SQUARES); }
  }
  let total = fold_workgroup(acc, i);
  if (i == 0u) { y[params.start + g] = total; }
}

@group(0) @binding(1) var<storage, read> x4 : array<vec4f>;        // [O, K], four elements each

@compute @workgroup_size(WG)
fn rows_vec4(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let g = linear_group(group, groups);
  if (g >= params.groups) { return; }
  let row = g / params.parts;
  let begin = (g - row * params.parts) * params.chunk;
  let end = row * params.K + min(params.K, begin + params.chunk);
  let first = row * params.K + begin;
  var acc = select(vec4f(), x4[first], OP == MAX);
  for (var k = first + i; k < end; k += WG) {
    let v = x4[k];
    if (OP == MAX) { acc = max(acc, v); } else { acc += select(v, v * v, OP == SQUARES); }
  }
  let sum = (acc.x + acc.y) + (acc.z + acc.w);
  let highest = max(max(acc.x, acc.y), max(acc.z, acc.w));
  let total = fold_workgroup(select(sum, highest, OP == MAX), i);
  if (i == 0u) { y[params.start + g] = total; }
}

const COLUMNS = 64u;

@group(0) @binding(1) var<storage, read> x_values : array<Value>;         // [O, K, I]
@group(0) @binding(2) var<storage, read_write> y_values : array<Value>;   // [O, parts, I]

@compute @workgroup_size(COLUMNS)
fn columns(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let at = linear_group(group, groups) * COLUMNS + i;
  if (at >= params.groups) { return; }
  let row = at / params.I;
  let column = at - row * params.I;
  let outer = row / params.parts;
  let begin = (row - outer * params.parts) * params.chunk;
  let end = min(params.K, begin + params.chunk);
  let base = outer * params.K * params.I + column;
  var acc = select(Value(), x_values[base + begin * params.I], OP == MAX);
  for (var k = begin; k < end; k++) {
    let v = x_values[base + k * params.I];
    if (OP == MAX) { acc = max(acc, v); } else { acc += select(v, v * v, OP == SQUARES); }
  }
  y_values[at] = acc;
}

// dx of the maximum: dy goes to the first element that equals it.
@group(0) @binding(1) var<storage, read> operand : array<f32>;      // [O, K, I]
@group(0) @binding(2) var<storage, read> maximum : array<f32>;      // [O, I]
@group(0) @binding(3) var<storage, read> dy : array<f32>;           // [O, I]
@group(0) @binding(4) var<storage, read_write> dx : array<f32>;     // [O, K, I]

@compute @workgroup_size(COLUMNS)
fn max_dx(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let at = linear_group(group, groups) * COLUMNS + i;
  if (at >= params.groups) { return; }
  let outer = at / params.I;
  let base = outer * params.K * params.I + (at - outer * params.I);
  var gradient = dy[at];
  for (var k = 0u; k < params.K; k++) {
    let e = base + k * params.I;
    let hit = operand[e] == maximum[at];
    dx[e] = select(0.0, gradient, hit);
    gradient = select(gradient, 0.0, hit);
  }
}
