// The sine of any f32; WGSL's own may be off by 2^-11, and by anything for large angles.
//
//   near, up to 2^13   n = round(2v/pi), r = v - n pi/2 in three parts, whose products with n are exact
//   far                2v/pi modulo 4 from those 96 bits of 2/pi that matter at v's exponent. Payne & Hanek,
//                      1983, doi:10.1145/1057600.1057602, in the form of sinf in ARM's optimized routines
//   sine               sin r or cos r by the quadrant n, |r| <= pi/4: the polynomials of Cephes' sinf and
//                      cosf
//
// Numerics  absolute error below 1.2e-7; NaN for infinities and NaN, by their bits.
// Names     as in erf.wgsl.

const TWO_13 = 0x46000000u;  // the bits of 2^13
const BEYOND = 0x7f800000u;  // of infinity; a NaN's are above

// The digits of 2/pi in base 2^32, from every eighth bit on.
const TWO_OVER_PI = array<u32, 24>(
  0xa2u, 0xa2f9u, 0xa2f983u, 0xa2f9836eu, 0xf9836e4eu, 0x836e4e44u, 0x6e4e4415u, 0x4e441529u,
  0x441529fcu, 0x1529fc27u, 0x29fc2757u, 0xfc2757d1u, 0x2757d1f5u, 0x57d1f534u, 0xd1f534ddu, 0xf534ddc0u,
  0x34ddc0dbu, 0xddc0db62u, 0xc0db6295u, 0xdb629599u, 0x6295993cu, 0x95993c43u, 0x993c4390u, 0x3c439041u,
);

/// An angle reduced by its quarter turns.
struct Quarters {
  rest : f32,  // within pi / 4
  turns : u32, // modulo 4
}

/// The high word of a product.
fn product_high(left : u32, right : u32) -> u32 {
  let low = (left & 0xffffu) * (right & 0xffffu);
  let middle = (left >> 16u) * (right & 0xffffu) + (low >> 16u);
  let cross = (left & 0xffffu) * (right >> 16u) + (middle & 0xffffu);
  return (left >> 16u) * (right >> 16u) + (middle >> 16u) + (cross >> 16u);
}

fn far_quarters(angle : f32) -> Quarters {
  let magnitude_bits = bitcast<u32>(abs(angle));
  let digit = (magnitude_bits >> 26u) & 15u;
  let mantissa = ((magnitude_bits & 0x7fffffu) | 0x800000u) << ((magnitude_bits >> 23u) & 7u);
  // The quarters as a number of 64 bits, of which two are whole turns.
  let middle = mantissa * TWO_OVER_PI[digit + 4u];
  var low = middle + product_high(mantissa, TWO_OVER_PI[digit + 8u]);
  var high = mantissa * TWO_OVER_PI[digit] + product_high(mantissa, TWO_OVER_PI[digit + 4u]);
  high += select(0u, 1u, low < middle);
  let turns = (high + 0x20000000u) >> 30u;
  high -= turns << 30u;
  let below = high >= 0x80000000u;
  if (below) {
    low = ~low + 1u;
    high = ~high + select(0u, 1u, low == 0u);
  }
  let rest = (f32(high) + f32(low) * 0x1p-32) * 1.4629181e-9;  // pi/2 2^-30
  if (below != (angle < 0.0)) { return Quarters(-rest, select(turns, 0u - turns, angle < 0.0)); }
  return Quarters(rest, select(turns, 0u - turns, angle < 0.0));
}

/// sin(angle + turns pi / 2).
fn sine(angle : f32, turns : u32) -> f32 {
  let magnitude_bits = bitcast<u32>(angle) & 0x7fffffffu;
  let nearest = round(angle * 0.63661977);
  var quarters = Quarters(
    ((angle - nearest * 1.5703125) - nearest * 4.8375130e-4) - nearest * 7.5497894e-8,
    bitcast<u32>(i32(clamp(nearest, -8192.0, 8192.0))),
  );
  if (magnitude_bits > TWO_13) { quarters = far_quarters(angle); }
  let r = quarters.rest;
  let rr = r * r;
  let s = r + r * rr * (-0.16666655 + rr * (8.3321609e-3 - rr * 1.9515296e-4));
  let c = (1.0 - 0.5 * rr) + rr * rr * (4.1666646e-2 + rr * (-1.3887316e-3 + rr * 2.4433157e-5));
  let quadrant = (quarters.turns + turns) & 3u;
  let value = select(s, c, (quadrant & 1u) == 1u);
  let signed = select(value, -value, quadrant >= 2u);
  return select(signed, bitcast<f32>(bitcast<u32>(angle) | 0x7fc00000u), magnitude_bits >= BEYOND);
}
