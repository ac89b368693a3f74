// 1 / (1 + e^-v) of a Vec (f32 or vec4f), which the importing file declares.
//
// Numerics  by e^-|v|, which cannot overflow.

fn sigmoid(v : Vec) -> Vec {
  let e = exp(-abs(v));
  return select(e, Vec(1.0), v >= Vec()) / (1.0 + e);
}
