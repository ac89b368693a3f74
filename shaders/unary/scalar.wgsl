// The functions of one operand that take a number at a time: erf, sin and cos, and the derivatives of
// these two.
//
//   y1[i]  = f(x1[i])
//   dx1[i] = dy1[i] f'(x1[i])
//
// Layout    x1, y1, dy1, dx1 [n] f32.
// Mapping   shaders/lib/elements.wgsl.
// Numerics  a NaN stays NaN; WGSL may assume that there is none, so bits decide.

#import elements  // share_of(group, groups, i, n)
#import erf       // erf(f32)
#import sine      // sine(f32, turns)

const ERF = 14u;
const SIN = 15u;
const COS = 16u;

const OP : u32 = ERF;
const INFINITE = 0x7f800000u;  // the bits of infinity; those of a NaN without its sign are above

struct Params {
  n : u32,
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> x1 : array<f32>;           // [n]
@group(0) @binding(2) var<storage, read_write> y1 : array<f32>;     // [n]

@compute @workgroup_size(WG)
fn unary_scalar(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let share = share_of(group, groups, i, params.n);
  for (var at = share.first; at < share.end; at += INTERLEAVE) {
    let v = x1[at];
    switch OP {
      case ERF: { y1[at] = select(erf(v), v, (bitcast<u32>(v) & 0x7fffffffu) > INFINITE); }
      case SIN: { y1[at] = sine(v, 0u); }
      default: { y1[at] = sine(v, 1u); }
    }
  }
}

@group(0) @binding(2) var<storage, read> dy1 : array<f32>;          // [n]
@group(0) @binding(3) var<storage, read_write> dx1 : array<f32>;    // [n]

// dx of sin and cos.
@compute @workgroup_size(WG)
fn unary_sine_dx(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let share = share_of(group, groups, i, params.n);
  for (var at = share.first; at < share.end; at += INTERLEAVE) {
    dx1[at] = dy1[at] * sine(x1[at], select(2u, 1u, OP == SIN));
  }
}
