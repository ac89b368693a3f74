// Keys of numbers, whose unsigned order is numeric order: -0 equals +0, and NaN, whatever its sign, is the
// largest.

const ZERO_KEY : u32 = 0x80000000u;

fn key_of(bits : u32) -> u32 {
  if ((bits & 0x7fffffffu) > 0x7f800000u) { return 0xffffffffu; }  // NaN, whatever its sign
  let negative = (bits >> 31u) == 1u && (bits << 1u) != 0u;
  return select(bits | ZERO_KEY, ~bits, negative);
}
