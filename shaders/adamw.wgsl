// AdamW over flat arenas. Loshchilov & Hutter 2019, arXiv:1711.05101, in the order of torch.optim.AdamW.
//
//   g = s / lossScale gradient,  s = min(1, maxNorm / (norm + 1e-6)), or 1 when maxNorm is 0
//   m = beta1 m + (1 - beta1) g
//   v = beta2 v + (1 - beta2) g^2
//   p = p (1 - lr decay) - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)
//   average = average + rate (p - average), where one is kept
//
// and the dynamic loss scale of Micikevicius et al. 2017, arXiv:1710.03740, as torch.cuda.amp.GradScaler.
//
// Layout    p, g, m, v [n] f32, read as vec4f where n divides by 4: then groups end at multiples of 4 too.
//           Elements are sorted by group; lr is scaled and decay chosen by group.
// Mapping   shaders/lib/elements.wgsl, which counts Vecs.
// Traffic   28 B per parameter: four reads, three writes; 12 B more for an average.
// Numerics  what changes per step is kept in buffers, and adamw_begin advances it, so that a recorded step
//           can be replayed. 1 - beta^t as -expm1(t ln beta) is exact to a few ulp at any t; a running
//           product would drift. If the gradient norm is NaN or infinite, tested by its bits, nothing
//           changes but the loss scale, and the step is not counted.

#import elements  // share_of(group, groups, i, n)

alias Vec = f32;    // or vec4f
const VEC = 1u;     // elements of a Vec

