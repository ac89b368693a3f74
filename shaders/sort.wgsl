// Stable sort of unsigned keys per row, least significant digit first (LSD radix sort, Knuth TAOCP 3, 5.2.5).
//
// One pass per 8-bit digit, three dispatches each:
//   sort_count    counts[digit, split] = how often the digit occurs in the split
//   sort_scan     counts -> first position of every (digit, split), digits outermost
//   sort_scatter  every element goes to that position plus its rank among equal digits before it in the split
//
// Layout    keys, order [B, N]; order holds positions in the row before sorting; counts [B, BINS, splits].
// Mapping   one workgroup per (row, split); the scan has one workgroup per row, invocation i owns digit i.
// Traffic   per pass reads keys twice and order once, writes both once.
// Numerics  integers: any order of the workgroup atomics gives the same counts, so the result is exact and
//           repeatable.

#import index  // linear_group(group, groups)
#import scan   // SCAN_WG, exclusive_scan(value, i)

struct Params {
  B : u32,
  N : u32,
  split_elements : u32,  // elements of a split, a workgroup's
  splits : u32,          // workgroups per row
  shift : u32,           // lowest bit of this pass's digit
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> keys : array<u32>;                // [B, N]
@group(0) @binding(2) var<storage, read> order : array<u32>;  // [B, N], not read in the first pass
@group(0) @binding(3) var<storage, read_write> counts : array<u32>;        // [B, BINS, splits]
@group(0) @binding(4) var<storage, read_write> sorted_keys : array<u32>;   // [B, N]
@group(0) @binding(5) var<storage, read_write> sorted_order : array<u32>;  // [B, N]

const BINS : u32 = 256u;  // = SCAN_WG: the scan gives each invocation one digit
const WG : u32 = 64u;     // elements ranked together: each invocation compares its own with those before it
const NONE : u32 = 0xffffffffu;

var<workgroup> bins : array<atomic<u32>, BINS>;
var<workgroup> digits : array<u32, WG>;

fn digit_of(key : u32) -> u32 {
  return (key >> params.shift) & (BINS - 1u);
}

@compute @workgroup_size(WG)
fn sort_count(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let job = linear_group(group, groups);
  if (job >= params.B * params.splits) {
    return;
  }
  let row = job / params.splits;
  let start = (job % params.splits) * params.split_elements;
  let end = min(start + params.split_elements, params.N);

  for (var bin = i; bin < BINS; bin += WG) {
    atomicStore(&bins[bin], 0u);
  }
  workgroupBarrier();
  for (var n = start + i; n < end; n += WG) {
    atomicAdd(&bins[digit_of(keys[row * params.N + n])], 1u);
  }
  workgroupBarrier();
  for (var bin = i; bin < BINS; bin += WG) {
    counts[(row * BINS + bin) * params.splits + job % params.splits] = atomicLoad(&bins[bin]);
  }
}

@compute @workgroup_size(SCAN_WG)
fn sort_scan(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) digit : u32,
) {
  let row = linear_group(group, groups);
  if (row >= params.B) {
    return;
  }
  let first = (row * BINS + digit) * params.splits;
  var total = 0u;
  for (var c = 0u; c < params.splits; c++) {
    total += counts[first + c];
  }
  var position = exclusive_scan(vec2u(total, 0u), digit).x;
  for (var c = 0u; c < params.splits; c++) {
    let count = counts[first + c];
    counts[first + c] = position;
    position += count;
  }
}

@compute @workgroup_size(WG)
fn sort_scatter(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let job = linear_group(group, groups);
  if (job >= params.B * params.splits) {
    return;
  }
  let row = job / params.splits;
  let start = (job % params.splits) * params.split_elements;
  let end = min(start + params.split_elements, params.N);

  for (var bin = i; bin < BINS; bin += WG) {
    atomicStore(&bins[bin], counts[(row * BINS + bin) * params.splits + job % params.splits]);
  }
  for (var tile = start; tile < end; tile += WG) {
    let n = tile + i;
    var key = 0u;
    var digit = NONE;
    if (n < end) {
      key = keys[row * params.N + n];
      digit = digit_of(key);
    }
    digits[i] = digit;
    workgroupBarrier();
    if (n < end) {
      var position = atomicLoad(&bins[digit]);
      for (var j = 0u; j < i; j++) {
        position += select(0u, 1u, digits[j] == digit);
      }
      sorted_keys[row * params.N + position] = key;
      sorted_order[row * params.N + position] = select(order[row * params.N + n], n, params.shift == 0u);
    }
    workgroupBarrier();
    if (n < end) {
      atomicAdd(&bins[digit], 1u);
    }
    workgroupBarrier();
  }
}
