// The error function, erf(x) = 2 / sqrt(pi) integral_0^x e^(-t^2) dt.
//
//   |x| <= 0.95   x + x P(x^2)               P minimax for erf(x) / x - 1
//   otherwise     sign(x) (1 - e^(t Q(t)))   t = |x|, Q minimax for log(1 - erf(t)) / t on [0.95, 4]
//
// Numerics  absolute error below 7e-8, relative error below 1e-7 for |x| <= 6 (measured at 10^6 points); odd, and 1 from 4 on.
//           Coefficients by weighted least squares with Lawson's iteration, rounded to f32 one at a time.

fn erf(x : f32) -> f32 {
  if (abs(x) <= 0.95) {
    let s = x * x;
    var p = fma(-0.000577903877, s, 0.00495011359);
    p = fma(p, s, -0.0267362297);
    p = fma(p, s, 0.112809502);
    p = fma(p, s, -0.376124084);
    p = fma(p, s, 0.128379136);
    return fma(p, x, x);
  }
  let t = min(abs(x), 4.0);  // erf(4) rounds to 1; without the bound the polynomial overflows
  var q = fma(0.000212882267, t, -0.00320582697);
  q = fma(q, t, 0.0228605289);
  q = fma(q, t, -0.105215617);
  q = fma(q, t, -0.635753691);
  q = fma(q, t, -1.1285038);
  return sign(x) * (1.0 - exp(q * t));
}
