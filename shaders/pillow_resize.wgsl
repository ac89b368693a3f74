// Resizes 8-bit RGBA images along one axis exactly as Pillow's bicubic does: integer weights, an 8-bit
// result.
//
//   y[o] = clamp((2^21 + sum_j weight[o, j] x[first[o] + j]) >> 22, 0, 255), for each channel
//
// Layout    x, y [outer, n or m, inner] of one u32 per pixel, red lowest: columns are resized with inner = 1,
//           rows with inner = the image's width. Weights are 2^22 times Keys' a = -0.5, stretched by max(n /
//           m, 1), normalised; the host makes them in float64, since f32 would miss Pillow's by one.
// Mapping   one invocation per pixel of the result.
// Traffic   reads 4 max(n / m, 1) pixels per pixel, mostly cached, writes one.
// Numerics  positive weights of an output sum to less than 1.5 2^22, and 1.5 2^22 255 < 2^31: no sum
//           overflows i32.

#import index  // linear_group, divmod

struct Params {
  n : u32,         // input pixels of the axis
  m : u32,         // output pixels of the axis
  taps : u32,      // columns of weights
  inner : u32,     // pixels between neighbours along the axis
  begin : u32,     // pixels [begin, end) of the result are made: all, unless it exceeds a binding
  end : u32,
  in_base : u32,   // first pixel of x that is bound
  out_base : u32,  // first pixel of y that is bound
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> windows : array<vec2u>;  // [m]: first input, number of inputs
@group(0) @binding(2) var<storage, read> weights : array<i32>;  // [m, taps], a window has the first few
@group(0) @binding(3) var<storage, read> x : array<u32>;            // [outer, n, inner]
@group(0) @binding(4) var<storage, read_write> y : array<u32>;      // [outer, m, inner]

const WG : u32 = 64u;  // invocations of a workgroup; they share nothing

@compute @workgroup_size(WG)
fn pillow_resize(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                 @builtin(local_invocation_index) i : u32) {
  let at = params.begin + linear_group(group, groups) * WG + i;
  if (at >= params.end) {
    return;
  }
  let place = divmod(at, params.inner);        // line, pixel of it
  let line = divmod(place[0], params.m);       // plane, output of it
  let o = line[1];
  let window = windows[o];
  let start = (line[0] * params.n + window[0]) * params.inner + place[1] - params.in_base;

  var sum = vec4i(1 << 21u);
  for (var j = 0u; j < window[1]; j++) {
    let rgba = x[start + j * params.inner];
    let channels = vec4u(rgba, rgba >> 8u, rgba >> 16u, rgba >> 24u) & vec4u(255u);
    sum += weights[o * params.taps + j] * vec4i(channels);
  }
  let bytes = vec4u(clamp(sum >> vec4u(22u), vec4i(0), vec4i(255)));
  y[at - params.out_base] = bytes.x | (bytes.y << 8u) | (bytes.z << 16u) | (bytes.w << 24u);
}
