// The index of a workgroup in a grid that the host has folded: WebGPU allows 65535 workgroups per dimension,
// so n > 65535 workgroups are dispatched as [x, y, 1] with x * y >= n. The last row may have surplus
// workgroups: a kernel returns when the index reaches its count, uniformly and before any barrier.

fn linear_group(group : vec3u, groups : vec3u) -> u32 {
  return group.x + groups.x * (group.y + groups.y * group.z);
}

// [floor(n / d), n mod d] for any n and 0 < d < 2^31, exactly. CPUs have no SIMD division of integers: eight
// of them cost up to 200 cycles, while the division of floats and its two corrections below cost 20.
fn divmod(n : u32, d : u32) -> vec2u {
  let share = 1.0 / f32(d);
  let estimate = u32(f32(n) * share);                       // off by at most 2^-22 of itself and one
  let left = bitcast<i32>(n - estimate * d);                // modulo 2^32: small, of either sign
  let correction = i32(floor(f32(left) * share));           // off by at most one
  let rest = left - correction * i32(d);
  let last = select(0, 1, rest >= i32(d)) - select(0, 1, rest < 0);
  let whole = bitcast<u32>(bitcast<i32>(estimate) + correction + last);
  return vec2u(whole, n - whole * d);
}
