// Broadcasts a value of one invocation to its subgroup; without subgroups each invocation has its own. AVec
// is the importing file's.

const SUBGROUP : u32 = 1u;  // invocations that share what they read

fn lane_of(mine : AVec, lane : u32) -> AVec { return mine; }
