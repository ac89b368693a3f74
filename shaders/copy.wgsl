// Copies between a strided and a contiguous arrangement: transposing, slicing, joining and repeating are one kernel each way.
//
//   gather   y[element number] = x[start + sum_d index_d stride_d]    index = mixed-radix digits of the element number
//   place    y[start + sum_d index_d stride_d] = x[begin + element number], or is increased by it
//
// Layout    32-bit elements of any type, moved as bits, four at once where every extent, stride and offset divides by 4. A stride
//           may be negative: arithmetic is modulo 2^32. The host merges axes that are contiguous with each other, so most
//           calls have two or three digits of the six.
// Mapping   shaders/lib/each.wgsl.
// Traffic   reads and writes each value once. Reads of a transpose are strided.

#import each   // share_of(group, groups, i, n)
#import index  // divmod(n, d)

alias Value = u32;     // or vec4u; to add floats, f32 or vec4f
const ADD : bool = false;  // place: adds to y; no two elements may meet
const DIGITS = 6u;     // digits in use, the last ones of the six

struct Params {
  extents : vec4u,       // of digits 1..4; digit 0 has whatever is left
  strides : vec4u,       // of digits 0..3
  last_strides : vec2u,  // of digits 4, 5
  last_extent : u32,     // of digit 5
  n : u32,               // values to copy
  start : u32,           // first value of the strided side
  begin : u32,           // place: first value of x
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> x : array<Value>;         // strided, or [begin + n] for place
@group(0) @binding(2) var<storage, read_write> y : array<Value>;   // [n], or strided for place

struct Digits {
  rest : u32,    // what the higher digits are made of
  offset : u32,  // into the strided side, from the lower digits
}

fn split(digits : Digits, extent : u32, stride : u32) -> Digits {
  let parts = divmod(digits.rest, extent);
  return Digits(parts[0], digits.offset + parts[1] * stride);
}

fn strided(at : u32) -> u32 {
  var digits = Digits(at, params.start);
  // The outermost axis is always digit 0, which needs no division.
  if (DIGITS > 1u) { digits = split(digits, params.last_extent, params.last_strides.y); }
  if (DIGITS > 2u) { digits = split(digits, params.extents.w, params.last_strides.x); }
  if (DIGITS > 3u) { digits = split(digits, params.extents.z, params.strides.w); }
  if (DIGITS > 4u) { digits = split(digits, params.extents.y, params.strides.z); }
  if (DIGITS > 5u) { digits = split(digits, params.extents.x, params.strides.y); }
  return digits.offset + digits.rest * params.strides.x;
}

@compute @workgroup_size(WORKGROUP)
fn gather(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let share = share_of(group, groups, i, params.n);
  for (var at = share.first; at < share.end; at += WORKGROUP) { y[at] = x[strided(at)]; }
}

@compute @workgroup_size(WORKGROUP)
fn place(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let share = share_of(group, groups, i, params.n);
  for (var at = share.first; at < share.end; at += WORKGROUP) {
    let to = strided(at);
    if (ADD) { y[to] += x[params.begin + at]; } else { y[to] = x[params.begin + at]; }
  }
}
