// Depthwise convolution of a feature map with zero padding: each channel has its own SIDE x SIDE kernel.
//
//   y[b, v, u, c]        = bias[c] + sum_{i, j} x[b, v + i - h, u + j - h, c] * weight[c, i, j]
//   h                    = (SIDE - 1) / 2
//   dx                   = the same sum over dy with the kernel rotated by 180 degrees, no bias
//   dweight[c, i, j]     = sum_{b, v, u} x[b, v + i - h, u + j - h, c] * dy[b, v, u, c]
//   dbias[c]             = sum_{b, v, u} dy[b, v, u, c]
//
// Layout    x, y [B, Y X, C], channels last; weights [C, SIDE^2] are first transposed to [SIDE^2, C],
//           so that neighbouring invocations, which own neighbouring channels, read neighbouring elements.
//           Four channels if Vec is vec4f.
// Mapping   depthwise_conv: an invocation owns 8 neighbouring pixels; what it reads for a kernel row is in
//           flight together. dweight: an invocation owns 8 taps of a kernel row and a split of image rows,
//           along which a window of 8 inputs slides; a second kernel adds the splits in order. No barriers
//           and no atomics: the sums do not depend on timing.
//           _columns, for CPUs, where loads are expensive and spilled registers cheap: an invocation owns 4
//           columns of a split of rows and goes down; every row that it loads is multiplied by all SIDE rows
//           of the kernel.
// Traffic   8 + 2 SIDE - 1 loads per 8 SIDE multiply-adds, dweight two per 8.
//           _columns: 4 + SIDE - 1 loads per 4 SIDE^2 multiply-adds.

#import index  // linear_group

struct Params {
  B : u32,
  Y : u32,
  X : u32,
  C : u32,        // Vecs per pixel
  splits : u32,   // of rows: of all images for dweight, of each for _columns
  rotated : u32,  // 1: depthwise_conv_pack rotates the kernel by 180 degrees
}
@group(0) @binding(0) var<uniform> params : Params;

alias Vec = f32;
const SIDE : u32 = 7u;          // odd
const HAS_BIAS : bool = true;
const WG : u32 = 64u;           // invocations of a workgroup; they share nothing
const PAD : u32 = SIDE / 2u;
const TAPS : u32 = SIDE * SIDE;
const HALO : u32 = 2u * PAD;
const WINDOW : u32 = 8u;        // neighbouring pixels of an invocation; of dweight, taps
const LAST : u32 = 7u;          // of them
const INPUT : u32 = WINDOW + HALO;
const THREAD_X : u32 = 4u;      // columns of an invocation of _columns
const INPUT_X : u32 = THREAD_X + HALO;
const UNROLLED : bool = false;  // unroll the marked loops

@group(0) @binding(1) var<storage, read> weight : array<f32>;              // [C, 1, SIDE, SIDE]
@group(0) @binding(2) var<storage, read_write> packed_out : array<f32>;    // [SIDE * SIDE, C]

@group(0) @binding(1) var<storage, read> x : array<Vec>;               // [B, Y * X, C]
@group(0) @binding(2) var<storage, read> packed_weight : array<Vec>;   // [SIDE * SIDE, C]
@group(0) @binding(3) var<storage, read> bias : array<Vec>;            // [C]
@group(0) @binding(4) var<storage, read_write> y : array<Vec>;         // [B, Y * X, C]

@group(0) @binding(2) var<storage, read> dy : array<Vec>;              // [B, Y * X, C]
@group(0) @binding(3) var<storage, read_write> partials : array<Vec>;  // [splits, SIDE^2 + 1, C], last dbias

@group(0) @binding(1) var<storage, read> split_sums : array<f32>;     // [splits, SIDE * SIDE + 1, C]
@group(0) @binding(2) var<storage, read_write> dweight : array<f32>;  // [C, 1, SIDE, SIDE]
@group(0) @binding(3) var<storage, read_write> dbias : array<f32>;    // [C]

