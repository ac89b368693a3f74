// Widens elements of 16 bits to f32, exactly. There are two in a word, the first in the low half.

const F32 : u32 = 0u;
const F16 : u32 = 1u;
const BF16 : u32 = 2u;

/// The two elements of a word.
fn unpacked(word : u32, dtype : u32) -> vec2f {
  if (dtype == BF16) { return bitcast<vec2f>(vec2u(word << 16u, word & 0xffff0000u)); }
  return unpack2x16float(word);
}

/// Of one or two words with element `at`: for `vec` 1 this element four times, for `vec` 4 the four from it
/// on.
fn widened(words : vec2u, at : u32, vec : u32, dtype : u32) -> vec4f {
  if (vec == 4u) { return vec4f(unpacked(words.x, dtype), unpacked(words.y, dtype)); }
  return vec4f(unpacked(words.x >> (at % 2u * 16u), dtype).x);
}
