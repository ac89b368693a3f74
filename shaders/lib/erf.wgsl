// The error function, erf(x) = 2 / sqrt(pi) integral_0^x e^(-t^2) dt.
//
//   |x| <= 0.95   x + x P(x^2)               P minimax for erf(x) / x - 1
//   otherwise     sign(x) (1 - e^(t Q(t)))   t = |x|, Q minimax for log(1 - erf(t)) / t on [0.95, 4]
//
// Numerics  absolute error below 7e-8, relative error below 1e-7 for |x| <= 6 (measured at 10^6 points); odd,
//           and 1 from 4 on. Coefficients by weighted least squares with Lawson's iteration, rounded to f32
//           one at a time.
// Names     no local name here is one that an importing kernel is likely to give a binding: the reflection
//           cannot tell them apart.

fn erf(argument : f32) -> f32 {
  if (abs(argument) <= 0.95) {
    let squared = argument * argument;
    var inner = fma(-0.000577903877, squared, 0.00495011359);
    inner = fma(inner, squared, -0.0267362297);
    inner = fma(inner, squared, 0.112809502);
    inner = fma(inner, squared, -0.376124084);
    inner = fma(inner, squared, 0.128379136);
    return fma(inner, argument, argument);
  }
  let magnitude = min(abs(argument), 4.0);  // erf(4) rounds to 1; without the bound the polynomial overflows
  var outer = fma(0.000212882267, magnitude, -0.00320582697);
  outer = fma(outer, magnitude, 0.0228605289);
  outer = fma(outer, magnitude, -0.105215617);
  outer = fma(outer, magnitude, -0.635753691);
  outer = fma(outer, magnitude, -1.1285038);
  return sign(argument) * (1.0 - exp(outer * magnitude));
}
