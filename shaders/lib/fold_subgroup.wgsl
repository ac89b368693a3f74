// Sum and maximum over the values that the invocations of a row hold, where these are one subgroup: no
// barrier, no workgroup memory.

enable subgroups;

fn workgroup_sum(value : f32, i : u32) -> f32 { return subgroupAdd(value); }

fn workgroup_max(value : f32, i : u32) -> f32 { return subgroupMax(value); }
