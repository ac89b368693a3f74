// Sigmoid contrastive loss of images against texts. Zhai et al. 2023, arXiv:2303.15343 (SigLIP).
//
//   logit[i,j] = s <u[i], v[j]> + bias,  s = e^log_scale,   z[i,j] = +1 for a positive pair, else -1
//   loss       = 1/divisor sum_ij softplus(-z[i,j] logit[i,j])
//   g[i,j]     = dloss / divisor * -z[i,j] sigmoid(-z[i,j] logit[i,j])
//   du = (s g) v,   dv = (s g)^T u,   dlog_scale = sum_ij g s <u, v>,   dbias = sum_ij g
//
// The B x T logits are never stored as a whole. The host loops over blocks of image rows: a matmul gives the
// inner products <u, v> of a block; this kernel makes of them the block's share of the loss or, in the
// backward pass, s g in place; du and dv are matmuls again.
//
// Layout    pairs [rows, T], of a block; partial [B], one pair of sums per image; classes [B] and [T].
// Mapping   one workgroup per image row of the block; one workgroup for the total.
// Traffic   reads the block once; backward writes it once.
// Numerics  softplus(t) = max(t, 0) + log1p(e^-|t|) with log1p by the series of atanh: `log` may be off by
//           2^-21 near 1, which is more than a small loss. Sums run in a fixed order.

#import index   // linear_group(group, groups)
#import reduce  // ROW_WG, workgroup_sum(value, i)

struct Params {
  B : u32,        // images
  T : u32,        // texts
  first : u32,    // image row the block begins with
  rows : u32,     // image rows in the block
  divisor : f32,  // of the sum: images of the whole batch
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> log_scale : array<f32>;        // [1]
@group(0) @binding(2) var<storage, read> bias : array<f32>;             // [1]
@group(0) @binding(3) var<storage, read> classes : array<u32>;          // [B] of the images, if HAS_CLASSES
@group(0) @binding(4) var<storage, read> dloss : array<f32>;            // [1], if GRADIENT
@group(0) @binding(5) var<storage, read_write> pairs : array<f32>;      // [rows, T] <u, v> or s g
@group(0) @binding(6) var<storage, read_write> partial : array<vec2f>;  // [B] loss, 0, or dlog_scale, dbias
@group(0) @binding(7) var<storage, read> text_classes : array<u32>;     // [T], if HAS_CLASSES
@group(0) @binding(1) var<storage, read> partials : array<vec2f>;       // [B]
@group(0) @binding(2) var<storage, read_write> sums : array<f32>;       // [1] loss, or dlog_scale
@group(0) @binding(3) var<storage, read_write> more_sums : array<f32>;  // [1] dbias, if GRADIENT

const HAS_DIAGONAL : bool = true;  // image i and text i are a positive pair
const HAS_CLASSES : bool = false;  // pairs of equal class are positive too
const GRADIENT : bool = false;     // make s g and the gradients of the scalars instead of the loss

/// log(1 + e) for e in [0, 1]: 2 atanh(e / (2 + e)), below 2e-8 from the truth.
fn log1p_unit(e : f32) -> f32 {
  let w = e / (2.0 + e);
  let q = w * w;
  return 2.0 * w * (1.0 + q * (1.0 / 3.0 + q * (0.2 + q * (
    1.0 / 7.0 + q * (1.0 / 9.0 + q * (1.0 / 11.0 + q / 13.0))))));
}

@compute @workgroup_size(WG)
fn contrastive_pairs(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let row = linear_group(group, groups);
  if (row >= params.rows) {
    return;
  }
  let image = params.first + row;
  let scale = exp(log_scale[0]);
  var sum = vec2f();
  for (var text = i; text < params.T; text += ROW_WG) {
    var positive = HAS_DIAGONAL && image == text;
    if (HAS_CLASSES) {
      positive = positive || classes[image] == text_classes[text];
    }
    let z = select(-1.0, 1.0, positive);
    let scaled = scale * pairs[row * params.T + text];
    let t = -z * (scaled + bias[0]);
    let e = exp(-abs(t));
    if (GRADIENT) {
      let sigmoid = select(e, 1.0, t >= 0.0) / (1.0 + e);
      let slope = dloss[0] / params.divisor * -z * sigmoid;
      pairs[row * params.T + text] = scale * slope;
      sum += slope * vec2f(scaled, 1.0);
    } else {
      sum.x += max(t, 0.0) + log1p_unit(e);
    }
  }
  let first = workgroup_sum(sum.x, i);
  let second = workgroup_sum(sum.y, i);
  if (i == 0u) {
    partial[image] = vec2f(first, second);
  }
}

@compute @workgroup_size(WG)
fn contrastive_sum(@builtin(local_invocation_index) i : u32) {
  var own = vec2f();
  for (var image = i; image < params.B; image += ROW_WG) {
    own += partials[image];
  }
  let first = workgroup_sum(own.x, i);
  let second = workgroup_sum(own.y, i);
  if (i == 0u) {
    if (GRADIENT) {
      sums[0] = first;
      more_sums[0] = second;
    } else {
      sums[0] = first / params.divisor;
    }
  }
}
