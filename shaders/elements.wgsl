// Elements by their index along one axis, and back.
//
//   gather_elements    y[o, j, i] = x[o, n, i], 0 where n is outside the axis
//   scatter_elements   y[o, n, i] = f(y[o, n, i], updates[o, j, i]), nothing where n is outside the axis
//   n = index[o, j, i], or index + N where it is negative (i32)
//
// Layout    x [O, N, I], 32-bit elements of any type, moved as bits; scatter's y [O, N, I] and updates f32,
//           i32 or u32. The index is read with strides, so one list of J may serve all o and i.
// Mapping   gather: one invocation per element of y. scatter: one per o and i, which applies its J updates in
//           order, so that repeated indices need no atomics and equal runs give equal bits; or several, each
//           of which applies the updates to its split of the axis.
// Traffic   gather writes y once; neighbours read along i. scatter reads every update once, and reads and
//           writes the element that it goes to.

#import index     // linear_group(group, groups)
#import numerics  // is_nan

const NONE = 0u;     // the last of several updates wins
const ADD = 1u;
const MUL = 2u;
const MIN = 3u;
const MAX = 4u;
const OP : u32 = NONE;
const SIGNED : bool = true;  // whether indices are i32, of which negative ones count from the end; or u32
alias Scalar = f32;          // of scatter_elements
const FLOAT : bool = true;   // whether a Scalar is one

const WG = 64u;

struct Params {
  groups : u32,     // invocations that have work
  J : u32,
  N : u32,
  I : u32,
  strides : vec3u,  // of the index along o, j, i
  splits : u32,     // of the axis: scatter_elements_split
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> indices : array<i32>;  // [O, J, I], or with strides of 0 fewer
@group(0) @binding(2) var<storage, read> x : array<u32>;                // [O, N, I]
@group(0) @binding(3) var<storage, read_write> y : array<u32>;          // [O, J, I]
@group(0) @binding(2) var<storage, read> updates : array<Scalar>;       // [O, J, I]
@group(0) @binding(3) var<storage, read_write> result : array<Scalar>;  // [O, N, I]

fn index_at(o : u32, j : u32, i : u32) -> u32 {
  let steps = vec3u(o, j, i) * params.strides;
  let index = indices[steps.x + steps.y + steps.z];
  return u32(select(index, index + i32(params.N), SIGNED && index < 0));
}

@compute @workgroup_size(WG)
fn gather_elements(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) lane : u32,
) {
  let at = linear_group(group, groups) * WG + lane;
  if (at >= params.groups) { return; }
  let i = at % params.I;
  let o = at / params.I / params.J;
  let n = index_at(o, at / params.I % params.J, i);
  y[at] = select(0u, x[(o * params.N + min(n, params.N - 1u)) * params.I + i], n < params.N);
}

fn update_at(o : u32, j : u32, i : u32) -> Scalar { return updates[(o * params.J + j) * params.I + i]; }

// The one of the two that is NaN, the extremum where neither is. WGSL may assume that there is none: bits
// decide.
fn extremum_or_nan(extremum : Scalar, one : Scalar, other : Scalar) -> Scalar {
  if (!FLOAT) { return extremum; }
  return select(select(extremum, other, is_nan(f32(other))), one, is_nan(f32(one)));
}

fn combine(to : u32, update : Scalar) {
  switch OP {
    case ADD: { result[to] += update; }
    case MUL: { result[to] *= update; }
    case MIN: { result[to] = extremum_or_nan(min(result[to], update), result[to], update); }
    case MAX: { result[to] = extremum_or_nan(max(result[to], update), result[to], update); }
    default: { result[to] = update; }
  }
}

@compute @workgroup_size(WG)
fn scatter_elements(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) lane : u32,
) {
  let at = linear_group(group, groups) * WG + lane;
  if (at >= params.groups) { return; }
  let o = at / params.I;
  let i = at % params.I;
  for (var j = 0u; j < params.J; j++) {
    let n = index_at(o, j, i);
    if (n >= params.N) { continue; }
    combine((o * params.N + n) * params.I + i, update_at(o, j, i));
  }
}

@compute @workgroup_size(WG)
fn scatter_elements_split(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) lane : u32,
) {
  let at = linear_group(group, groups) * WG + lane;
  if (at >= params.groups) { return; }
  let i = at % params.I;
  let o = at / params.I / params.splits;
  let length = (params.N + params.splits - 1u) / params.splits;
  let first = at / params.I % params.splits * length;
  let end = min(first + length, params.N);
  for (var j = 0u; j < params.J; j += 4u) {  // four loads are in flight together
    let last = params.J - 1u;
    let steps = min(j + vec4u(0u, 1u, 2u, 3u), vec4u(last));
    let n = vec4u(
      index_at(o, j, i), index_at(o, steps.y, i), index_at(o, steps.z, i), index_at(o, steps.w, i));
    let all = array<Scalar, 4>(
      update_at(o, j, i), update_at(o, steps.y, i), update_at(o, steps.z, i), update_at(o, steps.w, i));
    let to = (o * params.N + n) * params.I + i;
    let meets = (n >= vec4u(first)) & (n < vec4u(end));
    if (meets.x) { combine(to.x, all[0]); }
    if (meets.y && j < last) { combine(to.y, all[1]); }
    if (meets.z && j + 1u < last) { combine(to.z, all[2]); }
    if (meets.w && j + 2u < last) { combine(to.w, all[3]); }
  }
}
