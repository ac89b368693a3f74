// Sum and maximum over the WG values that the invocations of a row hold, in a fixed order.
//
// A row has a workgroup to itself. On a CPU many rows have an invocation each, without a barrier: WG is 1 then, and a workgroup has WG_ROWS.
// On a GPU whose subgroups have a known size, a short row has one subgroup, which needs no barrier either.
//
//   level 1   invocation f < FAN folds the cells f, f + FAN, f + 2 FAN, ...
//   level 2   every invocation folds those FAN results, so all of them return the same bits
//
// Mapping   call from uniform control flow, with i = local_invocation_index; safe to call repeatedly.
// Cost      none to speak of within one subgroup; else three barriers for WG > FAN, two otherwise. A binary tree has log2(WG) + 2, and barriers are what is
//           expensive on software adapters. Workgroup memory: 4 WG bytes.

#import index  // linear_group(group, groups)

const WG : u32 = 64u;         // invocations per row, a power of two of at most 256; the host chooses it by adapter
const WG_ROWS : u32 = 1u;     // rows per workgroup; more only where WG is 1
const WG_SIZE : u32 = WG * WG_ROWS;
const ONE_SUBGROUP : bool = false;  // WG is the size of every subgroup; otherwise the host puts the value in the place of its fold
const REDUCE_FAN : u32 = 8u;  // partial results between the levels; about sqrt(WG), so that both levels are short

var<workgroup> reduce_cells : array<f32, WG>;

struct Row {
  index : u32,  // R or more for surplus invocations, which must reach the barriers too and store nothing
  r : u32,      // the same, or the last row in their place
  lane : u32,   // which of the row's invocations this is
}

fn own_row(group : vec3u, groups : vec3u, i : u32, R : u32) -> Row {
  // Of one row per workgroup, compilers see that all invocations have the same.
  let index = linear_group(group, groups) * WG_ROWS + select(i / WG, 0u, WG_ROWS == 1u);
  return Row(index, min(index, R - 1u), i % WG);
}

fn workgroup_sum(value : f32, i : u32) -> f32 {
  if (WG == 1u) { return value; }
  if (ONE_SUBGROUP) { return subgroupAdd(value); }
  reduce_cells[i] = value;
  workgroupBarrier();
  if (WG > REDUCE_FAN) {
    if (i < REDUCE_FAN) {
      var part = value;
      for (var k = REDUCE_FAN; k < WG; k += REDUCE_FAN) { part += reduce_cells[i + k]; }
      reduce_cells[i] = part;  // no other invocation reads a cell of this one's in level 1
    }
    workgroupBarrier();
  }
  var total = reduce_cells[0];
  for (var k = 1u; k < min(WG, REDUCE_FAN); k++) { total += reduce_cells[k]; }
  workgroupBarrier();  // the cells are free for the next call
  return total;
}

fn workgroup_max(value : f32, i : u32) -> f32 {
  if (WG == 1u) { return value; }
  if (ONE_SUBGROUP) { return subgroupMax(value); }
  reduce_cells[i] = value;
  workgroupBarrier();
  if (WG > REDUCE_FAN) {
    if (i < REDUCE_FAN) {
      var part = value;
      for (var k = REDUCE_FAN; k < WG; k += REDUCE_FAN) { part = max(part, reduce_cells[i + k]); }
      reduce_cells[i] = part;
    }
    workgroupBarrier();
  }
  var highest = reduce_cells[0];
  for (var k = 1u; k < min(WG, REDUCE_FAN); k++) { highest = max(highest, reduce_cells[k]); }
  workgroupBarrier();
  return highest;
}
