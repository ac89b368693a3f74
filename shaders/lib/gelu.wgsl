// GELU and its slope for a Lane (f32 or vec4f), which the importing file declares. Hendrycks & Gimpel 2016,
// arXiv:1606.08415.
//
//   gelu_erf(x)  = x Phi(x),  Phi(x) = (1 + erf(x / sqrt 2)) / 2
//   gelu_tanh(x) = x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) / 2
//
// Numerics  erfc by Abramowitz & Stegun 7.1.26 (|error| < 1.5e-7), evaluated for |x| and mirrored, so the
//           tail of negative x does not cancel. (1 + tanh u) / 2 = 1 / (1 + exp(-2u)), whose exponent is
//           clamped: exp overflows beyond 88.

fn normal_cdf(lane : Lane) -> Lane {
  let u = abs(lane) * 0.70710678;
  let t = 1.0 / (1.0 + 0.3275911 * u);
  let poly = t * (0.254829592 + t * (-0.284496736 + t * (
    1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  let upper = select(0.5 * poly * exp(-u * u), Lane(), u > Lane(7.0710678));  // beyond |x| = 10: 0 in f32
  return select(upper, 1.0 - upper, lane >= Lane(0.0));
}

fn tanh_gate(lane : Lane) -> Lane {
  let u = 0.79788456 * (lane + 0.044715 * lane * lane * lane);
  return select(1.0 / (1.0 + exp(clamp(-2.0 * u, Lane(-80.0), Lane(80.0)))), Lane(), lane < Lane(-10.0));
}

fn gelu_erf(lane : Lane) -> Lane { return lane * normal_cdf(lane); }

fn gelu_tanh(lane : Lane) -> Lane { return lane * tanh_gate(lane); }

// d/dx x Phi(x) = Phi(x) + x phi(x)
fn gelu_erf_slope(lane : Lane) -> Lane {
  let density = select(0.39894228 * exp(-0.5 * lane * lane), Lane(), abs(lane) > Lane(10.0));
  return normal_cdf(lane) + lane * density;
}

// With g = (1 + tanh u) / 2: d/dx x g = g + 2 x g (1 - g) du/dx
fn gelu_tanh_slope(x : Lane) -> Lane {
  let lane = clamp(x, Lane(-20.0), Lane(20.0));  // where the slope is 0 and 1; further out its terms overflow
  let g = tanh_gate(lane);
  return g + 2.0 * lane * g * (1.0 - g) * 0.79788456 * (1.0 + 0.134145 * lane * lane);
}
