// Assigns rows to invocations: a row to a workgroup of ROW_WG. On a CPU with many rows each goes to one
// invocation, without barriers: ROW_WG is 1, and a workgroup has WG_ROWS rows. On a GPU whose subgroups have
// a known size, a short row goes to one subgroup, which needs no barrier either.

#import index  // linear_group(group, groups)
// workgroup_sum(value, i), workgroup_max(value, i); the second where ROW_WG is the size of every subgroup.
#import fold or fold_subgroup

// invocations per row, a power of two of at most 256; the host chooses it by adapter
const ROW_WG : u32 = 64u;
const WG_ROWS : u32 = 1u;     // rows per workgroup; more only where ROW_WG is 1
const WG : u32 = ROW_WG * WG_ROWS;
// Terms that an invocation adds one after the other, before it adds these sums: rounding errors grow with the
// longest chain. An ordinary row is one chain; of a long one the host makes several.
const ROW_CHAIN : u32 = 4096u;
const CHAIN_TERMS : u32 = ROW_CHAIN * ROW_WG;  // of all invocations

struct Row {
  index : u32,  // R or more for surplus invocations, which must reach the barriers too and store nothing
  r : u32,      // the same, or the last row in their place
  lane : u32,   // which of the row's invocations this is
}

fn own_row(group : vec3u, groups : vec3u, i : u32, R : u32) -> Row {
  // Of one row per workgroup, compilers see that all invocations have the same.
  let index = linear_group(group, groups) * WG_ROWS + select(i / ROW_WG, 0u, WG_ROWS == 1u);
  return Row(index, min(index, R - 1u), i % ROW_WG);
}
