// Cubic convolution: the position of an output pixel in the input, and the weights of its neighbours. Keys
// 1981, doi:10.1109/TASSP.1981.1163711. PyTorch's plain bicubic has a = -0.75, its antialiased one (and
// Pillow's) a = -0.5.

fn keys(distance : f32, a : f32) -> f32 {
  let t = abs(distance);
  if (t <= 1.0) {
    return ((a + 2.0) * t - (a + 3.0)) * t * t + 1.0;
  }
  if (t < 2.0) {
    return ((a * t - 5.0 * a) * t + 8.0 * a) * t - 4.0 * a;
  }
  return 0.0;
}

struct CubicPosition {
  first : i32,  // first of the four taps, before it is clamped to the image
  t : f32,      // distance from the second tap, in [0, 1)
}

// Output pixel o of m, in an input of n pixels: src = (o + 0.5) n / m - 0.5. In f32, src of a 4K row is off
// by up to 1e-4 pixels and its floor by one; as src + 1 = ((2o + 1) n + m) / 2m the division is exact for
// n m < 2^29.
fn cubic_position(o : u32, n : u32, m : u32) -> CubicPosition {
  let numerator = (2u * o + 1u) * n + m;
  let whole = numerator / (2u * m);
  let remainder = numerator - whole * 2u * m;
  return CubicPosition(i32(whole) - 2, f32(remainder) / f32(2u * m));
}
