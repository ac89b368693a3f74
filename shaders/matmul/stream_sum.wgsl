// What the streams of tiled.wgsl have of each tile of c, added, and the epilogue of the matmul.
//
//   c[m,n] = epilogue(scale sum_s sums[tile of m and n, plus s])
//
// Layout    sums as tiled.wgsl: stream s has that of tile t at t + s, since tile or stream grows from each to
//           the next.
// Mapping   shaders/lib/elements.wgsl.
// Traffic   reads each sum once and writes c once.
// Numerics  streams in ascending order, hence k: the same bits on every run.

#import elements  // share_of(group, groups, i, n)
#import epilogue  // epilogue(sum, at, n)

struct Params {
  n : u32,         // of c
  M : u32,
  N : u32,         // Vecs, as all counts of columns
  tile_m : u32,
  tile_n : u32,
  groups_m : u32,  // tiles along M
  groups_n : u32,  // and along N
  steps : u32,     // a tile
  run : u32,       // and a stream
  scale : f32,
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> sums : array<Vec>;      // [tiles + streams, tile_m, tile_n]
@group(0) @binding(2) var<storage, read_write> c : array<Vec>;   // [batch, M, N]
@group(0) @binding(3) var<storage, read> bias : array<Vec>;      // [N]
@group(0) @binding(4) var<storage, read> residual : array<Vec>;  // [batch, M, N]
@group(0) @binding(5) var<storage, read_write> pre : array<Vec>;  // [batch, M, N]

// Specialisation.
alias Vec = vec4f;  // or f32 where N is not divisible by 4

@compute @workgroup_size(WG)
fn matmul_stream_sum(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                     @builtin(local_invocation_index) i : u32) {
  let share = share_of(group, groups, i, params.n);
  for (var at = share.first; at < share.end; at += INTERLEAVE) {
    let row = at / params.N;
    let n = at - row * params.N;
    let z = row / params.M;
    let m = row - z * params.M;
    let tile = (z * params.groups_m + m / params.tile_m) * params.groups_n + n / params.tile_n;
    let first = tile * params.steps / params.run;
    let last = (tile * params.steps + params.steps - 1u) / params.run;
    let place = m % params.tile_m * params.tile_n + n % params.tile_n;
    var sum = Vec();
    for (var stream = first; stream <= last; stream++) {
      sum += sums[(tile + stream) * params.tile_m * params.tile_n + place];
    }
    c[at] = epilogue(sum, at, n);
  }
}
