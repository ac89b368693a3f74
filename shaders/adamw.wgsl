// AdamW over flat arenas. Loshchilov & Hutter 2019, arXiv:1711.05101, in the order of torch.optim.AdamW.
//
//   g = s gradient,  s = min(1, maxNorm / (sqrt(gradNormSquared) + 1e-6)), or 1 when maxNorm is 0
//   m = beta1 m + (1 - beta1) g
//   v = beta2 v + (1 - beta2) g^2
//   p = p (1 - lr decay) - lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)
//
// Layout    p, g, m, v [n] f32, read as vec4f where n divides by 4: then groups end at multiples of 4 too. Elements are sorted
//           by group; lr is scaled and decay chosen by group.
// Mapping   one invocation per value (four elements or one).
// Traffic   28 B per parameter: four reads, three writes.
// Numerics  what changes per step lies in a buffer, so that a recorded step can be replayed. When the gradient norm is NaN or
//           infinite, by its bits, nothing is changed.

#import index

alias Value = f32;    // or vec4f
const LANES = 1u;     // elements per value

const WORKGROUP = 64u;

struct Params {
  n : u32,            // values
  group_count : u32,
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> gradients : array<Value>;           // [n]
@group(0) @binding(2) var<storage, read_write> parameters : array<Value>;    // [n]
@group(0) @binding(3) var<storage, read_write> moment1 : array<Value>;       // [n]
@group(0) @binding(4) var<storage, read_write> moment2 : array<Value>;       // [n]
@group(0) @binding(5) var<storage, read> groups : array<vec4u>;              // [G] of end element, lr scale, decay, unused
@group(0) @binding(6) var<storage, read> scalars : array<u32>;               // [8] f32 bits, see `scalar`

const LR = 0u;
const BETA1 = 1u;
const BETA2 = 2u;
const EPS = 3u;
const CORRECTION1 = 4u;         // 1 - beta1^t
const CORRECTION2 = 5u;         // 1 - beta2^t
const MAX_NORM = 6u;
const GRAD_NORM_SQUARED = 7u;

// Read as bits: a load of an f32 that is NaN may give anything.
fn scalar(name : u32) -> f32 {
  return bitcast<f32>(scalars[name]);
}

// The first group that ends behind the element.
fn group_of(element : u32) -> u32 {
  var low = 0u;
  var high = params.group_count - 1u;
  while (low < high) {
    let middle = (low + high) / 2u;
    if (element < groups[middle].x) { high = middle; } else { low = middle + 1u; }
  }
  return low;
}

@compute @workgroup_size(WORKGROUP)
fn adamw(
  @builtin(workgroup_id) group_id : vec3u,
  @builtin(num_workgroups) group_counts : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let at = linear_group(group_id, group_counts) * WORKGROUP + i;
  if (at >= params.n || (scalars[GRAD_NORM_SQUARED] & 0x7f800000u) == 0x7f800000u) { return; }
  var scale = 1.0;
  if (scalar(MAX_NORM) > 0.0) { scale = min(1.0, scalar(MAX_NORM) / (sqrt(scalar(GRAD_NORM_SQUARED)) + 1e-6)); }
  let options = groups[group_of(at * LANES)];
  let lr = scalar(LR) * bitcast<f32>(options.y);
  let decay = bitcast<f32>(options.z);

  let g = gradients[at] * scale;
  let m = moment1[at] + (1.0 - scalar(BETA1)) * (g - moment1[at]);
  let v = moment2[at] + (1.0 - scalar(BETA2)) * (g * g - moment2[at]);
  moment1[at] = m;
  moment2[at] = v;
  let step = (m / scalar(CORRECTION1)) / (sqrt(v / scalar(CORRECTION2)) + scalar(EPS));
  parameters[at] = parameters[at] * (1.0 - lr * decay) - lr * step;
}
