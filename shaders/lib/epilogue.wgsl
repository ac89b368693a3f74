// What follows the sum of a matmul; each step but the first is optional.
//
//   value = scale sum + bias[n];  pre[at] = value;  value = gelu(value)
//   result = value + residual[at] + c[at]
//
// An importer declares
//   alias Vec                                       f32 or vec4f
//   params.scale                                    f32
//   bias [N], residual, pre and c [M, N]            bindings of Vec; pre and c may be written

#import gelu  // gelu_erf(v), gelu_tanh(v)

// Specialisation.
const HAS_BIAS : bool = false;
const HAS_RESIDUAL : bool = false;
const HAS_PRE : bool = false;
const ADDS : bool = false;  // to what c holds
const GELU : u32 = 0u;  // 0 none, 1 erf, 2 tanh

/// The element of c at `at`, which is in column n; both count Vecs.
fn epilogue(sum : Vec, at : u32, n : u32) -> Vec {
  var value = params.scale * sum;
  if (HAS_BIAS) { value += bias[n]; }
  if (HAS_PRE) { pre[at] = value; }
  if (GELU == 1u) { value = gelu_erf(value); }
  if (GELU == 2u) { value = gelu_tanh(value); }
  if (HAS_RESIDUAL) { value += residual[at]; }
  if (ADDS) { value += c[at]; }
  return value;
}
