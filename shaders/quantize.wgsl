// Matrices of integers of 8 or 4 bits, with a factor for each PER_FACTOR neighbours of a row, and back.
//
//   quantize     of a group w with m the element of largest magnitude:
//                8 bits   factor = |m| / 127,  q = round(w / factor) in [-127, 127]
//                4 bits   factor = m / -8,     q = round(w / factor) in [-8, 7]: m itself becomes -8 exactly,
//                         so that all sixteen numbers are used (llama.cpp's Q4_0)
//   dequantize   y[m] = factor q of row m, or of row `index m`; zeros where there is no such row
//
// Layout    source [N, K], its groups counted through; q in two's complement, the first in the lowest bits.
// Mapping   quantize: one invocation per two groups, whose factors are a word; dequantize: one invocation per
//           16 bytes of q (lib/elements.wgsl).
// Traffic   reads the source twice, the second time from the cache.
// Numerics  q is made with the factor as it is stored, rounded to f16. A group below 6e-8 becomes 0.

#import elements  // share_of(group, groups, i, n), linear_group(group, groups), divmod(n, d)
#import dense     // F32, unpacked(word, dtype), INT4, four_of(words, p, dtype)

struct Params {
  n : u32,      // groups, or 16-byte loads of all rows of y
  loads : u32,  // of 16 bytes, of a row
  first : u32,  // this dispatch sees the rows of the matrix from here ...
  end : u32,    // ... to here: one beyond the binding limit takes several
  N : u32,      // rows of the matrix
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> source : array<u32>;          // [N, K] in words
@group(0) @binding(2) var<storage, read_write> values : array<u32>;    // [N, K] in words
@group(0) @binding(3) var<storage, read_write> factors : array<u32>;   // [N, K / PER_FACTOR] f16

const SOURCE : u32 = F32;  // how the source is stored
const B_TYPE : u32 = INT4;
const LOAD : u32 = 32u;    // elements in 16 bytes of q
const PER_FACTOR : u32 = 32u;

const PER_WORD : u32 = LOAD / 4u;
const BITS : u32 = 32u / PER_WORD;

fn source_at(at : u32) -> f32 {
  if (SOURCE == F32) { return bitcast<f32>(source[at]); }
  return unpacked(source[at / 2u], SOURCE)[at % 2u];
}

// The nearest number of f16, ties to even. By arithmetic: pack2x16float may round either way, and a compiler
// may take it out together with unpack2x16float.
fn half_rounded(magnitude : f32) -> f32 {
  let bits = bitcast<u32>(magnitude);
  let normal = bitcast<f32>((bits + 0xfffu + ((bits >> 13u) & 1u)) & 0xffffe000u);
  return select(round(magnitude * 0x1p24) * 0x1p-24, normal, magnitude >= 0x1p-14);
}

// The factor of a group, as f16 holds it.
fn factor_of(start : u32) -> f32 {
  var most = 0.0;
  for (var e = start; e < start + PER_FACTOR; e++) {
    let value = source_at(e);
    if (abs(value) > abs(most)) { most = value; }
  }
  let factor = select(abs(most) / 127.0, most / -8.0, B_TYPE == INT4);
  return sign(factor) * half_rounded(min(abs(factor), 65504.0));
}

// Writes the integers of a group and returns its factor.
fn quantized(group : u32) -> f32 {
  let start = group * PER_FACTOR;
  let factor = factor_of(start);
  let lowest = select(-127.0, -8.0, B_TYPE == INT4);
  let highest = select(127.0, 7.0, B_TYPE == INT4);
  for (var at = 0u; at < PER_FACTOR / PER_WORD; at++) {
    var word = 0u;
    for (var k = 0u; k < PER_WORD; k++) {
      var q = 0.0;
      if (factor != 0.0) {
        q = clamp(round(source_at(start + at * PER_WORD + k) / factor), lowest, highest);
      }
      word |= (bitcast<u32>(i32(q)) & ((1u << BITS) - 1u)) << (k * BITS);
    }
    values[start / PER_WORD + at] = word;
  }
  return factor;
}

@compute @workgroup_size(WG)
fn quantize(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let pair = linear_group(group, groups) * WG + i;
  if (2u * pair >= params.n) { return; }
  var both = vec2f(quantized(2u * pair), 0.0);
  if (2u * pair + 1u < params.n) { both.y = quantized(2u * pair + 1u); }
  factors[pair] = pack2x16float(both);
}

@group(0) @binding(1) var<storage, read> matrix : array<vec4u>;        // [end - first, loads]
@group(0) @binding(2) var<storage, read> row_factors : array<u32>;     // [end - first, K / PER_FACTOR] f16
@group(0) @binding(3) var<storage, read> indices : array<u32>;         // [M], if HAS_INDICES
@group(0) @binding(4) var<storage, read_write> y : array<vec4f>;       // [M, K]

const HAS_INDICES : bool = false;
const FOURS : u32 = LOAD / 4u;

@compute @workgroup_size(WG)
fn dequantize(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let share = share_of(group, groups, i, params.n);
  for (var at = share.first; at < share.end; at += INTERLEAVE) {
    let place = divmod(at, params.loads);
    var row = place.x;
    if (HAS_INDICES) { row = indices[row]; }
    if (row >= params.first && row < params.end) {
      let load = (row - params.first) * params.loads + place.y;
      let group_at = load * LOAD / PER_FACTOR;
      let factor = unpack2x16float(row_factors[group_at / 2u])[group_at % 2u];
      let words = matrix[load];
      for (var p = 0u; p < FOURS; p++) { y[at * FOURS + p] = factor * four_of(words, p, B_TYPE); }
    } else if (row >= params.N && params.first == 0u) {
      for (var p = 0u; p < FOURS; p++) { y[at * FOURS + p] = vec4f(); }
    }
  }
}
