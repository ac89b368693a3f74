// The k largest elements of each row, ties to the lower index, by radix selection.
// Alabi et al. 2012, "Fast k-selection algorithms for graphics processing units".
//
//   key(x)  = bits of x, remapped so that unsigned order is numeric order (-0 equals +0, NaN is the largest)
//   three histograms of 11, 11 and 10 key bits narrow the row down to the k-th largest key T
//   position of element n = #{m < n : key > T} + min(#{m < n : key = T}, E)
//   E = k - #{key > T}, how many of the equal ones are taken
//
// Layout    values [B, N]; totals [B, 3, BINS] zeroed by the host; progress [B, 3]; counts [B, splits].
// Mapping   one workgroup per (row, split of the row). Every workgroup first evaluates the totals of the
//           dispatch before: for 2048 of them that is cheaper than another dispatch.
// Traffic   reads values five times, writes the map once.
// Numerics  integers only: the atomics give the same counts in any order, so the result is exact and
//           repeatable.

#import index  // linear_group(group, groups)
#import key    // ZERO_KEY, key_of(bits)
#import scan   // SCAN_WG, exclusive_scan(value, i), scan_total()

struct Params {
  B : u32,
  N : u32,
  k : u32,
  split_elements : u32,  // elements of a split, a workgroup's
  splits : u32,          // workgroups per row
  digit : u32,           // which of the three digits, the highest first
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> values : array<u32>;                 // [B, N], the bits of f32
@group(0) @binding(2) var<storage, read_write> totals : array<atomic<u32>>;   // [B, 3, BINS]
// progress: the leading key bits of T, and how many to take of the elements that share them
@group(0) @binding(3) var<storage, read_write> progress : array<vec2u>;  // [B, 3]
@group(0) @binding(4) var<storage, read_write> counts : array<vec2u>;    // [B, splits] above T, equal to T
@group(0) @binding(5) var<storage, read_write> indices : array<u32>;     // [B, k] ascending
@group(0) @binding(6) var<storage, read_write> selection : array<f32>;   // [B, N] 1 where selected, else 0
// selected_keys: in the order of `indices`, then zeros
@group(0) @binding(7) var<storage, read_write> selected_keys : array<u32>;   // [B, 4 ceil(k / 4)]
@group(0) @binding(7) var<storage, read> key_runs : array<vec4u>;  // as selected_keys, [B, ceil(k / 4)]
@group(0) @binding(7) var<storage, read> order : array<u32>;  // [B, k] places in `indices`, descending
@group(0) @binding(6) var<storage, read_write> keys : array<u32>;            // [B, k]
@group(0) @binding(6) var<storage, read_write> sorted_indices : array<u32>;  // [B, k]
@group(0) @binding(8) var<storage, read_write> sorted_values : array<u32>;   // [B, k], the bits of f32

const FROM_MAP : bool = false;  // select every element that is not zero instead of the largest k
const BINS : u32 = 2048u;
const RUN : u32 = 4u;           // neighbours per invocation and step, and keys of a run
const IN_FLIGHT : u32 = 1u;     // loads of an invocation in flight together
const SHARED : bool = false;    // top_k_rank: a workgroup per run, whose invocations share the others

var<workgroup> bins : array<atomic<u32>, BINS>;
var<workgroup> resolved : vec2u;

fn digit_shift(digit : u32) -> u32 {
  return select(select(0u, 10u, digit == 1u), 21u, digit == 0u);
}

/// progress after `digit`: goes through that digit's totals from the largest bin down to the one with the
/// k-th largest key.
fn resolve(row : u32, digit : u32, i : u32) -> vec2u {
  let each = BINS / SCAN_WG;
  let first = (row * 3u + digit) * BINS;
  let top = BINS - 1u - i * each;
  var own = 0u;
  for (var j = 0u; j < each; j++) {
    own += atomicLoad(&totals[first + top - j]);
  }
  var above = exclusive_scan(vec2u(own, 0u), i).x;
  var known = vec2u(0u, params.k);
  if (digit > 0u) {
    known = progress[row * 3u + digit - 1u];
  }
  if (above < known.y && known.y <= above + own) {
    for (var j = 0u; j < each; j++) {
      let count = atomicLoad(&totals[first + top - j]);
      if (above < known.y && known.y <= above + count) {
        let width = select(11u, 10u, digit == 2u);
        resolved = vec2u((known.x << width) | (top - j), known.y - above);
      }
      above += count;
    }
  }
  workgroupBarrier();
  return resolved;
}

/// The elements first, first + SCAN_WG, ... of a row; past the end the last one again.
fn values_from(row : u32, first : u32, end : u32) -> array<u32, IN_FLIGHT> {
  var some : array<u32, IN_FLIGHT>;
  for (var load = 0u; load < IN_FLIGHT; load++) {
    some[load] = values[row * params.N + min(first + load * SCAN_WG, end - 1u)];
  }
  return some;
}

/// x: the element is above the threshold, y: equal to it.
fn compare(bits : u32, threshold : u32) -> vec2u {
  let key = key_of(bits);
  if (FROM_MAP) {
    return vec2u(select(0u, 1u, key != ZERO_KEY), 0u);
  }
  return vec2u(select(0u, 1u, key > threshold), select(0u, 1u, key == threshold));
}

@compute @workgroup_size(SCAN_WG)
fn top_k_histogram(
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

  for (var bin = i; bin < BINS; bin += SCAN_WG) {
    atomicStore(&bins[bin], 0u);
  }
  var known = vec2u();
  if (params.digit > 0u) {
    known = resolve(row, params.digit - 1u, i);
    if (start == 0u && i == 0u) {
      progress[row * 3u + params.digit - 1u] = known;
    }
  }
  workgroupBarrier();
  let shift = digit_shift(params.digit);
  let known_shift = digit_shift(max(params.digit, 1u) - 1u);
  let mask = select(2047u, 1023u, params.digit == 2u);
  for (var first = start + i; first < end; first += IN_FLIGHT * SCAN_WG) {
    let some = values_from(row, first, end);
    for (var load = 0u; load < IN_FLIGHT; load++) {
      let key = key_of(some[load]);
      let inside = first + load * SCAN_WG < end;
      if (inside && (params.digit == 0u || (key >> known_shift) == known.x)) {
        atomicAdd(&bins[(key >> shift) & mask], 1u);
      }
    }
  }
  workgroupBarrier();
  for (var bin = i; bin < BINS; bin += SCAN_WG) {
    let count = atomicLoad(&bins[bin]);
    if (count > 0u) {
      atomicAdd(&totals[(row * 3u + params.digit) * BINS + bin], count);
    }
  }
}

@compute @workgroup_size(SCAN_WG)
fn top_k_count(
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

  var threshold = 0u;
  if (!FROM_MAP) {
    let known = resolve(row, 2u, i);
    if (start == 0u && i == 0u) {
      progress[row * 3u + 2u] = known;
    }
    threshold = known.x;
  }
  var own = vec2u();
  for (var first = start + i; first < end; first += IN_FLIGHT * SCAN_WG) {
    let some = values_from(row, first, end);
    for (var load = 0u; load < IN_FLIGHT; load++) {
      own += select(vec2u(), compare(some[load], threshold), first + load * SCAN_WG < end);
    }
  }
  let before = exclusive_scan(own, i);
  if (i == SCAN_WG - 1u) {
    counts[job] = before + own;
  }
}

@compute @workgroup_size(SCAN_WG)
fn top_k_emit(
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

  var threshold = vec2u();
  if (!FROM_MAP) {
    threshold = progress[row * 3u + 2u];
  }
  var earlier = vec2u();
  for (var c = row * params.splits + i; c < job; c += SCAN_WG) {
    earlier += counts[c];
  }
  exclusive_scan(earlier, i);
  var seen = scan_total();

  let runs = (params.k + RUN - 1u) / RUN;
  if (!FROM_MAP && start == 0u && params.k + i < runs * RUN) {
    selected_keys[row * runs * RUN + params.k + i] = 0u;  // nothing is below
  }
  for (var tile = start; tile < end; tile += SCAN_WG * RUN) {
    let first = tile + i * RUN;
    var own = vec2u();
    for (var n = first; n < min(first + RUN, end); n++) {
      own += compare(values[row * params.N + n], threshold.x);
    }
    var before = seen + exclusive_scan(own, i);
    seen += scan_total();
    for (var n = first; n < min(first + RUN, end); n++) {
      let kind = compare(values[row * params.N + n], threshold.x);
      let chosen = kind.x == 1u || (kind.y == 1u && before.y < threshold.y);
      let position = before.x + min(before.y, threshold.y);
      if (chosen && position < params.k) {
        indices[row * params.k + position] = n;
        if (!FROM_MAP) {
          selected_keys[row * runs * RUN + position] = key_of(values[row * params.N + n]);
        }
      }
      if (!FROM_MAP) {
        selection[row * params.N + n] = select(0.0, 1.0, chosen);
      }
      before += kind;
    }
  }
}

/// How many of `others` are above each of `own`.
fn above(others : vec4u, own : vec4u) -> vec4u {
  return select(vec4u(), vec4u(1u), others.xxxx > own) + select(vec4u(), vec4u(1u), others.yyyy > own)
    + select(vec4u(), vec4u(1u), others.zzzz > own) + select(vec4u(), vec4u(1u), others.wwww > own);
}

/// How many of `others` are above each of `own` or equal to it.
fn at_least(others : vec4u, own : vec4u) -> vec4u {
  return select(vec4u(), vec4u(1u), others.xxxx >= own) + select(vec4u(), vec4u(1u), others.yyyy >= own)
    + select(vec4u(), vec4u(1u), others.zzzz >= own) + select(vec4u(), vec4u(1u), others.wwww >= own);
}

/// Puts every selected element at its rank, the number of larger ones and of equal ones before it.
@compute @workgroup_size(SCAN_WG)
fn top_k_rank(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let runs = (params.k + RUN - 1u) / RUN;
  let group_index = linear_group(group, groups);
  let job = select(group_index * SCAN_WG + i, group_index, SHARED);
  let start = job / runs * params.k;
  let home = job % runs;
  let first = home * RUN;
  var rank = vec4u();
  if (job < params.B * runs) {
    let own = key_runs[job];
    let step = select(1u, SCAN_WG, SHARED);
    var other = select(0u, i, SHARED);
    while (other < home) {
      rank += at_least(key_runs[job - home + other], own);
      other += step;
    }
    while (other < runs) {
      rank += above(key_runs[job - home + other], own);
      other += step;
    }
    if (!SHARED || i == 0u) {  // equal ones of the same run
      rank.y += select(0u, 1u, own.x == own.y);
      rank.z += select(0u, 1u, own.x == own.z) + select(0u, 1u, own.y == own.z);
      rank.w += select(0u, 1u, own.x == own.w) + select(0u, 1u, own.y == own.w) +
                select(0u, 1u, own.z == own.w);
    }
  }
  if (SHARED) {
    let halves = vec2u(rank.x | (rank.y << 16u), rank.z | (rank.w << 16u));  // k is 4096 at most
    exclusive_scan(halves, i);
    let all = scan_total();
    rank = vec4u(all.x & 0xffffu, all.x >> 16u, all.y & 0xffffu, all.y >> 16u);
  }
  if (job >= params.B * runs || (SHARED && i > 0u)) {
    return;
  }
  for (var e = 0u; e < min(RUN, params.k - first); e++) {
    let index = indices[start + first + e];
    sorted_indices[start + rank[e]] = index;
    sorted_values[start + rank[e]] = values[start / params.k * params.N + index];
  }
}

/// Keys whose ascending order is the descending order of the selected elements.
@compute @workgroup_size(SCAN_WG)
fn top_k_descending_keys(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let element = linear_group(group, groups) * SCAN_WG + i;
  if (element < params.B * params.k) {
    keys[element] = ~key_of(values[element / params.k * params.N + indices[element]]);
  }
}

@compute @workgroup_size(SCAN_WG)
fn top_k_place(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let element = linear_group(group, groups) * SCAN_WG + i;
  if (element < params.B * params.k) {
    let row = element / params.k;
    let index = indices[row * params.k + order[element]];
    sorted_indices[element] = index;
    sorted_values[element] = values[row * params.N + index];
  }
}
