// Broadcasts a value of one invocation to its subgroup; AVec is the importing file's. On a CPU a load costs
// the same whether the invocations read one address or many: to read SUBGROUP rows together, one per
// invocation, and broadcast them doubles the speed of a matmul (lavapipe, 512 x 512 x 512: 22.8 to 45
// GFLOP/s).

enable subgroups;

const SUBGROUP : u32 = 4u;  // invocations of a subgroup that is a whole workgroup: 4 or 8

fn lane_of(mine : AVec, lane : u32) -> AVec {
  switch (lane) {  // the lane must be a constant, which it is once the caller's loop is unrolled
    case 1u: { return subgroupBroadcast(mine, 1u); }
    case 2u: { return subgroupBroadcast(mine, 2u); }
    case 3u: { return subgroupBroadcast(mine, 3u); }
    case 4u: { return subgroupBroadcast(mine, 4u); }
    case 5u: { return subgroupBroadcast(mine, 5u); }
    case 6u: { return subgroupBroadcast(mine, 6u); }
    case 7u: { return subgroupBroadcast(mine, 7u); }
    default: { return subgroupBroadcast(mine, 0u); }
  }
}