struct Params {
  n : u32,  // Vecs of this dispatch
  first : u32,  // elements of the arena before them: one beyond the binding limit takes several
  group_count : u32,
  average_rate : f32,  // 1 - decay of the average
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> gradients : array<Vec>;           // [n]
@group(0) @binding(2) var<storage, read_write> parameters : array<Vec>;    // [n]
@group(0) @binding(3) var<storage, read_write> moment1 : array<Vec>;       // [n]
@group(0) @binding(4) var<storage, read_write> moment2 : array<Vec>;       // [n]
@group(0) @binding(5) var<storage, read> groups : array<vec4u>;  // [G] end element, lr scale, decay, unused
@group(0) @binding(6) var<storage, read> scalars : array<u32>;               // [8] f32 bits, see `scalar`

const LR = 0u;
const BETA1 = 1u;
const BETA2 = 2u;
const EPS = 3u;
const CORRECTION1 = 4u;         // 1 - beta1^t
const CORRECTION2 = 5u;         // 1 - beta2^t
const GRADIENT_SCALE = 6u;      // what gradients are multiplied by: clipping, and one over the loss scale
const GRAD_NORM_SQUARED = 7u;   // of the gradients as they are

// settings: lr, beta1, beta2, eps, ln beta1, ln beta2, maxNorm, steps until the loss scale doubles (0: fixed)
@group(0) @binding(7) var<storage, read> settings : array<f32>;              // [8]
@group(0) @binding(8) var<storage, read> norm_squared : array<u32>;          // [1] f32 bits
@group(0) @binding(9) var<storage, read_write> steps : array<u32>;           // [1] t
@group(0) @binding(10) var<storage, read_write> begun : array<u32>;          // [8] the scalars of this step
@group(0) @binding(11) var<storage, read_write> loss_scale : array<f32>;     // [1] factor on the loss
@group(0) @binding(12) var<storage, read_write> good_steps : array<u32>;     // [1] since the scale changed
@group(0) @binding(13) var<storage, read_write> unscaled_norm_squared : array<u32>;  // [1] f32 bits
@group(0) @binding(14) var<storage, read_write> averages : array<Vec>;       // [n]

const GROWTH = 2.0;
const BACKOFF = 0.5;

fn is_finite(bits : u32) -> bool {
  return (bits & 0x7f800000u) != 0x7f800000u;
}

// 1 - e^x for x <= 0; by the series near 0, where the difference would cancel.
fn one_minus_exp(x : f32) -> f32 {
  if (x < -0.5) { return 1.0 - exp(x); }
  var sum = 1.0;
  for (var k = 9.0; k > 1.0; k -= 1.0) { sum = 1.0 + x / k * sum; }
  return -x * sum;
}

@compute @workgroup_size(1)
fn adamw_begin() {
  let norm_bits = norm_squared[0];
  let finite = is_finite(norm_bits);
  let t = steps[0] + 1u;
  if (finite) { steps[0] = t; }
  for (var k = LR; k <= EPS; k++) { begun[k] = bitcast<u32>(settings[k]); }
  begun[CORRECTION1] = bitcast<u32>(one_minus_exp(f32(t) * settings[4]));
  begun[CORRECTION2] = bitcast<u32>(one_minus_exp(f32(t) * settings[5]));
  begun[GRAD_NORM_SQUARED] = norm_bits;

  let unscale = 1.0 / loss_scale[0];
  let norm = bitcast<f32>(norm_bits) * unscale * unscale;
  unscaled_norm_squared[0] = select(norm_bits, bitcast<u32>(norm), finite);
  let max_norm = settings[6];
  var clip = 1.0;
  if (max_norm > 0.0) { clip = min(1.0, max_norm / (sqrt(norm) + 1e-6)); }
  begun[GRADIENT_SCALE] = bitcast<u32>(clip * unscale);

  let interval = u32(settings[7]);
  if (interval == 0u) { return; }
  if (!finite) {
    loss_scale[0] *= BACKOFF;
    good_steps[0] = 0u;
    return;
  }
  let good = good_steps[0] + 1u;
  good_steps[0] = good % interval;
  let grown = loss_scale[0] * GROWTH;
  if (good == interval && is_finite(bitcast<u32>(grown))) { loss_scale[0] = grown; }
}

// Read as bits: a load of an f32 that is NaN may give anything.
fn scalar(name : u32) -> f32 {
  return bitcast<f32>(scalars[name]);
}

// The first group that ends after the element.
fn group_of(element : u32) -> u32 {
  var low = 0u;
  var high = params.group_count - 1u;
  while (low < high) {
    let middle = (low + high) / 2u;
    if (element < groups[middle].x) { high = middle; } else { low = middle + 1u; }
  }
  return low;
}

@compute @workgroup_size(WG)
fn adamw(
  @builtin(workgroup_id) group_id : vec3u,
  @builtin(num_workgroups) group_counts : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let share = share_of(group_id, group_counts, i, params.n);
  if (share.first >= share.end || !is_finite(scalars[GRAD_NORM_SQUARED])) { return; }
  let scale = scalar(GRADIENT_SCALE);
  let base_lr = scalar(LR);
  let rest1 = 1.0 - scalar(BETA1);
  let rest2 = 1.0 - scalar(BETA2);
  let correction1 = scalar(CORRECTION1);
  let correction2 = scalar(CORRECTION2);
  let eps = scalar(EPS);
  var owner = group_of(params.first + share.first * VEC);
  for (var at = share.first; at < share.end; at += INTERLEAVE) {
    while (params.first + at * VEC >= groups[owner].x) { owner++; }
    let options = groups[owner];
    let lr = base_lr * bitcast<f32>(options.y);
    let decay = bitcast<f32>(options.z);

    let g = gradients[at] * scale;
    let m = moment1[at] + rest1 * (g - moment1[at]);
    let v = moment2[at] + rest2 * (g * g - moment2[at]);
    moment1[at] = m;
    moment2[at] = v;
    let step = (m / correction1) / (sqrt(v / correction2) + eps);
    parameters[at] = parameters[at] * (1.0 - lr * decay) - lr * step;
  }
}

@compute @workgroup_size(WG)
fn adamw_average(
  @builtin(workgroup_id) group_id : vec3u,
  @builtin(num_workgroups) group_counts : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let share = share_of(group_id, group_counts, i, params.n);
  if (!is_finite(scalars[GRAD_NORM_SQUARED])) { return; }
  for (var at = share.first; at < share.end; at += INTERLEAVE) {
    averages[at] += params.average_rate * (parameters[at] - averages[at]);
  }
}
