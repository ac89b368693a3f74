// Conversion between element types.
//
//   f16, bf16   rounded to nearest, ties to even; f16 saturates to +-65504 (infinities too), its subnormals
//               are kept; bf16 overflows to infinity as f32 does; NaN stays NaN
//   integers    floats are truncated toward zero and saturate, NaN gives 0; i32 and u32 exchange bits; to u8,
//               an integer keeps its low 8 bits
//
// Layout    32-bit types one per word; f16 and bf16 two per word, u8 four, the first element in the low bits.
//           The unused rest of the last word is 0.
// Mapping   shaders/lib/elements.wgsl, which counts words of y.
// Numerics  bit arithmetic throughout: pack2x16float may round either way and may flush subnormals, so its
//           results would differ between adapters, and a float operation need not keep a NaN.

#import elements  // share_of(group, groups, i, n)

const F32 = 0u;
const F16 = 1u;
const BF16 = 2u;
const I32 = 3u;
const U32 = 4u;
const U8 = 5u;
const SOURCE : u32 = F32;
const RESULT : u32 = F16;
const PER_WORD : u32 = 2u;  // elements of the result in a word

struct Params {
  n : u32,         // words of y
  elements : u32,
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> x : array<u32>;          // [elements], packed
@group(0) @binding(2) var<storage, read_write> y : array<u32>;    // [elements], packed

// The bits of an element, in the low end of a word.
fn load(e : u32) -> u32 {
  switch SOURCE {
    case F16, BF16: { return (x[e >> 1u] >> ((e & 1u) * 16u)) & 0xffffu; }
    case U8: { return (x[e >> 2u] >> ((e & 3u) * 8u)) & 0xffu; }
    default: { return x[e]; }
  }
}

// value / 2^shift, rounded to nearest, ties to even; 0 < shift < 32.
fn round_shift(value : u32, shift : u32) -> u32 {
  let below_half = (1u << (shift - 1u)) - 1u;
  return (value + below_half + ((value >> shift) & 1u)) >> shift;
}

fn half_to_float(half : u32) -> u32 {
  let sign_bit = (half & 0x8000u) << 16u;
  let magnitude = half & 0x7fffu;
  if (magnitude >= 0x7c00u) { return sign_bit | 0x7f800000u | ((magnitude & 0x3ffu) << 13u); }
  // exponent bias 127 - 15
  if (magnitude >= 0x400u) { return sign_bit | ((magnitude << 13u) + (112u << 23u)); }
  // subnormal: units of 2^-24
  return sign_bit | bitcast<u32>(f32(magnitude) * 0x1p-24);
}

fn float_to_half(bits : u32) -> u32 {
  let sign_bit = (bits >> 16u) & 0x8000u;
  let magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) { return sign_bit | 0x7e00u; }
  if (magnitude >= 0x477ff000u) { return sign_bit | 0x7bffu; }  // from 65520 on, rounding would give infinity
  if (magnitude >= 0x38800000u) { return sign_bit | round_shift(magnitude - (112u << 23u), 13u); }
  let exponent = magnitude >> 23u;
  if (exponent < 102u) { return sign_bit; }                     // below 2^-25: half of the smallest subnormal
  return sign_bit | round_shift((magnitude & 0x7fffffu) | 0x800000u, 126u - exponent);
}

fn float_to_bfloat(bits : u32) -> u32 {
  // keeps a NaN whose payload is in the low half
  if ((bits & 0x7fffffffu) > 0x7f800000u) { return (bits >> 16u) | 0x40u; }
  return round_shift(bits, 16u);
}

fn to_float(bits : u32) -> u32 {
  switch SOURCE {
    case F16: { return half_to_float(bits); }
    case BF16: { return bits << 16u; }
    case I32: { return bitcast<u32>(f32(bitcast<i32>(bits))); }
    case U32, U8: { return bitcast<u32>(f32(bits)); }
    default: { return bits; }
  }
}

// The bits of a float as an integer type, truncated and saturated.
fn float_to_integer(bits : u32) -> u32 {
  if ((bits & 0x7fffffffu) > 0x7f800000u) { return 0u; }
  let negative = bits > 0x7fffffffu;
  // Comparing magnitudes as integers works for infinities too.
  let magnitude = bits & 0x7fffffffu;
  if (RESULT == I32) {
    if (magnitude >= 0x4f000000u) { return select(0x7fffffffu, 0x80000000u, negative); }  // from 2^31 on
    return bitcast<u32>(i32(bitcast<f32>(bits)));
  }
  if (negative) { return 0u; }
  if (RESULT == U8) { return select(u32(min(bitcast<f32>(bits), 255.0)), 255u, magnitude >= 0x437f0000u); }
  if (magnitude >= 0x4f800000u) { return 0xffffffffu; }                                   // from 2^32 on
  return u32(bitcast<f32>(bits));
}

fn convert(bits : u32) -> u32 {
  if (SOURCE >= I32 && RESULT >= I32) { return select(bits, bits & 0xffu, RESULT == U8); }
  switch RESULT {
    case F32: { return to_float(bits); }
    case F16: { return float_to_half(to_float(bits)); }
    case BF16: { return float_to_bfloat(to_float(bits)); }
    default: { return float_to_integer(to_float(bits)); }
  }
}

@compute @workgroup_size(WG)
fn cast_words(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let share = share_of(group, groups, i, params.n);
  for (var word = share.first; word < share.end; word += INTERLEAVE) {
    let first = word * PER_WORD;
    var packed = 0u;
    for (var k = 0u; k < PER_WORD; k++) {
      if (first + k < params.elements) { packed |= convert(load(first + k)) << (k * (32u / PER_WORD)); }
    }
    y[word] = packed;
  }
}
