// How an element-wise kernel deals out its values: a workgroup takes WORKGROUP EACH neighbours, an invocation EACH of them.
//
//   let share = share_of(group, groups, i, n);
//   for (var at = share.first; at < share.end; at += WORKGROUP) { ... }

#import index  // linear_group(group, groups)

const WORKGROUP = 64u;
const EACH : u32 = 4u;  // values per invocation, one in WORKGROUP; the host chooses it by adapter

struct Share {
  first : u32,
  end : u32,
}

fn share_of(group : vec3u, groups : vec3u, i : u32, n : u32) -> Share {
  let first = linear_group(group, groups) * WORKGROUP * EACH + i;
  return Share(first, min(first + WORKGROUP * EACH, n));
}
