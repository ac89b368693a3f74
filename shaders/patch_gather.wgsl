// Selected patches of an image at a virtual size, as rows of a matmul. The image is never resized as a
// whole: each pixel of a selected patch is sampled from the source, so the cost depends on the patches, not
// on the image.
//
//   rows[b, s, c P^2 + r P + q] = (sample(image[b, c], y, x) - mean[c]) / std[c]
//   (y, x) = P (cell / X, cell % X) + (r, q),  cell = indices[b, s], or s for every patch
//   sample = bicubic, Keys a = -0.75, edges replicated, no antialiasing
//
// Layout    image [B, 3, H, W] f32, or [B, H, W, 4] u8 with one u32 per pixel (red lowest), which is read as
//           value / 255; rows [B, k, 3 P P]: channel, row, column, as a convolution weight [D, 3, P, P] is
//           laid out.
// Mapping   an invocation takes PIXELS neighbouring pixels of a patch's row, all three channels, so that an
//           RGBA pixel is loaded once: one pixel on a GPU, the whole row on a CPU, where finding the place
//           costs as much as a pixel.
// Traffic   reads up to 16 source pixels per pixel, mostly cached; one where the position falls on a pixel
//           centre (the image's own size, odd integer reductions), and then copied exactly. At the image's
//           own size no positions are computed.

#import index  // linear_group
#import cubic  // keys, cubic_position

struct Params {
  image : vec2u,    // H, W of the source
  scale : vec2u,    // H, W of the virtual image
  P : u32,          // patch side, pixels
  X : u32,          // patches per grid row
  cells : u32,      // patches of the grid
  k : u32,          // patches per image to gather
  gain : vec3f,     // 1 / std, and 1 / 255 if u8
  b : u32,          // first image of this run; here, so that the struct fills 64 bytes without gaps
  offset : vec3f,   // -mean / std
  count : u32,      // images of this run
}
@group(0) @binding(0) var<uniform> params : Params;

alias Scalar = f32;                  // u32 if RGBA
const RGBA : bool = false;
// the image exceeds a binding: one image at a time, each plane in a binding of its own
const SPLIT : bool = false;
const OWN_SIZE : bool = false;  // the virtual image has the source's size
const HAS_INDICES : bool = true;
const PIXELS : u32 = 1u;        // divides P
const WG : u32 = 64u;           // invocations of a workgroup; they share nothing

@group(0) @binding(1) var<storage, read> image : array<Scalar>;  // [B, 3, H, W], or [B, H, W] of packed RGBA
@group(0) @binding(4) var<storage, read> green : array<Scalar>;  // [H, W] of one image if SPLIT and not RGBA
@group(0) @binding(5) var<storage, read> blue : array<Scalar>;  // [H, W] of one image if SPLIT and not RGBA
@group(0) @binding(2) var<storage, read> indices : array<u32>;      // [B, k] raster indices into the grid
@group(0) @binding(3) var<storage, read_write> rows : array<f32>;   // [B, k, 3 * P * P]

// A plane in a binding of its own begins at the multiple of 64 words (256 bytes) at or before its own start.
fn plane_start(plane : u32) -> u32 {
  let start = plane * params.image[0] * params.image[1];
  return select(start, start & 63u, SPLIT);
}

fn source_pixel(b : u32, y : u32, x : u32) -> vec3f {
  let at = y * params.image[1] + x;
  if (RGBA) {
    let rgba = bitcast<u32>(image[plane_start(b) + at]);
    return vec3f(vec3u(rgba, rgba >> 8u, rgba >> 16u) & vec3u(255u));
  }
  let red = plane_start(3u * b) + at;
  let green_at = plane_start(3u * b + 1u) + at;
  let blue_at = plane_start(3u * b + 2u) + at;
  if (SPLIT) {
    return vec3f(bitcast<f32>(image[red]), bitcast<f32>(green[green_at]), bitcast<f32>(blue[blue_at]));
  }
  return vec3f(bitcast<f32>(image[red]), bitcast<f32>(image[green_at]), bitcast<f32>(image[blue_at]));
}

struct Taps {
  first : i32,
  begin : u32,  // taps in use: [begin, end) of 0..4
  end : u32,
  weights : vec4f,
}

fn taps_of(o : u32, n : u32, m : u32) -> Taps {
  let position = cubic_position(o, n, m);
  let t = position.t;
  if (t == 0.0) {
    return Taps(position.first, 1u, 2u, vec4f(0.0, 1.0, 0.0, 0.0));
  }
  let weights = vec4f(keys(1.0 + t, -0.75), keys(t, -0.75), keys(1.0 - t, -0.75), keys(2.0 - t, -0.75));
  return Taps(position.first, 0u, 4u, weights);
}

fn clamped(taps : Taps, tap : u32, n : u32) -> u32 {
  return u32(clamp(taps.first + i32(tap), 0, i32(n) - 1));
}

@compute @workgroup_size(WG)
fn patch_gather(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                @builtin(local_invocation_index) i : u32) {
  let at = linear_group(group, groups) * WG + i;
  let area = params.P * params.P;
  if (at >= params.count * params.k * area / PIXELS) {
    return;
  }
  let slot = params.b * params.k + at / (area / PIXELS);  // of B * k
  let pixel = at % (area / PIXELS) * PIXELS;
  let b = slot / params.k;
  var cell = slot % params.k;
  if (HAS_INDICES) {
    cell = min(indices[slot], params.cells - 1u);
  }
  let top = cell / params.X * params.P + pixel / params.P;
  let left = cell % params.X * params.P + pixel % params.P;

  var taps_y : Taps;
  if (!OWN_SIZE) {
    taps_y = taps_of(top, params.image[0], params.scale[0]);
  }
  for (var q = 0u; q < PIXELS; q++) {
    var sum = vec3f();
    if (OWN_SIZE) {
      sum = source_pixel(b, top, left + q);
    } else {
      let taps_x = taps_of(left + q, params.image[1], params.scale[1]);
      for (var ty = taps_y.begin; ty < taps_y.end; ty++) {
        let y = clamped(taps_y, ty, params.image[0]);
        var across = vec3f();
        for (var tx = taps_x.begin; tx < taps_x.end; tx++) {
          across += taps_x.weights[tx] * source_pixel(b, y, clamped(taps_x, tx, params.image[1]));
        }
        sum += taps_y.weights[ty] * across;
      }
    }
    let normalised = sum * params.gain + params.offset;
    let row = slot * 3u * area + pixel + q;
    rows[row] = normalised.x;
    rows[row + area] = normalised.y;
    rows[row + 2u * area] = normalised.z;
  }
}
