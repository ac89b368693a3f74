// Rows of a table by index, and the two ways back.
//
//   gather_rows     y[m] = table[index m]                 (zeros where the index is outside the table)
//   scatter_rows    y[index m] = x[m]                     indices unique: stores into zeros
//   gather_dtable   dtable[r] = sum over m with index m = r of dy[m]
//
// The gradient of the table does without atomics on floats. The host sorts the indices (stable), so that each
// table row owns a segment of the sorted list, and its owner adds dy in the order of m. A row that is used
// very often (padding tokens) would leave the whole list to one invocation; therefore the list is cut into
// splits of `split_entries` entries, and gather_heads first sums the part of every split that continues the
// segment of the split before: an owner adds at most `split_entries` rows of its own and then one sum per
// further split.
//
// Layout    table [tables * N, C], indices [M], rows [M, C]. C counts vectors. With several tables (one per
//           batch element) index m belongs to table m / per_table; keys hold table * N + index.
// Mapping   a workgroup has WG_ROWS rows, PER_ROW invocations a row, one vector in PER_ROW each, so that
//           no index is divided; with one row, its index is read once for all. On a CPU few invocations go
//           through each row, since one vector in 64 each is twice as slow. keys and starts: one invocation
//           per entry.
// Traffic   gather and scatter move every row once; dtable reads dy once (heads: once more), writes dtable
//           once.
// Numerics  the order of additions depends on the indices alone: bitwise repeatable.

#import index  // linear_group(group, groups)
#import vector  // Vec

struct Params {
  M : u32,              // indices in this dispatch
  offset : u32,         // indices before them: long lists take several dispatches
  N : u32,              // rows of one table
  C : u32,              // vectors per row
  per_table : u32,      // indices per table
  rows : u32,           // rows of all tables
  first : u32,          // this dispatch sees the table rows from here ...
  end : u32,            // ... to here: tables beyond the binding limit take several
  split_entries : u32,  // sorted entries of a split, which are summed together
}
@group(0) @binding(0) var<uniform> params : Params;
@group(0) @binding(1) var<storage, read> indices : array<u32>;       // [M]
@group(0) @binding(2) var<storage, read> table : array<Vec>;         // [end - first, C]
@group(0) @binding(3) var<storage, read_write> y : array<Vec>;       // [M, C]; scatter: [end - first, C]
@group(0) @binding(2) var<storage, read> x : array<Vec>;             // [M, C]
@group(0) @binding(4) var<storage, read_write> keys : array<u32>;    // [M]
@group(0) @binding(1) var<storage, read> sorted : array<u32>;        // [M] keys, ascending
@group(0) @binding(2) var<storage, read_write> starts : array<u32>;  // [rows + 1] first of each row's segment
@group(0) @binding(3) var<storage, read> order : array<u32>;         // [M] which m each sorted key came from
@group(0) @binding(4) var<storage, read> dy : array<Vec>;            // [M, C]
@group(0) @binding(5) var<storage, read_write> heads : array<Vec>;   // [ceil(M / split_entries), C]
@group(0) @binding(6) var<storage, read_write> dtable : array<Vec>;  // [end - first, C]

const WG : u32 = 64u;
// loads the rows of a segment by fours: a GPU would wait for each load, a CPU does not
const FOUR_IN_FLIGHT : bool = false;
const WG_ROWS : u32 = 1u;            // rows per workgroup, a power of two
const PER_ROW : u32 = WG / WG_ROWS;  // invocations of a row
const ADDS : bool = false;           // dtable is added to: rows without an index are left alone

/// The row of all tables that the dispatch's m-th index means; params.rows where it is outside its table.
fn row_of(m : u32) -> u32 {
  let index = indices[m];
  var before = 0u;
  if (params.N < params.rows) { before = (params.offset + m) / params.per_table * params.N; }
  return select(params.rows, before + index, index < params.N);
}

