// The gated linear unit of a transformer's MLP, gate and up side by side. Shazeer 2020, arXiv:2002.05202.
//
//   y = gate s(gate) up          s(g) = 1 / (1 + e^-g)
//   dup = dy gate s(gate)        dgate = dy up s(gate) (1 + gate (1 - s(gate)))
//
// Layout    x, dx [R, 2, F]: gate, then up; y, dy [R, F]. F counts Vecs.
// Mapping   shaders/lib/elements.wgsl, over y.
// Traffic   reads x once, writes y once; backward reads x and dy once, writes dx once.
// Numerics  NaN stays NaN.

#import elements  // share_of(group, groups, i, n)
#import index     // divmod(n, d)
#import sigmoid   // sigmoid(v)

struct Params {
  n : u32,  // R F
  F : u32,
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> x : array<Vec>;         // [R, 2, F]
@group(0) @binding(2) var<storage, read_write> y : array<Vec>;   // [R, F]
@group(0) @binding(2) var<storage, read> dy : array<Vec>;        // [R, F]
@group(0) @binding(3) var<storage, read_write> dx : array<Vec>;  // [R, 2, F]

alias Vec = f32;  // vec4f where four divides F

@compute @workgroup_size(WG)
fn swiglu(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let share = share_of(group, groups, i, params.n);
  for (var at = share.first; at < share.end; at += INTERLEAVE) {
    let row = divmod(at, params.F);
    let gate_at = row.x * 2u * params.F + row.y;
    let gate = x[gate_at];
    y[at] = gate * sigmoid(gate) * x[gate_at + params.F];
  }
}

@compute @workgroup_size(WG)
fn swiglu_dx(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let share = share_of(group, groups, i, params.n);
  for (var at = share.first; at < share.end; at += INTERLEAVE) {
    let row = divmod(at, params.F);
    let gate_at = row.x * 2u * params.F + row.y;
    let gate = x[gate_at];
    let s = sigmoid(gate);
    dx[gate_at] = dy[at] * x[gate_at + params.F] * s * (1.0 + gate * (1.0 - s));
    dx[gate_at + params.F] = dy[at] * gate * s;
  }
}
