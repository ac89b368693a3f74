// The next token of each row: the most probable one, or one drawn by its probability.
// Penalty of repetitions: Keskar et al. 2019, arXiv:1909.05858; top-p: Holtzman et al. 2020,
// arXiv:1904.09751.
//
//   x[v]   = logits[v]; where seen, divided by the penalty if positive, multiplied if negative
//   w[v]   = exp((x[v] - max x) / temperature)
//   kept   the top_k largest; of these the fewest whose weights reach top_p of theirs; ties to the lower id
//   token  the first v at which the sum of the kept w up to v exceeds u times their sum
//   u      a random word 2^-32: threefry(counter (step, 0), key (seed, row))
//
// Layout    logits [B, V]; seen [B, ceil(V / 32)], a bit for each id; steps [B], tokens drawn so far.
// Mapping   one workgroup per row; invocation i reads i, i + WG, ..., and in the end a run of neighbours.
// Traffic   greedy reads logits once; otherwise twice, and 32 times for each of top-k and top-p, which look
//           for the bits of the smallest kept x one by one.
// Numerics  weights are integers, of 2^-31 each, and their sums of 64 bits: exact in any order. A token less
//           probable than 2^-32 of the most probable one is never drawn.

#import index     // linear_group(group, groups)
#import key       // ZERO_KEY, key_of(bits)
#import threefry  // threefry(counter, key)

