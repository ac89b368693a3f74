// Sums of the elements of each row up to each one, or from each one on.
//
//   y[r,c] = sum_{d <= c} x[r,d]           reverse: sum_{d >= c}, which is also the gradient of the other
//
// Layout    x, y [R, C] row-major.
// Mapping   one workgroup per row; each invocation adds RUN neighbours of a tile of WG RUN, the invocations
//           before it and the tiles before theirs come on top.
// Traffic   reads x once, writes y once.
// Numerics  no chain of additions is longer than RUN + 2 SIDE + C / (WG RUN).

#import index  // linear_group(group, groups)

struct Params {
  R : u32,
  C : u32,
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> x : array<Scalar>;        // [R, C]
@group(0) @binding(2) var<storage, read_write> y : array<Scalar>;  // [R, C]

alias Scalar = f32;            // or i32, u32
const REVERSE : bool = false;  // from each element on
const SIDE : u32 = 16u;        // WG is its square
const WG : u32 = SIDE * SIDE;
const RUN : u32 = 4u;          // neighbours of an invocation in a tile

var<workgroup> sums : array<Scalar, WG>;
var<workgroup> side_sums : array<Scalar, SIDE>;

fn place_of(row : u32, n : u32) -> u32 {
  return row * params.C + select(n, params.C - 1u - n, REVERSE);
}

@compute @workgroup_size(WG)
fn cumulative_sum(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let row = linear_group(group, groups);
  if (row >= params.R) { return; }
  var before = Scalar();  // of the tiles before
  for (var tile = 0u; tile < params.C; tile += WG * RUN) {
    var own : array<Scalar, RUN>;
    var sum = Scalar();
    for (var k = 0u; k < RUN; k++) {
      let n = tile + i * RUN + k;
      if (n < params.C) { sum += x[place_of(row, n)]; }
      own[k] = sum;
    }
    sums[i] = sum;
    workgroupBarrier();
    if (i < SIDE) {
      var side = Scalar();
      for (var j = 0u; j < SIDE; j++) { side += sums[i * SIDE + j]; }
      side_sums[i] = side;
    }
    workgroupBarrier();
    var earlier = Scalar();
    var all = Scalar();
    for (var j = 0u; j < SIDE; j++) {
      if (j < i / SIDE) { earlier += side_sums[j]; }
      all += side_sums[j];
    }
    for (var j = i / SIDE * SIDE; j < i; j++) { earlier += sums[j]; }
    for (var k = 0u; k < RUN; k++) {
      let n = tile + i * RUN + k;
      if (n < params.C) { y[place_of(row, n)] = before + (earlier + own[k]); }
    }
    before += all;
    workgroupBarrier();
  }
}