@compute @workgroup_size(WG)
fn depthwise_conv_pack(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                       @builtin(local_invocation_index) i : u32) {
  let at = linear_group(group, groups) * WG + i;
  if (at >= TAPS * params.C) {
    return;
  }
  let tap = at / params.C;
  packed_out[at] = weight[at % params.C * TAPS + select(tap, TAPS - 1u - tap, params.rotated == 1u)];
}

// Zero outside of the row. Left of it u wraps around to a huge number, so one comparison does for both edges.
fn pixel(line : u32, u : u32, c : u32) -> Vec {
  return select(Vec(), x[(line + min(u, params.X - 1u)) * params.C + c], u < params.X);
}

fn store(row : u32, u : u32, c : u32, value : Vec) {
  if (u < params.X) {
    y[(row * params.X + u) * params.C + c] = value;
  }
}

fn store_partial(base : u32, tap : u32, c : u32, value : Vec) {
  if (tap < SIDE) {
    partials[(base + tap) * params.C + c] = value;
  }
}

@compute @workgroup_size(WG)
fn depthwise_conv(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                  @builtin(local_invocation_index) i : u32) {
  let at = linear_group(group, groups) * WG + i;
  let windows = (params.X + WINDOW - 1u) / WINDOW;
  if (at >= params.B * params.Y * windows * params.C) {
    return;
  }
  let c = at % params.C;
  let left = at / params.C % windows * WINDOW;
  let row = at / (params.C * windows);  // of B * Y
  let v = row % params.Y;

  var none = Vec();
  if (HAS_BIAS) {
    none = bias[c];
  }
  var sums : array<Vec, WINDOW>;
  // unroll
  for (var p = 0u; p < WINDOW; p++) { sums[p] = none; }
  // Kernel rows inside the image: v + tap_row - PAD in [0, Y).
  let begin = select(0u, PAD - v, v < PAD);
  let end = min(SIDE, params.Y + PAD - v);
  for (var tap_row = begin; tap_row < end; tap_row++) {
    let line = (row + tap_row - PAD) * params.X;
    var w : array<Vec, INPUT>;
    var taps : array<Vec, SIDE>;
    // unroll
    for (var p = 0u; p < HALO; p++) { w[p] = pixel(line, left + p - PAD, c); }
    // unroll
    for (var p = 0u; p < WINDOW; p++) { w[HALO + p] = pixel(line, left + HALO + p - PAD, c); }
    // unroll
    for (var j = 0u; j < SIDE; j++) { taps[j] = packed_weight[(tap_row * SIDE + j) * params.C + c]; }
    // unroll
    for (var j = 0u; j < SIDE; j++) {
      for (var p = 0u; p < WINDOW; p++) { sums[p] += taps[j] * w[j + p]; }
    }
  }
  // unroll
  for (var p = 0u; p < WINDOW; p++) { store(row, left + p, c, sums[p]); }
}

@compute @workgroup_size(WG)
fn depthwise_conv_dweight(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                          @builtin(local_invocation_index) i : u32) {
  let at = linear_group(group, groups) * WG + i;
  let windows = (SIDE + WINDOW - 1u) / WINDOW;  // of taps in a kernel row; one for sides up to 7
  if (at >= params.splits * SIDE * windows * params.C) {
    return;
  }
  let c = at % params.C;
  let first_tap = at / params.C % windows * WINDOW;
  let tap_row = at / (params.C * windows) % SIDE;
  let split = at / (params.C * windows * SIDE);
  let rows = params.B * params.Y;

  var sums : array<Vec, WINDOW>;
  // unroll
  for (var t = 0u; t < WINDOW; t++) { sums[t] = Vec(); }
  var sum_dy = Vec();
  // Splits differ by at most one row.
  let end = (split + 1u) * rows / params.splits;
  for (var row = split * rows / params.splits; row < end; row++) {
    if (row % params.Y + tap_row - PAD >= params.Y) {  // also above the image, where it wraps
      continue;
    }
    let line = (row + tap_row - PAD) * params.X;
    let left = first_tap - PAD;
    var w : array<Vec, WINDOW>;
    // unroll
    for (var p = 0u; p < WINDOW; p++) { w[p] = pixel(line, left + p, c); }
    for (var u = 0u; u < params.X; u++) {
      let grad = dy[(row * params.X + u) * params.C + c];
      sum_dy += grad;
      // unroll
      for (var t = 0u; t < WINDOW; t++) { sums[t] += grad * w[t]; }
      // unroll
      for (var p = 0u; p < LAST; p++) { w[p] = w[p + 1u]; }
      w[LAST] = pixel(line, left + u + WINDOW, c);
    }
  }
  let base = split * (TAPS + 1u) + tap_row * SIDE;
  // unroll
  for (var t = 0u; t < WINDOW; t++) { store_partial(base, first_tap + t, c, sums[t]); }
  // The middle kernel row is applied to every image row, so its sum of dy is complete.
  if (tap_row == PAD && first_tap == 0u) {
    partials[(split * (TAPS + 1u) + TAPS) * params.C + c] = sum_dy;
  }
}

