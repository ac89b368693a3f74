// Defines what WGSL leaves open about extreme numbers. An implementation may assume that no value is NaN
// or infinite, so neither `x != x` nor a literal infinity is usable: tests look at bits, and masks are
// finite.

const LOWEST : f32 = -3.4028234e38;  // the lowest number there is

fn is_nan(number : f32) -> bool { return (bitcast<u32>(number) & 0x7fffffffu) > 0x7f800000u; }

// The operand where it is NaN, otherwise the result: of NaN, one driver's exp makes infinity, its log 89.
fn or_nan(result : f32, operand : f32) -> f32 { return select(result, operand, is_nan(operand)); }

// A sum of exponentials of which the largest is 1. NaN replaces infinity and zero: one of the exponents
// was NaN or infinite, or all were -infinity.
fn sum_or_nan(sum : f32) -> f32 {
  let bits = bitcast<u32>(sum);
  return select(sum, bitcast<f32>(bits | 0x7fc00000u), sum == 0.0 || (bits & 0x7f800000u) == 0x7f800000u);
}
