// Sigmoid contrastive loss of images against texts. Zhai et al. 2023, arXiv:2303.15343 (SigLIP).
//
//   logit[i,j] = s <u[i], v[j]> + bias,  s = e^log_scale,   z[i,j] = +1 for a positive pair, else -1
//   loss       = 1/B sum_ij softplus(-z[i,j] logit[i,j])
//   g[i,j]     = dloss / B * -z[i,j] sigmoid(-z[i,j] logit[i,j])
//   du = s g v,   dv = s g^T u,   dlog_scale = sum_ij g s <u, v>,   dbias = sum_ij g
//
// The B x B logits are never stored: the forward pass reduces every tile on the spot, the backward pass makes g for a
// strip of image rows at a time, uses it for du and dv, and goes on to the next strip.
//
// Layout    images, texts [B, D] row-major, D counts cells; strip [rows, B]; partial [tiles, 2].
// Mapping   logits: an invocation owns BLOCK x BLOCK pairs, a workgroup SIDE x SIDE invocations. Gradients: an
//           invocation owns BLOCK rows and one cell of D.
// Numerics  softplus(t) = max(t, 0) + log1p(e^-|t|) with log1p by the series of atanh: `log` may err by 2^-21 near 1,
//           which would be most of a small loss. Sums run in a fixed order.

#import index   // linear_group(group, groups)
#import reduce  // WG, workgroup_sum(value, i)
#import cell    // Cell, cell_sum(value)

