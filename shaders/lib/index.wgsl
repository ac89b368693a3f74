// Where a workgroup stands in a grid that the host has folded: WebGPU allows 65535 workgroups per dimension, so n > 65535
// workgroups travel as [x, y, 1] with x * y >= n. The last row may hold surplus workgroups: a kernel returns when the
// index reaches its own count, uniformly and before any barrier.

fn linear_group(group : vec3u, groups : vec3u) -> u32 {
  return group.x + groups.x * (group.y + groups.y * group.z);
}
