// Rotary position embedding, halves of a head being the coordinates. Su et al. 2021, arXiv:2104.09864.
//
//   angle = (offset + t) * frequency[i], or (t - first token of the sequence) * frequency[i]
//   y[i]     = x[i] cos(angle) - x[i + K/2] sin(angle)      i < K/2
//   y[i+K/2] = x[i+K/2] cos(angle) + x[i] sin(angle)
//   dx       = dy rotated by the opposite angle
//
// Layout    x, y [B, T, width] row-major: `heads` heads of K = 2 PAIRS columns, then columns that are copied.
// Mapping   an invocation takes one pair of columns in all heads of a row, whose sine and cosine it computes
//           once, and every PAIRS-th of the columns after them.
// Traffic   reads x once, writes y once.
// Numerics  the angle is a product in f32, as in PyTorch; its sine and cosine are right to 1.2e-7.

#import index     // linear_group(group, groups)
#import sine      // sine(angle, turns)
#import offset    // offset_of(z)
#import sequence  // sequence_of(z, token)

struct Params {
  rows : u32,      // B T
  T : u32,
  pairs : u32,     // K / 2
  heads : u32,
  width : u32,     // columns of a row
  offset : i32,    // of the first token, where there are no offsets
  sign : f32,      // 1, or -1 to rotate back
  boundaries : u32,     // of the sequences of a row
  sequences_row : u32,  // from one row to the next, 0 if all share them
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> x : array<f32>;            // [B, T, width]
@group(0) @binding(2) var<storage, read> frequencies : array<f32>;  // [pairs]
@group(0) @binding(3) var<storage, read> offsets : array<i32>;      // [1] or [B]
@group(0) @binding(4) var<storage, read_write> y : array<f32>;      // [B, T, width]
@group(0) @binding(5) var<storage, read> sequences : array<i32>;    // [boundaries] or [B, boundaries]

// Specialisation.
const RESTARTS : bool = false;  // positions are those in sequences

const WG : u32 = 64u;  // invocations of a workgroup; they share nothing

@compute @workgroup_size(WG)
fn rope(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
        @builtin(local_invocation_index) i : u32) {
  let index = linear_group(group, groups) * WG + i;
  let row = index / params.pairs;
  let pair = index % params.pairs;
  if (row >= params.rows) { return; }
  let z = row / params.T;
  let t = row % params.T;
  var position = offset_of(z) + i32(t);
  if (RESTARTS) { position = i32(t - sequence_of(z, t).x); }
  let angle = f32(position) * frequencies[pair];
  let c = sine(angle, 1u);
  let s = params.sign * sine(angle, 0u);
  let start = row * params.width;
  for (var head = 0u; head < params.heads; head++) {
    let first = start + head * 2u * params.pairs + pair;
    let second = first + params.pairs;
    let a = x[first];
    let b = x[second];
    y[first] = a * c - b * s;
    y[second] = b * c + a * s;
  }
  for (var e = 2u * params.heads * params.pairs + pair; e < params.width; e += params.pairs) {
    y[start + e] = x[start + e];
  }
}
