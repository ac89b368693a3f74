// Dropout: each element is left out with probability p, and the others are scaled up for it.
// Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting".
//
//   y[e]  = x[e] scale where w[e] >= threshold, else x[e] 0        scale = 1 / (1 - p), threshold = p 2^32
//   (w[2b], w[2b+1]) = threefry(counter (b, step), key (seed, stream))
//   dx    = the same of dy
//
// Layout    x, y [elements].
// Mapping   shaders/lib/elements.wgsl, which counts blocks b of two elements.
// Traffic   reads x once, writes y once; no mask is kept.
// Numerics  the same elements are left out on every adapter.

#import elements  // share_of(group, groups, i, n)
#import threefry  // threefry(counter, key)

struct Params {
  n : u32,         // blocks
  elements : u32,
  seed : u32,
  stream : u32,
  step : u32,      // where there are no steps
  threshold : u32,
  scale : f32,
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> x : array<f32>;        // [elements]
@group(0) @binding(2) var<storage, read> steps : array<u32>;    // [1]
@group(0) @binding(3) var<storage, read_write> y : array<f32>;  // [elements]

const ON_GPU : bool = false;  // the number of the step is steps[0]

@compute @workgroup_size(WG)
fn dropout(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  var step = params.step;
  if (ON_GPU) { step = steps[0]; }
  let share = share_of(group, groups, i, params.n);
  for (var b = share.first; b < share.end; b += INTERLEAVE) {
    let words = threefry(vec2u(b, step), vec2u(params.seed, params.stream));
    let factors = select(vec2f(), vec2f(params.scale), words >= vec2u(params.threshold));
    y[2u * b] = x[2u * b] * factors.x;
    if (2u * b + 1u < params.elements) { y[2u * b + 1u] = x[2u * b + 1u] * factors.y; }
  }
}