@compute @workgroup_size(WG)
fn depthwise_conv_columns(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                          @builtin(local_invocation_index) i : u32) {
  let at = linear_group(group, groups) * WG + i;
  let windows = (params.X + THREAD_X - 1u) / THREAD_X;
  let c = at % params.C;
  let left = at / params.C % windows * THREAD_X;
  let split = at / (params.C * windows) % params.splits;
  let image = at / (params.C * windows * params.splits);
  if (image >= params.B) {
    return;
  }
  let first = split * params.Y / params.splits;
  let last = (split + 1u) * params.Y / params.splits;
  var taps : array<Vec, TAPS>;
  // unroll
  for (var r = 0u; r < SIDE; r++) {
    for (var j = 0u; j < SIDE; j++) {
      taps[r * SIDE + j] = packed_weight[(r * SIDE + j) * params.C + c];
    }
  }
  var none = Vec();
  if (HAS_BIAS) {
    none = bias[c];
  }
  // Of the SIDE output rows that the current input row v contributes to, from v - PAD on.
  var sums : array<Vec, SIDE * THREAD_X>;
  // unroll
  for (var r = 0u; r < SIDE; r++) {
    for (var p = 0u; p < THREAD_X; p++) { sums[r * THREAD_X + p] = none; }
  }
  for (var step = 0u; step < last - first + HALO; step++) {
    let v = first + step - PAD;
    if (v < params.Y) {  // above the image it wraps
      let line = (image * params.Y + v) * params.X;
      var w : array<Vec, INPUT_X>;
      // unroll
      for (var p = 0u; p < HALO; p++) { w[p] = pixel(line, left + p - PAD, c); }
      // unroll
      for (var p = 0u; p < THREAD_X; p++) { w[HALO + p] = pixel(line, left + HALO + p - PAD, c); }
      // unroll
      for (var r = 0u; r < SIDE; r++) {
        for (var j = 0u; j < SIDE; j++) {
          let tap = taps[(HALO - r) * SIDE + j];
          for (var p = 0u; p < THREAD_X; p++) { sums[r * THREAD_X + p] += tap * w[j + p]; }
        }
      }
    }
    if (step >= HALO) {
      let row = image * params.Y + v - PAD;
      // unroll
      for (var p = 0u; p < THREAD_X; p++) { store(row, left + p, c, sums[p]); }
    }
    // unroll
    for (var r = 0u; r < HALO; r++) {
      for (var p = 0u; p < THREAD_X; p++) { sums[r * THREAD_X + p] = sums[(r + 1u) * THREAD_X + p]; }
    }
    // unroll
    for (var p = 0u; p < THREAD_X; p++) { sums[HALO * THREAD_X + p] = none; }
  }
}

@compute @workgroup_size(WG)
fn depthwise_conv_dweight_sum(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                              @builtin(local_invocation_index) i : u32) {
  let at = linear_group(group, groups) * WG + i;
  let width = (TAPS + 1u) * params.C;
  if (at >= width) {
    return;
  }
  var sum = 0.0;
  for (var split = 0u; split < params.splits; split++) {
    sum += split_sums[split * width + at];
  }
  let tap = at / params.C;
  let c = at % params.C;
  if (tap < TAPS) {
    dweight[c * TAPS + tap] = sum;
  } else {
    dbias[c] = sum;
  }
}
