// Counter-based random numbers.
//
//   (w[2b], w[2b+1]) = threefry(counter (b, 0), key (seed, stream))
//   bits      y[e] = w[e]
//   uniform   y[e] = shift + scale (w[e] >> 8) 2^-24                           in [shift, shift + scale)
//   normal    (y[2b], y[2b+1]) = shift + scale sqrt(-2 ln u) (cos a, sin a)    Box & Muller 1958
//             u = (w[2b] + 1/2) 2^-32, a = 2 pi (w[2b+1] 2^-32 - 1/2)
//
// Layout    y [n], u32 for bits, f32 otherwise, written as bits.
// Mapping   shaders/lib/elements.wgsl, which counts blocks b of two elements.
// Numerics  bits and uniform (with scale 1, shift 0) are the same on every adapter; normal differs by what
//           WGSL allows log, cos and sin. |normal| stays below 6.8.

#import elements  // share_of(group, groups, i, n)
#import threefry  // threefry(counter, key)

const BITS = 0u;
const UNIFORM = 1u;
const NORMAL = 2u;
const KIND : u32 = BITS;

const TWO_PI = 6.2831853;

struct Params {
  n : u32,        // blocks
  elements : u32,
  seed : u32,
  stream : u32,
  scale : f32,
  shift : f32,
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read_write> y : array<u32>;    // [elements]

fn shape_words(words : vec2u) -> vec2u {
  switch KIND {
    case UNIFORM: {
      return bitcast<vec2u>(params.shift + params.scale * (vec2f(words >> vec2u(8u)) * 0x1p-24));
    }
    case NORMAL: {
      let radius = sqrt(-2.0 * log((f32(words.x) + 0.5) * 0x1p-32));
      let angle = TWO_PI * (f32(words.y) * 0x1p-32 - 0.5);
      return bitcast<vec2u>(params.shift + params.scale * radius * vec2f(cos(angle), sin(angle)));
    }
    default: { return words; }
  }
}

@compute @workgroup_size(WG)
fn random(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let share = share_of(group, groups, i, params.n);
  for (var b = share.first; b < share.end; b += INTERLEAVE) {
    let pair = shape_words(threefry(vec2u(b, 0u), vec2u(params.seed, params.stream)));
    y[2u * b] = pair.x;
    if (2u * b + 1u < params.elements) { y[2u * b + 1u] = pair.y; }
  }
}
