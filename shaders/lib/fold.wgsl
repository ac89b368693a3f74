// Sum and maximum over the WG values that the invocations of a row hold, in a fixed order. WG is that of
// reduce.wgsl.
//
//   level 1   invocation f < FAN folds the cells f, f + FAN, f + 2 FAN, ...
//   level 2   every invocation folds those FAN results, so all of them return the same bits
//
// Mapping   call from uniform control flow, with i = local_invocation_index; safe to call repeatedly.
// Cost      three barriers for WG > FAN, two otherwise. A binary tree has log2(WG) + 2, and barriers are what
//           is expensive on software adapters. Workgroup memory: 4 WG bytes.

// partial results between the levels; about sqrt(WG), so that both levels are short
const REDUCE_FAN : u32 = 8u;

var<workgroup> reduce_cells : array<f32, WG>;

fn workgroup_sum(value : f32, i : u32) -> f32 {
  if (WG == 1u) { return value; }
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
