// Gaussian error linear unit. Hendrycks & Gimpel 2016, arXiv:1606.08415.
//
//   erf    y = x/2 (1 + erf(x / sqrt 2))                             dy/dx = (1 + erf(x / sqrt 2))/2 + x e^(-x^2 / 2) / sqrt(2 pi)
//   tanh   y = x/2 (1 + tanh u), u = sqrt(2/pi) (x + 0.044715 x^3)   dy/dx = (1 + tanh u)/2 + x/2 (1 - tanh^2 u) du/dx
//
// Layout    x, y, dy, dx [n] f32; the _vec4 entries read them as vec4f and need n to divide by 4.
// Mapping   one invocation per value (one element or four).
// Numerics  beyond |x| = 10 the factor 1 + erf or 1 + tanh is 0 or 2 up to f32, and is set so: x^3 would overflow, and what
//           remains of a cancelled factor would be multiplied by a large x.

#import index
#import erf

const TANH : bool = false;
const WORKGROUP = 64u;

const BOUND : f32 = 10.0;
const SQRT_HALF : f32 = 0.70710678;
const RSQRT_2PI : f32 = 0.39894228;    // 1 / sqrt(2 pi)
const SQRT_2_OVER_PI : f32 = 0.79788456;
const CUBIC : f32 = 0.044715;

struct Params {
  n : u32,  // values
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> x : array<f32>;            // [n]
@group(0) @binding(2) var<storage, read_write> y : array<f32>;      // [n]

fn gelu_of(v : f32) -> f32 {
  if (v < -BOUND) { return 0.0; }
  if (v > BOUND) { return v; }
  if (TANH) { return 0.5 * v * (1.0 + tanh(SQRT_2_OVER_PI * v * (1.0 + CUBIC * v * v))); }
  return 0.5 * v * (1.0 + erf(v * SQRT_HALF));
}

fn derivative(v : f32) -> f32 {
  if (abs(v) > BOUND) { return select(0.0, 1.0, v > 0.0); }
  if (TANH) {
    let t = tanh(SQRT_2_OVER_PI * v * (1.0 + CUBIC * v * v));
    return 0.5 * (1.0 + t) + 0.5 * v * (1.0 - t * t) * SQRT_2_OVER_PI * (1.0 + 3.0 * CUBIC * v * v);
  }
  return 0.5 * (1.0 + erf(v * SQRT_HALF)) + v * exp(-0.5 * v * v) * RSQRT_2PI;
}

@compute @workgroup_size(WORKGROUP)
fn gelu(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let at = linear_group(group, groups) * WORKGROUP + i;
  if (at < params.n) { y[at] = gelu_of(x[at]); }
}

@group(0) @binding(1) var<storage, read> x4 : array<vec4f>;         // [n]
@group(0) @binding(2) var<storage, read_write> y4 : array<vec4f>;   // [n]

@compute @workgroup_size(WORKGROUP)
fn gelu_vec4(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let at = linear_group(group, groups) * WORKGROUP + i;
  if (at >= params.n) { return; }
  let v = x4[at];
  y4[at] = vec4f(gelu_of(v.x), gelu_of(v.y), gelu_of(v.z), gelu_of(v.w));
}

@group(0) @binding(2) var<storage, read> dy : array<f32>;           // [n]
@group(0) @binding(3) var<storage, read_write> dx : array<f32>;     // [n]

@compute @workgroup_size(WORKGROUP)
fn gelu_dx(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let at = linear_group(group, groups) * WORKGROUP + i;
  if (at < params.n) { dx[at] = dy[at] * derivative(x[at]); }
}

@group(0) @binding(2) var<storage, read> dy4 : array<vec4f>;        // [n]
@group(0) @binding(3) var<storage, read_write> dx4 : array<vec4f>;  // [n]

@compute @workgroup_size(WORKGROUP)
fn gelu_dx_vec4(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let at = linear_group(group, groups) * WORKGROUP + i;
  if (at >= params.n) { return; }
  let v = x4[at];
  dx4[at] = dy4[at] * vec4f(derivative(v.x), derivative(v.y), derivative(v.z), derivative(v.w));
}
