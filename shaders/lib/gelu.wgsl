// GELU and its slope for a Vec (f32 or vec4f), which the importing file declares. Hendrycks & Gimpel 2016,
// arXiv:1606.08415.
//
//   gelu_erf(x)  = x Phi(x),  Phi(x) = (1 + erf(x / sqrt 2)) / 2
//   gelu_tanh(x) = x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2
//
// Numerics  erfc by Abramowitz & Stegun 7.1.26 (|error| < 1.5e-7), evaluated for |x| and mirrored, so the
//           tail of negative x does not cancel. (1 + tanh u) / 2 = 1 / (1 + exp(-2u)), whose exponent is
//           clamped: exp overflows beyond 88.

fn normal_cdf(v : Vec) -> Vec {
  let u = abs(v) * 0.70710678;
  let t = 1.0 / (1.0 + 0.3275911 * u);
  let poly = t * (0.254829592 + t * (-0.284496736 + t * (
    1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  let upper = select(0.5 * poly * exp(-u * u), Vec(), u > Vec(7.0710678));  // beyond |x| = 10: 0 in f32
  return select(upper, 1.0 - upper, v >= Vec(0.0));
}

fn tanh_gate(v : Vec) -> Vec {
  let u = 0.79788456 * (v + 0.044715 * v * v * v);
  return select(1.0 / (1.0 + exp(clamp(-2.0 * u, Vec(-80.0), Vec(80.0)))), Vec(), v < Vec(-10.0));
}

fn gelu_erf(v : Vec) -> Vec { return v * normal_cdf(v); }

fn gelu_tanh(v : Vec) -> Vec { return v * tanh_gate(v); }

// d/dx x Phi(x) = Phi(x) + x phi(x)
fn gelu_erf_slope(v : Vec) -> Vec {
  let density = select(0.39894228 * exp(-0.5 * v * v), Vec(), abs(v) > Vec(10.0));
  return normal_cdf(v) + v * density;
}

// With g = (1 + tanh u) / 2: d/dx x g = g + 2 x g (1 - g) du/dx
fn gelu_tanh_slope(x : Vec) -> Vec {
  let v = clamp(x, Vec(-20.0), Vec(20.0));  // where the slope is 0 and 1; further out its terms overflow
  let g = tanh_gate(v);
  return g + 2.0 * v * g * (1.0 - g) * 0.79788456 * (1.0 + 0.134145 * v * v);
}
