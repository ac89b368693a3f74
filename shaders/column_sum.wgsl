// Sums over rows: y[p,c] = scale sum_{r in split p} x[r,c], and with ADDS what y[p,c] was.
//
// Layout    x [R, C] row-major f32, y [splits, C]; C counts Vecs.
// Mapping   column_sum: one Vec of one split of rows per invocation; neighbours hold neighbouring columns.
//           column_sum_split: the rows of a split are assigned to WG_SPLITS invocations, whose sums one of
//           them adds.
// Traffic   reads x once; a second launch reads the split sums.
// Numerics  rows in ascending order inside a share, then shares, then splits: a fixed tree, the same
//           bits on every run.

#import index  // linear_group(group, groups)

struct Params {
  R : u32,
  C : u32,           // Vecs per row
  split_rows : u32,  // rows of a split
  scale : f32,
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> x : array<Vec>;        // [R, C]
@group(0) @binding(2) var<storage, read_write> y : array<Vec>;  // [splits, C]

// Specialisation.
alias Vec = vec4f;          // or f32
const ADDS : bool = false;  // to what y holds
const ROW_WG : u32 = 64u;  // invocations of column_sum; the host chooses it by adapter
const CHAIN = 64u;         // rows added one after the other: rounding errors grow with the longest chain

fn put(sum : Vec, index : u32) {
  if (ADDS) { y[index] += sum; } else { y[index] = sum; }
}

@compute @workgroup_size(ROW_WG)
fn column_sum(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
              @builtin(local_invocation_index) i : u32) {
  let index = linear_group(group, groups) * ROW_WG + i;
  let c = index % params.C;
  let r0 = index / params.C * params.split_rows;
  if (r0 >= params.R) { return; }
  let end = min(r0 + params.split_rows, params.R);
  var total = Vec();
  for (var first = r0; first < end; first += CHAIN) {
    var sum = Vec();
    for (var r = first; r < min(first + CHAIN, end); r++) { sum += x[r * params.C + c]; }
    total += sum;
  }
  put(params.scale * total, index);
}

const SPLIT_WG = 256u;        // invocations
const WG_SPLITS : u32 = 32u;  // of them share a Vec; the others have neighbouring Vecs. A power of two
const WG_VECS = SPLIT_WG / WG_SPLITS;

var<workgroup> split_sums : array<Vec, SPLIT_WG>;

@compute @workgroup_size(SPLIT_WG)
fn column_sum_split(@builtin(workgroup_id) group : vec3u, @builtin(num_workgroups) groups : vec3u,
                     @builtin(local_invocation_index) i : u32) {
  let index = linear_group(group, groups) * WG_VECS + i % WG_VECS;
  let c = index % params.C;
  let r0 = index / params.C * params.split_rows;
  let end = min(r0 + params.split_rows, params.R);
  var sum = Vec();
  var r = r0 + i / WG_VECS;
  for (; r + 3u * WG_SPLITS < end; r += 4u * WG_SPLITS) {  // four loads are in flight together
    let first = x[r * params.C + c];
    let second = x[(r + WG_SPLITS) * params.C + c];
    let third = x[(r + 2u * WG_SPLITS) * params.C + c];
    let fourth = x[(r + 3u * WG_SPLITS) * params.C + c];
    sum = (((sum + first) + second) + third) + fourth;
  }
  for (; r < end; r += WG_SPLITS) { sum += x[r * params.C + c]; }
  split_sums[i] = sum;
  workgroupBarrier();
  if (i >= WG_VECS || r0 >= params.R) { return; }
  for (var share = 1u; share < WG_SPLITS; share++) { sum += split_sums[share * WG_VECS + i]; }
  put(params.scale * sum, index);
}
