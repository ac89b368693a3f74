// What WGSL leaves open about extreme numbers, pinned down. An implementation may assume that no value is NaN
// or infinite, so neither `x != x` nor a literal infinity is usable: tests look at bits, and masks are
// finite.

// stands in for -infinity: below any finite logit, and LOWEST - LOWEST is 0, not NaN
const LOWEST : f32 = -3.0e38;

// tanh may be computed as (e^x - e^-x) / (e^x + e^-x), which is inf / inf for |x| > 88; in f32 it is +-1 from
// |x| = 9.02 on.
fn safe_tanh(argument : f32) -> f32 {
  return tanh(clamp(argument, -10.0, 10.0));
}

// False for NaN and the infinities: all exponent bits set.
fn is_finite_bits(number : f32) -> bool {
  return (bitcast<u32>(number) & 0x7f800000u) != 0x7f800000u;
}
