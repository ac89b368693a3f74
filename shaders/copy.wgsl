// Copies between a strided and a contiguous layout. Transposing, slicing, concatenating and repeating are one
// kernel in each direction.
//
//   gather   y[element number] = x[start + sum_d index_d stride_d]
//   place    y[start + sum_d index_d stride_d] = x[begin + element number], or is increased by it
//   index    the mixed-radix digits of the element number
//
// Layout    32-bit elements of any type, moved as bits, four together where every extent, stride and offset
//           divides by 4. A stride may be negative: arithmetic is modulo 2^32. The host merges axes that are
//           contiguous with each other, so most calls have two or three digits of the six.
// Mapping   shaders/lib/elements.wgsl.
// Traffic   reads and writes each element once. A transpose reads with a stride.

#import elements   // share_of(group, groups, i, n)
#import index  // divmod(n, d)

alias Vec = u32;           // or vec4u; to add floats, f32 or vec4f
const ADD : bool = false;  // place: adds to y; no two elements may have one target
const DIGITS = 6u;         // digits in use, the last ones of the six

struct Params {
  extents : vec4u,       // of digits 1..4; digit 0 has whatever is left
  strides : vec4u,       // of digits 0..3
  last_strides : vec2u,  // of digits 4, 5
  last_extent : u32,     // of digit 5
  n : u32,               // Vecs to copy
  start : u32,           // first Vec of the strided side
  begin : u32,           // place: first Vec of x
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> x : array<Vec>;         // strided, or [begin + n] for place
@group(0) @binding(2) var<storage, read_write> y : array<Vec>;   // [n], or strided for place

// The digits of a number, the outermost first: `outer` has the digits 0..3, `inner` 4 and 5.
struct Digits {
  outer : vec4u,
  inner : vec2u,
}

// [carry, digit] of a sum below twice the extent.
fn carried(sum : u32, extent : u32) -> vec2u {
  let over = sum >= extent;
  return vec2u(u32(over), select(sum, sum - extent, over));
}

fn digits_of(at : u32) -> Digits {
  var digits = Digits(vec4u(at, 0u, 0u, 0u), vec2u());
  var parts = vec2u(at, 0u);
  // The outermost axis is always digit 0, which needs no division.
  if (DIGITS > 1u) { parts = divmod(parts[0], params.last_extent); digits.inner.y = parts[1]; }
  if (DIGITS > 2u) { parts = divmod(parts[0], params.extents.w); digits.inner.x = parts[1]; }
  if (DIGITS > 3u) { parts = divmod(parts[0], params.extents.z); digits.outer.w = parts[1]; }
  if (DIGITS > 4u) { parts = divmod(parts[0], params.extents.y); digits.outer.z = parts[1]; }
  if (DIGITS > 5u) { parts = divmod(parts[0], params.extents.x); digits.outer.y = parts[1]; }
  digits.outer.x = parts[0];
  return digits;
}

// The digits of the sum of two numbers, without divisions: an invocation's next position.
fn plus(a : Digits, b : Digits) -> Digits {
  var digits = Digits(a.outer + b.outer, a.inner + b.inner);
  var parts = vec2u();
  if (DIGITS > 1u) { parts = carried(digits.inner.y, params.last_extent); digits.inner.y = parts[1]; }
  if (DIGITS > 2u) {
    parts = carried(digits.inner.x + parts[0], params.extents.w); digits.inner.x = parts[1];
  }
  if (DIGITS > 3u) {
    parts = carried(digits.outer.w + parts[0], params.extents.z); digits.outer.w = parts[1];
  }
  if (DIGITS > 4u) {
    parts = carried(digits.outer.z + parts[0], params.extents.y); digits.outer.z = parts[1];
  }
  if (DIGITS > 5u) {
    parts = carried(digits.outer.y + parts[0], params.extents.x); digits.outer.y = parts[1];
  }
  digits.outer.x += parts[0];
  return digits;
}

fn strided(digits : Digits) -> u32 {
  let outer = digits.outer * params.strides;
  let inner = digits.inner * params.last_strides;
  return params.start + (outer.x + outer.y) + (outer.z + outer.w) + (inner.x + inner.y);
}

@compute @workgroup_size(WG)
fn gather(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let share = share_of(group, groups, i, params.n);
  let step = digits_of(INTERLEAVE);
  var digits = digits_of(share.first);
  for (var at = share.first; at < share.end; at += INTERLEAVE) {
    y[at] = x[strided(digits)];
    digits = plus(digits, step);
  }
}

@compute @workgroup_size(WG)
fn place(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let share = share_of(group, groups, i, params.n);
  let step = digits_of(INTERLEAVE);
  var digits = digits_of(share.first);
  for (var at = share.first; at < share.end; at += INTERLEAVE) {
    let to = strided(digits);
    if (ADD) { y[to] += x[params.begin + at]; } else { y[to] = x[params.begin + at]; }
    digits = plus(digits, step);
  }
}
