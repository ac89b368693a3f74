// Resizes the two inner axes of x [outer, Y, X, inner]: nearest, area, bicubic, or bicubic with antialiasing.
// Along each axis, output o of m is a weighted sum of a few neighbouring inputs of n:
//
//   nearest    x[floor(o n / m)]
//   area       the mean over [floor(o n / m), ceil((o + 1) n / m))
//   bicubic    src = (o + 0.5) n / m - 0.5, taps floor(src) - 1 .. floor(src) + 2, Keys a = -0.75,
//              edges replicated
//   antialias  c = (o + 0.5) n / m, Keys a = -0.5 stretched by max(n / m, 1), taps outside dropped,
//              weights sum to 1
//
// Layout    a planar image is [B C, H, W, 1], a feature map [B, Y, X, C]; both axes' taps are in one table, Y
//           first.
// Mapping   resize_taps: one invocation per table row. Otherwise one per element of the result (4 channels if
//           Vec is vec4f). resize does both axes of a few planes, resize_quads a row of that;
//           resize_axis one axis, for many taps; resize_axis_dx is its transpose: an input element finds, by
//           bisection, the outputs that read it, so it needs no atomics.
// Numerics  positions are ratios of integers, divided exactly (n m < 2^29): in f32 the floor may be off by
//           one.

#import index  // linear_group, divmod
#import cubic  // keys, cubic_position

struct Params {
  n : vec2u,     // input rows, columns
  m : vec2u,     // output rows, columns
  taps : vec2u,  // table columns of either axis
  inner : u32,   // Vecs per pixel, or per row when rows are resized alone
  axis : u32,    // 0 rows, 1 columns; for the one-axis entry points
  // Vecs [begin, end) of the result are made: all, unless it exceeds a binding; for resize each
  // counts for PLANES of them
  begin : u32,
  end : u32,
  in_base : u32,  // first Vec of the operand that is bound
  out_base : u32, // first Vec of the result that is bound
}
@group(0) @binding(0) var<uniform> params : Params;

alias Vec = f32;

// First input of each output, and its weights, zero padded.
@group(0) @binding(1) var<storage, read_write> first_out : array<u32>;    // [m[0] + m[1]]
@group(0) @binding(2) var<storage, read_write> weights_out : array<f32>;  // [m[0], taps[0]], [m[1], taps[1]]

@group(0) @binding(1) var<storage, read> first : array<u32>;    // [m[0] + m[1]]
@group(0) @binding(2) var<storage, read> weights : array<f32>;  // [m[0], taps[0]] then [m[1], taps[1]]
@group(0) @binding(3) var<storage, read> x : array<Vec>;  // [outer, n[0], n[1], inner], or one axis m
@group(0) @binding(4) var<storage, read_write> y : array<Vec>;  // [outer, m[0], m[1], inner], or one axis n
// Four taps along either axis.
@group(0) @binding(2) var<storage, read> weight_quads : array<vec4f>;   // [m[0] + m[1]]
@group(0) @binding(3) var<storage, read> x_quads : array<vec4f>;        // [outer, n[0], n[1] / 4]
@group(0) @binding(4) var<storage, read_write> y_pixels : array<f32>;   // [outer, m[0], m[1]]
@group(0) @binding(3) var<storage, read> dy : array<Vec>;       // [outer, m[0], m[1], inner], or as y
@group(0) @binding(4) var<storage, read_write> dx : array<Vec>; // [outer, n[0], n[1], inner], or as x

const NEAREST : u32 = 0u;
const AREA : u32 = 1u;
const BICUBIC : u32 = 2u;
const ANTIALIAS : u32 = 3u;
const MODE : u32 = 2u;

// Both axes together: taps of either, as in params, for loops that compilers unroll.
const TAPS_Y : u32 = 4u;
const TAPS_X : u32 = 4u;
const PLANES : u32 = 1u;      // of an image that an invocation makes together, with the same weights
const WG : u32 = 64u;         // invocations of a workgroup; they share nothing
const INTERLEAVE : u32 = WG;  // as in shaders/lib/elements.wgsl

