// How an element-wise kernel deals out its values: a workgroup takes WORKGROUP EACH neighbours, STEP
// invocations STEP EACH of these.
//
//   let share = share_of(group, groups, i, n);
//   for (var at = share.first; at < share.end; at += STEP) { ... }

#import index  // linear_group(group, groups)

const WORKGROUP = 64u;
const EACH : u32 = 4u;           // values per invocation, one in STEP; the host chooses both by adapter
// invocations that run at once, or all: a CPU ends the loop of some before it begins that of others
const STEP : u32 = WORKGROUP;

struct Share {
  first : u32,
  end : u32,
}

fn share_of(group : vec3u, groups : vec3u, i : u32, n : u32) -> Share {
  let first = linear_group(group, groups) * WORKGROUP * EACH + i / STEP * (STEP * EACH) + i % STEP;
  return Share(first, min(first + STEP * EACH, n));
}