/// Which row an invocation moves. With one row it is the same for the whole workgroup, which compilers see
/// from the constant alone.
fn row_at(g : u32, i : u32) -> u32 {
  return g * WG_ROWS + select(i / PER_ROW, 0u, WG_ROWS == 1u);
}

@compute @workgroup_size(WG)
fn gather_rows(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let m = row_at(linear_group(group, groups), i);
  if (m >= params.M) {
    return;
  }
  let row = row_of(m);
  if (row >= params.first && row < params.end) {
    for (var c = i % PER_ROW; c < params.C; c += PER_ROW) {
      y[m * params.C + c] = table[(row - params.first) * params.C + c];
    }
  } else if (row == params.rows && params.first == 0u) {
    for (var c = i % PER_ROW; c < params.C; c += PER_ROW) { y[m * params.C + c] = Vec(); }
  }
}

@compute @workgroup_size(WG)
fn scatter_rows(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let m = row_at(linear_group(group, groups), i);
  if (m >= params.M) {
    return;
  }
  let row = row_of(m);
  if (row >= params.first && row < params.end) {
    for (var c = i % PER_ROW; c < params.C; c += PER_ROW) {
      y[(row - params.first) * params.C + c] = x[m * params.C + c];
    }
  }
}

@compute @workgroup_size(WG)
fn gather_keys(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let m = linear_group(group, groups) * WG + i;
  if (m < params.M) {
    keys[m] = row_of(m);
  }
}

@compute @workgroup_size(WG)
fn gather_starts(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let row = linear_group(group, groups) * WG + i;
  if (row > params.rows) {
    return;
  }
  var low = 0u;
  var high = params.M;
  while (low < high) {
    let middle = (low + high) / 2u;
    if (sorted[middle] < row) {
      low = middle + 1u;
    } else {
      high = middle;
    }
  }
  starts[row] = low;
}

/// Sum of dy over the sorted entries start..end, for one column.
fn segment_sum(start : u32, end : u32, c : u32) -> Vec {
  var sum = Vec();
  var m = start;
  if (FOUR_IN_FLIGHT) {
    for (; m + 3u < end; m += 4u) {
      let rows = vec4u(order[m], order[m + 1u], order[m + 2u], order[m + 3u]) * params.C + c;
      let second = dy[rows.y];
      let third = dy[rows.z];
      let fourth = dy[rows.w];
      sum = (((sum + dy[rows.x]) + second) + third) + fourth;
    }
  }
  for (; m < end; m++) {
    sum += dy[order[m] * params.C + c];
  }
  return sum;
}

@compute @workgroup_size(WG)
fn gather_heads(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let head = row_at(linear_group(group, groups), i);
  let start = head * params.split_entries;
  if (start >= params.M) {
    return;
  }
  var end = start;
  if (start > 0u && sorted[start] == sorted[start - 1u] && sorted[start] < params.rows) {
    end = min(starts[sorted[start] + 1u], start + params.split_entries);
  }
  for (var c = i % PER_ROW; c < params.C; c += PER_ROW) {
    heads[head * params.C + c] = segment_sum(start, end, c);
  }
}

@compute @workgroup_size(WG)
fn gather_dtable(
  @builtin(workgroup_id) group : vec3u,
  @builtin(num_workgroups) groups : vec3u,
  @builtin(local_invocation_index) i : u32,
) {
  let row = params.first + row_at(linear_group(group, groups), i);
  if (row >= params.end) {
    return;
  }
  let start = starts[row];
  let end = starts[row + 1u];
  if (ADDS && start == end) { return; }
  let own_split_end = (start / params.split_entries + 1u) * params.split_entries;
  for (var c = i % PER_ROW; c < params.C; c += PER_ROW) {
    var sum = segment_sum(start, min(end, own_split_end), c);
    for (var m = own_split_end; m < end; m += params.split_entries) {
      sum += heads[m / params.split_entries * params.C + c];
    }
    let at = (row - params.first) * params.C + c;
    if (ADDS) { sum += dtable[at]; }
    dtable[at] = sum;
  }
}
