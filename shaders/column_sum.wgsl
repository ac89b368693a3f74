// Sums over rows: y[p,c] = scale sum_{r in block p} x[r,c].
//
// Layout    x [R, C] row-major f32, y [blocks, C]. A lane is four columns, or one where C is not divisible by 4.
// Mapping   one lane of one block of rows per invocation; neighbours hold neighbouring columns.
// Traffic   reads x once; a second launch reads the block sums.
// Numerics  rows in ascending order inside a block, then blocks in ascending order: a fixed tree, the same bits on every run.

#import index  // linear_group(group, groups)

struct Params {
  R : u32,
  C : u32,           // columns, in lanes
  block_rows : u32,
  scale : f32,
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> x : array<Lane>;         // [R, C]
@group(0) @binding(2) var<storage, read_write> y : array<Lane>;   // [blocks, C]

alias Lane = vec4f;   // specialisation: or f32
const WG : u32 = 64u;  // the host's choice

@compute @workgroup_size(WG)
fn column_sum(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
              @builtin(local_invocation_index) i : u32) {
  let index = linear_group(group, groups) * WG + i;
  let c = index % params.C;
  let r0 = index / params.C * params.block_rows;
  if (r0 >= params.R) { return; }
  var sum = Lane();
  for (var r = r0; r < min(r0 + params.block_rows, params.R); r++) { sum += x[r * params.C + c]; }
  y[index] = params.scale * sum;
}
