// Stable sort of unsigned keys per row, least significant digit first (LSD radix sort, Knuth TAOCP 3, 5.2.5).
//
// One pass per 8-bit digit, three dispatches each:
//   sort_count    counts[digit, split] = how often the digit occurs in the split
//   sort_scan     counts -> first position of every (digit, split), digits outermost
//   sort_scatter  every element goes to that position plus its rank among equal digits before it in the split
//
// Layout    keys, order [B, N]; order holds positions in the row before sorting; counts [B, splits, BINS], so
//           that neighbouring invocations have neighbouring digits.
// Mapping   one workgroup per (row, split); the scan has one workgroup per row, invocation i owns digit i.
//           An element's rank is the number of bits before its own in a word per 32 invocations and digit.
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
@group(0) @binding(2) var<storage, read> order : array<u32>;  // [B, N], of no account in the first pass
@group(0) @binding(3) var<storage, read_write> counts : array<u32>;        // [B, splits, BINS]
@group(0) @binding(4) var<storage, read_write> sorted_keys : array<u32>;   // [B, N]
@group(0) @binding(5) var<storage, read_write> sorted_order : array<u32>;  // [B, N]

const BINS : u32 = 256u;  // = SCAN_WG: the scan gives each invocation one digit
const WG : u32 = 64u;     // elements ranked together; the host's choice, a multiple of 32
const WORDS : u32 = WG / 32u;
const IN_FLIGHT : u32 = 8u;      // loads of an invocation that do not wait for each other
const UNROLLED : bool = false;   // unroll the marked loops

var<workgroup> bins : array<atomic<u32>, BINS>;
var<workgroup> having : array<atomic<u32>, BINS * WORDS>;  // [BINS, WORDS]: the invocations with a digit

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
    counts[job * BINS + bin] = atomicLoad(&bins[bin]);
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
  let first = row * params.splits * BINS + digit;
  var total = 0u;
  for (var c = 0u; c < params.splits; c += IN_FLIGHT) {
    var some : array<u32, IN_FLIGHT>;
    // unroll
    for (var k = 0u; k < IN_FLIGHT; k++) { some[k] = counts[first + min(c + k, params.splits - 1u) * BINS]; }
    // unroll
    for (var k = 0u; k < IN_FLIGHT; k++) { total += select(0u, some[k], c + k < params.splits); }
  }
  var position = exclusive_scan(vec2u(total, 0u), digit).x;
  for (var c = 0u; c < params.splits; c += IN_FLIGHT) {
    var some : array<u32, IN_FLIGHT>;
    // unroll
    for (var k = 0u; k < IN_FLIGHT; k++) { some[k] = counts[first + min(c + k, params.splits - 1u) * BINS]; }
    // unroll
    for (var k = 0u; k < IN_FLIGHT; k++) {
      if (c + k < params.splits) { counts[first + (c + k) * BINS] = position; }
      position += some[k];
    }
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

  for (var bin = i; bin < BINS; bin += WG) { atomicStore(&bins[bin], counts[job * BINS + bin]); }
  for (var word = i; word < BINS * WORDS; word += WG) { atomicStore(&having[word], 0u); }
  workgroupBarrier();
  let first = row * params.N;
  let own = i / 32u;
  let bit = 1u << (i % 32u);
  var next = vec2u();  // key and order
  if (start + i < end) { next = vec2u(keys[first + start + i], order[first + start + i]); }
  for (var tile = start; tile < end; tile += WG) {
    let n = tile + i;
    let element = next;
    let digit = digit_of(element.x);
    if (n < end) { atomicOr(&having[digit * WORDS + own], bit); }
    if (n + WG < end) { next = vec2u(keys[first + n + WG], order[first + n + WG]); }
    workgroupBarrier();
    var rank = 0u;
    var all = 0u;
    // unroll
    for (var w = 0u; w < WORDS; w++) {
      let word = atomicLoad(&having[digit * WORDS + w]);
      all += countOneBits(word);
      rank += countOneBits(select(0u, select(word, word & (bit - 1u), w == own), w <= own));
    }
    let position = atomicLoad(&bins[digit]) + rank;
    if (n < end) {
      sorted_keys[first + position] = element.x;
      sorted_order[first + position] = select(element.y, n, params.shift == 0u);
    }
    workgroupBarrier();
    if (n < end && rank == 0u) {
      atomicStore(&bins[digit], position + all);
      for (var w = 0u; w < WORDS; w++) { atomicStore(&having[digit * WORDS + w], 0u); }
    }
    workgroupBarrier();
  }
}