// Weight of input j for output o before normalisation; the argument is (j + 0.5 - c) / max(n / m, 1).
fn antialias_weight(j : u32, o : u32, n : u32, m : u32) -> f32 {
  let numerator = i32((2u * j + 1u) * m) - i32((2u * o + 1u) * n);
  return keys(f32(numerator) / f32(2u * max(n, m)), -0.5);
}

@compute @workgroup_size(WG)
fn resize_taps(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
               @builtin(local_invocation_index) i : u32) {
  let row = linear_group(group, groups) * WG + i;
  if (row >= params.m[0] + params.m[1]) {
    return;
  }
  let columns = row >= params.m[0];
  let n = select(params.n[0], params.n[1], columns);
  let m = select(params.m[0], params.m[1], columns);
  let taps = select(params.taps[0], params.taps[1], columns);
  let o = select(row, row - params.m[0], columns);
  let at = select(0u, params.m[0] * params.taps[0], columns) + o * taps;
  var start = o * n / m;

  if (MODE == NEAREST) {
    weights_out[at] = 1.0;
  } else if (MODE == AREA) {
    let end = ((o + 1u) * n + m - 1u) / m;
    for (var t = 0u; t < taps; t++) {
      weights_out[at + t] = select(0.0, 1.0 / f32(end - start), start + t < end);
    }
  } else if (MODE == BICUBIC) {
    let position = cubic_position(o, n, m);
    start = u32(max(position.first, 0));
    for (var t = 0u; t < taps; t++) {
      var weight = 0.0;
      for (var tap = 0; tap < 4; tap++) {
        // Taps beyond the edge read the edge pixel, so their weights add up there.
        if (u32(clamp(position.first + tap, 0, i32(n) - 1)) == start + t) {
          weight += keys(f32(tap - 1) - position.t, -0.75);
        }
      }
      weights_out[at + t] = weight;
    }
  } else {
    let numerator = (2u * o + 1u) * n + m;
    let support = 4u * max(n, m);
    start = select(0u, (numerator - support) / (2u * m), numerator > support);
    let end = min((numerator + support) / (2u * m), n);
    var sum = 0.0;
    for (var j = start; j < end; j++) {
      sum += antialias_weight(j, o, n, m);
    }
    for (var t = 0u; t < taps; t++) {
      weights_out[at + t] = select(0.0, antialias_weight(start + t, o, n, m) / sum, start + t < end);
    }
  }
  first_out[row] = start;
}

// Which of n inputs is tap t. What fills up the table has weight 0 and reads the first tap once more, not an
// input that may be NaN.
fn tap(first_input : u32, t : u32, weight : f32, n : u32) -> u32 {
  return min(first_input + select(t, 0u, weight == 0.0), n - 1u);
}

// As resize with four taps by four, where an output's inputs in a row are an aligned quad (n / m = 4, 12, 20,
// ...): then all outputs of a row weigh them alike. A workgroup makes a row.
@compute @workgroup_size(WG)
fn resize_quads(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                @builtin(local_invocation_index) i : u32) {
  let line = linear_group(group, groups);  // row of all planes
  if (line >= params.end) {
    return;
  }
  let row = line % params.m[0];
  let plane = line / params.m[0] * params.n[0];
  let quads = params.n[1] / 4u;            // in a row
  let step = quads / params.m[1];          // from one output to the next
  let weights_y = weight_quads[row];
  let weights_x = weight_quads[params.m[0]];
  let y_first = first[row];
  let x_first = first[params.m[0]] / 4u;

  let starts = (plane + min(y_first + vec4u(0u, 1u, 2u, 3u), vec4u(params.n[0] - 1u))) * quads + x_first;
  let each = (params.m[1] + WG - 1u) / WG;
  let left = i / INTERLEAVE * (INTERLEAVE * each) + i % INTERLEAVE;
  for (var column = left; column < min(left + INTERLEAVE * each, params.m[1]); column += INTERLEAVE) {
    let at = starts + column * step;
    let down = weights_y.x * x_quads[at.x] + weights_y.y * x_quads[at.y] +
               weights_y.z * x_quads[at.z] + weights_y.w * x_quads[at.w];
    y_pixels[line * params.m[1] + column] = dot(weights_x, down);
  }
}

