// Weights of a matrix product, widened to f32 from 16 bytes at a time: 4 of f32, 8 of f16 or bf16, 16
// integers of 8 bits or 32 of 4, the first in the lowest bits. Integers are in two's complement.

#import packed  // F32, F16, BF16, unpacked(word, dtype)

const INT8 : u32 = 3u;
const INT4 : u32 = 4u;

/// Elements 4 p to 4 p + 3 of 16 bytes.
fn four_of(words : vec4u, p : u32, dtype : u32) -> vec4f {
  if (dtype == INT4) {
    let word = vec4u(words[p / 2u] >> (p % 2u * 16u));
    return vec4f(vec4i(word << vec4u(28u, 24u, 20u, 16u)) >> vec4u(28u));
  }
  if (dtype == INT8) { return vec4f(vec4i(vec4u(words[p]) << vec4u(24u, 16u, 8u, 0u)) >> vec4u(24u)); }
  if (dtype == F32) { return bitcast<vec4f>(words); }
  return vec4f(unpacked(words[2u * p], dtype), unpacked(words[2u * p + 1u], dtype));
}
