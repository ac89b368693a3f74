// A number of one invocation for its whole subgroup, without subgroups: each invocation has its own. Part is
// the importing file's.

const LANES : u32 = 1u;  // invocations that share what they read

fn lane_of(mine : Part, lane : u32) -> Part { return mine; }