@compute @workgroup_size(WG)
fn resize(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
          @builtin(local_invocation_index) i : u32) {
  let at = params.begin + linear_group(group, groups) * WG + i;
  if (at >= params.end) {
    return;
  }
  let place = divmod(at, params.inner);         // pixel, element
  let column = divmod(place[0], params.m[1]);   // row of all planes, column
  let row = divmod(column[0], params.m[0]);     // planes, row
  let x_first = first[params.m[0] + column[1]];
  let y_first = first[row[1]];

  var weights_x : array<f32, TAPS_X>;
  var inputs_x : array<u32, TAPS_X>;  // Elements from the start of a row
  for (var tx = 0u; tx < TAPS_X; tx++) {
    weights_x[tx] = weights[params.m[0] * TAPS_Y + column[1] * TAPS_X + tx];
    inputs_x[tx] = tap(x_first, tx, weights_x[tx], params.n[1]) * params.inner + place[1];
  }
  var sums : array<Vec, PLANES>;
  for (var ty = 0u; ty < TAPS_Y; ty++) {
    let weight_y = weights[row[1] * TAPS_Y + ty];
    let iy = tap(y_first, ty, weight_y, params.n[0]);
    for (var p = 0u; p < PLANES; p++) {
      let start = ((row[0] * PLANES + p) * params.n[0] + iy) * params.n[1] * params.inner - params.in_base;
      var across = Vec();
      for (var tx = 0u; tx < TAPS_X; tx++) { across += weights_x[tx] * x[start + inputs_x[tx]]; }
      sums[p] += weight_y * across;
    }
  }
  for (var p = 0u; p < PLANES; p++) {
    let line = (row[0] * PLANES + p) * params.m[0] + row[1];
    y[(line * params.m[1] + column[1]) * params.inner + place[1] - params.out_base] = sums[p];
  }
}

struct Axis {
  n : u32,
  m : u32,
  taps : u32,
  row : u32,      // of the axis' output 0 in first
  weight : u32,   // of its weights
}

fn chosen_axis() -> Axis {
  if (params.axis == 0u) {
    return Axis(params.n[0], params.m[0], params.taps[0], 0u, 0u);
  }
  return Axis(params.n[1], params.m[1], params.taps[1], params.m[0], params.m[0] * params.taps[0]);
}

@compute @workgroup_size(WG)
fn resize_axis(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
               @builtin(local_invocation_index) i : u32) {
  let at = params.begin + linear_group(group, groups) * WG + i;
  let axis = chosen_axis();
  if (at >= params.end) {
    return;
  }
  let place = divmod(at, params.inner);
  let c = place[1];
  let line = divmod(place[0], axis.m);
  let o = line[1];
  let plane = line[0] * axis.n;
  let start = first[axis.row + o];

  var sum = Vec();
  for (var t = 0u; t < axis.taps; t++) {
    let weight = weights[axis.weight + o * axis.taps + t];
    let j = tap(start, t, weight, axis.n);
    sum += weight * x[(plane + j) * params.inner + c - params.in_base];
  }
  y[at - params.out_base] = sum;
}

@compute @workgroup_size(WG)
fn resize_axis_dx(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                  @builtin(local_invocation_index) i : u32) {
  let at = params.begin + linear_group(group, groups) * WG + i;
  let axis = chosen_axis();
  if (at >= params.end) {
    return;
  }
  let place = divmod(at, params.inner);
  let c = place[1];
  let line = divmod(place[0], axis.n);
  let j = line[1];
  let plane = line[0] * axis.m;

  // first is ascending: the outputs that read j are those from the first whose window ends after j ...
  var o = 0u;
  var end = axis.m;
  while (o < end) {
    let middle = (o + end) / 2u;
    if (first[axis.row + middle] + axis.taps > j) {
      end = middle;
    } else {
      o = middle + 1u;
    }
  }
  // ... to the last whose window begins at or before j.
  var sum = Vec();
  for (; o < axis.m; o++) {
    let start = first[axis.row + o];
    if (start > j) {
      break;
    }
    let weight = weights[axis.weight + o * axis.taps + j - start];
    sum += select(Vec(), weight * dy[(plane + o) * params.inner + c - params.in_base], weight != 0.0);
  }
  dx[at - params.out_base] = sum;
}
