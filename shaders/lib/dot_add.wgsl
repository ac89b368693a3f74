// The dot product of two Vecs added to a sum: one fma per term, in order.

alias Vec = vec4f;     // or f32
const VEC : u32 = 4u;  // elements of a Vec

fn dot_add(left : Vec, right : Vec, sum : f32) -> f32 {
  let l = vec4f(left);
  let r = vec4f(right);
  if (VEC == 1u) { return fma(l.x, r.x, sum); }
  return fma(l.w, r.w, fma(l.z, r.z, fma(l.y, r.y, fma(l.x, r.x, sum))));
}
