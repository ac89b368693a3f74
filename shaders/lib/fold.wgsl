// Sum and maximum over the ROW_WG values that the invocations of a row hold, in a fixed order. ROW_WG is that
// of reduce.wgsl.
//
//   level 1   invocation f < FAN folds the cells f, f + FAN, f + 2 FAN, ...
//   level 2   every invocation folds those FAN results, so all of them return the same bits
//
// Mapping   call from uniform control flow, with i = local_invocation_index; safe to call repeatedly.
// Cost      three barriers for ROW_WG > FAN, two otherwise. A binary tree has log2(ROW_WG) + 2, and barriers
//           are what is expensive on software adapters. Workgroup memory: 4 ROW_WG bytes.

// partial results between the levels; about sqrt(ROW_WG), so that both levels are short
const REDUCE_FAN : u32 = 8u;

var<workgroup> reduce_cells : array<f32, ROW_WG>;

fn combined(one : f32, other : f32, is_max : bool) -> f32 {
  if (is_max) { return max(one, other); }
  return one + other;
}

fn workgroup_fold(value : f32, i : u32, is_max : bool) -> f32 {
  if (ROW_WG == 1u) { return value; }
  reduce_cells[i] = value;
  workgroupBarrier();
  if (ROW_WG > REDUCE_FAN) {
    if (i < REDUCE_FAN) {
      var part = value;
      for (var k = REDUCE_FAN; k < ROW_WG; k += REDUCE_FAN) {
        part = combined(part, reduce_cells[i + k], is_max);
      }
      reduce_cells[i] = part;  // no other invocation reads a cell of this one's in level 1
    }
    workgroupBarrier();
  }
  var total = reduce_cells[0];
  for (var k = 1u; k < min(ROW_WG, REDUCE_FAN); k++) { total = combined(total, reduce_cells[k], is_max); }
  workgroupBarrier();  // the cells are free for the next call
  return total;
}

fn workgroup_sum(value : f32, i : u32) -> f32 { return workgroup_fold(value, i, false); }

fn workgroup_max(value : f32, i : u32) -> f32 { return workgroup_fold(value, i, true); }
