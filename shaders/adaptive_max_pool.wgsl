// Adaptive max pooling of one-channel maps: the window of output o of m in an input of n is
// [floor(o n / m), ceil((o + 1) n / m)), so windows overlap where m does not divide n.
//
//   y[b, p]  = max over the window of x[b, q];  argmax[b, p] = the first such q in raster order,
//              or the last NaN
//   dx[b, q] = sum of dy[b, p] over the windows p that contain q and whose argmax is q
//
// Layout    x [B, Y X], y [B, outY outX]; argmax counts inside one map.
// Mapping   one invocation per element of the result. The outputs whose window contains input q are the
//           window of q with n and m exchanged, so the backward pass gathers and needs no atomics.

#import index     // linear_group
#import numerics  // is_nan

struct Params {
  n : vec2u,  // Y, X
  m : vec2u,  // outY, outX
  B : u32,
}
@group(0) @binding(0) var<uniform> params : Params;

const WG : u32 = 64u;  // invocations of a workgroup; they share nothing

@group(0) @binding(1) var<storage, read> x : array<f32>;                  // [B, Y * X]
@group(0) @binding(2) var<storage, read_write> y : array<f32>;            // [B, outY * outX]
@group(0) @binding(3) var<storage, read_write> argmax_out : array<u32>;   // [B, outY * outX]

@group(0) @binding(1) var<storage, read> dy : array<f32>;                 // [B, outY * outX]
@group(0) @binding(2) var<storage, read> argmax : array<u32>;             // [B, outY * outX]
@group(0) @binding(3) var<storage, read_write> dx : array<f32>;           // [B, Y * X]

fn window_begin(o : vec2u, n : vec2u, m : vec2u) -> vec2u {
  return o * n / m;
}

fn window_end(o : vec2u, n : vec2u, m : vec2u) -> vec2u {
  return ((o + 1u) * n + m - 1u) / m;
}

@compute @workgroup_size(WG)
fn adaptive_max_pool(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                     @builtin(local_invocation_index) i : u32) {
  let at = linear_group(group, groups) * WG + i;
  let cells = params.m[0] * params.m[1];
  if (at >= params.B * cells) {
    return;
  }
  let o = vec2u(at % cells / params.m[1], at % params.m[1]);
  let begin = window_begin(o, params.n, params.m);
  let end = window_end(o, params.n, params.m);
  let map = at / cells * params.n[0] * params.n[1];

  // A NaN is the largest, and the last of several wins. WGSL may assume that there is none, so bits decide.
  var best_at = begin[0] * params.n[1] + begin[1];
  var best = x[map + best_at];
  for (var v = begin[0]; v < end[0]; v++) {
    for (var u = begin[1]; u < end[1]; u++) {
      let q = v * params.n[1] + u;
      let value = x[map + q];
      if (is_nan(value) || (value > best && !is_nan(best))) {
        best = value;
        best_at = q;
      }
    }
  }
  y[at] = best;
  argmax_out[at] = best_at;
}

@compute @workgroup_size(WG)
fn adaptive_max_pool_dx(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                        @builtin(local_invocation_index) i : u32) {
  let at = linear_group(group, groups) * WG + i;
  let pixels = params.n[0] * params.n[1];
  if (at >= params.B * pixels) {
    return;
  }
  let q = at % pixels;
  let input = vec2u(q / params.n[1], q % params.n[1]);
  let begin = window_begin(input, params.m, params.n);
  let end = window_end(input, params.m, params.n);
  let map = at / pixels * params.m[0] * params.m[1];

  var sum = 0.0;
  for (var v = begin[0]; v < end[0]; v++) {
    for (var u = begin[1]; u < end[1]; u++) {
      let p = map + v * params.m[1] + u;
      if (argmax[p] == q) {
        sum += dy[p];
      }
    }
  }
  dx[at] = sum;
}