struct Params {
  B : u32,
  V : u32,
  temperature : f32,
  penalty : f32,
  top_k : u32,  // 0: all
  top_p : u32,  // of 2^32; 0: all
  seed : u32,
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> logits : array<f32>;        // [B, V]
@group(0) @binding(2) var<storage, read_write> seen : array<u32>;    // [B, ceil(V / 32)]
@group(0) @binding(3) var<storage, read_write> steps : array<u32>;   // [B]
@group(0) @binding(4) var<storage, read_write> weights : array<u32>; // [B, V]
@group(0) @binding(5) var<storage, read_write> tokens : array<u32>;  // [B]

// Specialisation.
const PENALISED : bool = true;  // seen counts, and is written
const GREEDY : bool = false;    // takes the first of the largest

const SIDE : u32 = 16u;
const WG : u32 = SIDE * SIDE;
const ALL : u32 = 0xffffffffu;
const LOWEST_KEY : u32 = 0x00800000u;  // of the lowest finite number
const ONE : f32 = 0x1p31;              // the largest weight

// Numbers of 64 bits: [low, high].
fn plus(a : vec2u, b : vec2u) -> vec2u {
  let low = a.x + b.x;
  return vec2u(low, a.y + b.y + select(0u, 1u, low < a.x));
}
fn minus(a : vec2u, b : vec2u) -> vec2u {
  return vec2u(a.x - b.x, a.y - b.y - select(0u, 1u, a.x < b.x));
}
fn below(a : vec2u, b : vec2u) -> bool { return a.y < b.y || (a.y == b.y && a.x < b.x); }
fn times(a : u32, b : u32) -> vec2u {
  let low = (a & 0xffffu) * (b & 0xffffu);
  let first = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
  let second = (a & 0xffffu) * (b >> 16u) + (first & 0xffffu);
  return vec2u((second << 16u) | (low & 0xffffu), (a >> 16u) * (b >> 16u) + (first >> 16u) + (second >> 16u));
}
/// floor(part 2^-32 whole)
fn part_of(part : u32, whole : vec2u) -> vec2u {
  return plus(vec2u(times(part, whole.x).y, 0u), times(part, whole.y));
}

/// The sum; or of two [key, id] the one with the larger key, of equal ones that with the lower id.
fn fold_pair(a : vec2u, b : vec2u, is_max : bool) -> vec2u {
  if (is_max) { return select(a, b, b.x > a.x || (b.x == a.x && b.y < a.y)); }
  return plus(a, b);
}

var<workgroup> slots : array<vec2u, WG>;
var<workgroup> slot_sums : array<vec2u, SIDE>;
var<workgroup> equals : array<u32, WG>;

/// fold_pair over the workgroup.
fn workgroup_fold(value : vec2u, i : u32, is_max : bool) -> vec2u {
  workgroupBarrier();  // the previous call has been read by everyone
  slots[i] = value;
  workgroupBarrier();
  if (i < SIDE) {
    var part = slots[i * SIDE];
    for (var j = 1u; j < SIDE; j++) { part = fold_pair(part, slots[i * SIDE + j], is_max); }
    slot_sums[i] = part;
  }
  workgroupBarrier();
  var total = slot_sums[0];
  for (var j = 1u; j < SIDE; j++) { total = fold_pair(total, slot_sums[j], is_max); }
  return total;
}

/// The key of what a token's logit is after the penalty.
fn token_key(row : u32, id : u32) -> u32 {
  var x = logits[row * params.V + id];
  if (PENALISED) {
    let word = seen[row * ((params.V + 31u) / 32u) + id / 32u];
    if (((word >> (id % 32u)) & 1u) == 1u) { x = select(x / params.penalty, x * params.penalty, x < 0.0); }
  }
  return key_of(bitcast<u32>(x));
}

fn number_of(key : u32) -> f32 { return bitcast<f32>(select(~key, key ^ ZERO_KEY, key >= ZERO_KEY)); }

fn weight_of(key : u32, most : u32) -> u32 {
  let exponent = max((number_of(key) - number_of(most)) / params.temperature, -64.0);
  let weight = u32(clamp(exp(exponent), 0.0, 1.0) * ONE + 0.5);
  return select(select(weight, 0u, key < LOWEST_KEY), u32(ONE), key == most);
}

/// What may be drawn: all above the key, and the first `equal` that have it.
struct Kept {
  key : u32,
  equal : u32,
}

/// The fewest of the largest that reach a goal, which is positive, and not more than what is kept.
fn narrowed(row : u32, kept : Kept, goal : vec2u, most : u32, is_count : bool, i : u32) -> Kept {
  var key = 0u;         // the largest from which on all of them reach it
  var above = vec2u();  // what those from key + 1 on reach
  var is_exact = false;
  for (var bit = 0u; bit < 32u; bit++) {
    let next = key | (ZERO_KEY >> bit);
    let is_known = is_exact || next <= kept.key;
    var sum = vec2u();
    for (var id = i; id < select(params.V, 0u, is_known); id += WG) {
      if (token_key(row, id) >= next) {
        sum = plus(sum, vec2u(select(weights[row * params.V + id], 1u, is_count), 0u));
      }
    }
    sum = workgroup_fold(sum, i, false);
    if (next <= kept.key || (!is_exact && !below(sum, goal))) {
      key = next;
      is_exact = is_exact || all(sum == goal);
    } else if (!is_exact) {
      above = sum;
    }
  }
  if (is_exact) { return Kept(key, ALL); }
  let rest = minus(goal, above);
  let weight = select(weight_of(key, most), 1u, is_count);
  var fewer = 0u;  // the most of those with the key that do not reach it
  for (var bit = 0u; bit < 32u; bit++) {
    let more = fewer | (ZERO_KEY >> bit);
    if (below(times(more, weight), rest)) { fewer = more; }
  }
  return Kept(key, fewer + 1u);
}

/// Sum of the kept weights; `slots` and `equals` have those above the key, and how many have it, by runs.
fn kept_total(row : u32, kept : Kept, most : u32, i : u32) -> vec2u {
  let run = (params.V + WG - 1u) / WG;
  var sum = vec2u();
  var equal = 0u;
  for (var id = i * run; id < min((i + 1u) * run, params.V); id++) {
    let key = token_key(row, id);
    if (key > kept.key) { sum = plus(sum, vec2u(weights[row * params.V + id], 0u)); }
    equal += select(0u, 1u, key == kept.key);
  }
  let all_equal = workgroup_fold(vec2u(equal, 0u), i, false).x;
  equals[i] = equal;
  let above = workgroup_fold(sum, i, false);
  return plus(above, times(min(kept.equal, all_equal), weight_of(kept.key, most)));
}

/// The token at a place in the sum of the kept weights, by one invocation.
fn token_at(row : u32, kept : Kept, most : u32, place : vec2u) -> u32 {
  let run = (params.V + WG - 1u) / WG;
  let equal_weight = weight_of(kept.key, most);
  var left = place;
  var equal = kept.equal;
  var first = 0u;
  for (var part = 0u; part < WG; part++) {
    let own = min(equals[part], equal);
    let sum = plus(slots[part], times(own, equal_weight));
    if (below(left, sum)) { break; }
    left = minus(left, sum);
    equal -= own;
    first += run;
  }
  for (var id = first; id < params.V; id++) {
    let key = token_key(row, id);
    let is_equal = key == kept.key && equal > 0u;
    equal -= select(0u, 1u, is_equal);
    let weight = vec2u(select(0u, weights[row * params.V + id], is_equal || key > kept.key), 0u);
    if (below(left, weight)) { return id; }
    left = minus(left, weight);
  }
  return 0u;  // never: the place is below the sum
}

@compute @workgroup_size(WG)
fn sample_tokens(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let row = linear_group(group, groups);
  if (row >= params.B) { return; }
  var largest = vec2u(0u, params.V);
  for (var id = i; id < params.V; id += WG) {
    largest = fold_pair(largest, vec2u(token_key(row, id), id), true);
  }
  largest = workgroup_fold(largest, i, true);
  var token = largest.y;
  if (!GREEDY) {
    let most = largest.x;
    for (var id = i; id < params.V; id += WG) {
      weights[row * params.V + id] = weight_of(token_key(row, id), most);
    }
    storageBarrier();  // runs of neighbours are read by others
    var kept = Kept(0u, ALL);
    if (params.top_k > 0u) { kept = narrowed(row, kept, vec2u(params.top_k, 0u), most, true, i); }
    if (params.top_p > 0u) {
      let goal = part_of(params.top_p, kept_total(row, kept, most, i));
      kept = narrowed(row, kept, select(goal, vec2u(1u, 0u), all(goal == vec2u())), most, false, i);
    }
    let total = kept_total(row, kept, most, i);
    if (i == 0u) {
      let word = threefry(vec2u(steps[row], 0u), vec2u(params.seed, row)).x;
      token = token_at(row, kept, most, part_of(word, total));
    }
  }
  workgroupBarrier();  // seen has been read
  if (i == 0u) {
    tokens[row] = token;
    steps[row] += 1u;
    if (PENALISED) { seen[row * ((params.V + 31u) / 32u) + token / 32u] |= 1u << (token % 32u); }
  }
}