struct Params {
  B : u32,
  D : u32,       // cells per row
  first : u32,   // image row the strip begins with
  rows : u32,    // image rows in the strip
  across : u32,  // tiles along the texts
  tiles : u32,   // tiles of all strips
  tile : u32,    // tiles before this strip
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> images : array<Cell>;           // [B, D]
@group(0) @binding(2) var<storage, read> texts : array<Cell>;            // [B, D]
@group(0) @binding(3) var<storage, read> log_scale : array<f32>;         // [1]
@group(0) @binding(4) var<storage, read> bias : array<f32>;              // [1]
@group(0) @binding(5) var<storage, read> classes : array<u32>;           // [B], if HAS_CLASSES
@group(0) @binding(6) var<storage, read_write> partial : array<vec2f>;   // [tiles] loss, 0; backward: dlog_scale, dbias
@group(0) @binding(7) var<storage, read> dloss : array<f32>;             // [1]
@group(0) @binding(8) var<storage, read_write> strip : array<f32>;       // [rows, B] g
@group(0) @binding(1) var<storage, read> g : array<f32>;                 // [rows, B]
@group(0) @binding(5) var<storage, read_write> dimages : array<Cell>;    // [B, D]
@group(0) @binding(6) var<storage, read_write> dtexts : array<Cell>;     // [B, D]
@group(0) @binding(4) var<storage, read> images_of_strip : array<Cell>;  // [B, D]
@group(0) @binding(1) var<storage, read> partials : array<vec2f>;        // [tiles]
@group(0) @binding(2) var<storage, read_write> sums : array<f32>;        // [1]
@group(0) @binding(3) var<storage, read_write> more_sums : array<f32>;   // [1]

const HAS_CLASSES : bool = false;  // pairs of equal class are positive too
const GRADIENT : bool = false;     // make g and the gradients of the scalars instead of the loss
const SIDE : u32 = 8u;
const BLOCK : u32 = 4u;
const LINE : u32 = 64u;            // = SIDE * SIDE

var<workgroup> invocation_sums : array<vec2f, LINE>;

/// log(1 + e) for e in [0, 1]: 2 atanh(e / (2 + e)), below 2e-8 from the truth.
fn log1p_unit(e : f32) -> f32 {
  let w = e / (2.0 + e);
  let q = w * w;
  return 2.0 * w * (1.0 + q * (1.0 / 3.0 + q * (0.2 + q * (1.0 / 7.0 + q * (1.0 / 9.0 + q * (1.0 / 11.0 + q / 13.0))))));
}

@compute @workgroup_size(SIDE, SIDE)
fn contrastive_tile(
  @builtin(workgroup_id) group : vec3u,
  @builtin(local_invocation_id) place : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let row = (group.y * SIDE + place.y) * BLOCK;  // in the strip
  let column = (group.x * SIDE + place.x) * BLOCK;
  var inner : array<array<f32, BLOCK>, BLOCK>;
  for (var d = 0u; d < params.D; d++) {
    var text : array<Cell, BLOCK>;
    for (var c = 0u; c < BLOCK; c++) {
      text[c] = texts[min(column + c, params.B - 1u) * params.D + d];
    }
    for (var r = 0u; r < BLOCK; r++) {
      let image = images[min(params.first + row + r, params.B - 1u) * params.D + d];
      for (var c = 0u; c < BLOCK; c++) {
        inner[r][c] += cell_sum(image * text[c]);
      }
    }
  }

  let scale = exp(log_scale[0]);
  var sum = vec2f();
  for (var r = 0u; r < BLOCK; r++) {
    for (var c = 0u; c < BLOCK; c++) {
      let image = params.first + row + r;
      let text = column + c;
      if (row + r < params.rows && text < params.B) {
        var positive = image == text;
        if (HAS_CLASSES) {
          positive = positive || classes[image] == classes[text];
        }
        let z = select(-1.0, 1.0, positive);
        let t = -z * (scale * inner[r][c] + bias[0]);
        let e = exp(-abs(t));
        if (GRADIENT) {
          let sigmoid = select(e, 1.0, t >= 0.0) / (1.0 + e);
          let slope = dloss[0] / f32(params.B) * -z * sigmoid;
          strip[(row + r) * params.B + text] = slope;
          sum += slope * vec2f(scale * inner[r][c], 1.0);
        } else {
          sum.x += max(t, 0.0) + log1p_unit(e);
        }
      }
    }
  }
  invocation_sums[i] = sum;
  workgroupBarrier();
  if (i == 0u) {
    var total = vec2f();
    for (var k = 0u; k < LINE; k++) {
      total += invocation_sums[k];
    }
    partial[params.tile + group.y * params.across + group.x] = total;
  }
}

/// Adds up the tiles: sums [1] the first components, more_sums [1] the second; the loss is divided by B.
@compute @workgroup_size(WG)
fn contrastive_sum(@builtin(local_invocation_index) i : u32) {
  var own = vec2f();
  for (var k = i; k < params.tiles; k += WG) {
    own += partials[k];
  }
  let first = workgroup_sum(own.x, i);
  let second = workgroup_sum(own.y, i);
  if (i == 0u) {
    if (GRADIENT) {
      sums[0] = first;
      more_sums[0] = second;
    } else {
      sums[0] = first / f32(params.B);
    }
  }
}

@compute @workgroup_size(LINE)
fn contrastive_dimages(
  @builtin(workgroup_id) group : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let d = group.x * LINE + i;
  let row = group.y * BLOCK;
  if (d >= params.D) {
    return;
  }
  var sum : array<Cell, BLOCK>;
  for (var j = 0u; j < params.B; j++) {
    let text = texts[j * params.D + d];
    for (var r = 0u; r < BLOCK; r++) {
      sum[r] += g[min(row + r, params.rows - 1u) * params.B + j] * text;
    }
  }
  let scale = exp(log_scale[0]);
  for (var r = 0u; r < BLOCK; r++) {
    if (row + r < params.rows) {
      dimages[(params.first + row + r) * params.D + d] = scale * sum[r];
    }
  }
}

/// Adds the strip's share to dtexts; the first strip begins it.
@compute @workgroup_size(LINE)
fn contrastive_dtexts(
  @builtin(workgroup_id) group : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let d = group.x * LINE + i;
  let column = group.y * BLOCK;
  if (d >= params.D) {
    return;
  }
  var sum : array<Cell, BLOCK>;
  for (var row = 0u; row < params.rows; row++) {
    let image = images_of_strip[(params.first + row) * params.D + d];
    for (var c = 0u; c < BLOCK; c++) {
      sum[c] += g[row * params.B + min(column + c, params.B - 1u)] * image;
    }
  }
  let scale = exp(log_scale[0]);
  for (var c = 0u; c < BLOCK; c++) {
    let n = (column + c) * params.D + d;
    if (column + c < params.B) {
      dtexts[n] = select(dtexts[n], Cell(), params.first == 0u) + scale * sum[c];
    }
  }
}
