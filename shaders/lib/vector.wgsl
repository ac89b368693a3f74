// A vector of a row: an element, or four neighbours where the length of rows divides by four.

// vec4f where the row length divides by four; u32 or vec4u where vectors are only moved
alias Vec = f32;
const VEC : u32 = 1u;   // elements of a Vec

/// Sum of the elements of a vector. vec4() repeats a single element four times, hence the factor 1/4; both
/// are exact.
fn vec_sum(value : Vec) -> f32 {
  return dot(vec4f(vec4(value)), vec4f(0.25 * f32(VEC)));
}

/// The largest of the elements of a vector.
fn vec_max(value : Vec) -> f32 {
  let all = vec4f(vec4(value));
  return max(max(all.x, all.y), max(all.z, all.w));
}
