/** erf(x) in float64: the Maclaurin series up to 3, beyond it the continued fraction of erfc. */
export function erf(x: number): number {
  const t = Math.abs(x);
  if (t > 6) return Math.sign(x);
  if (t <= 3) {
    let term = t;
    let total = t;
    for (let k = 1; k < 100; k++) {
      term *= (-t * t) / k;
      total += term / (2 * k + 1);
    }
    return (Math.sign(x) * 2 * total) / Math.sqrt(Math.PI);
  }
  let fraction = t;
  for (let k = 80; k > 0; k--) fraction = t + k / 2 / fraction;
  return Math.sign(x) * (1 - Math.exp(-t * t) / Math.sqrt(Math.PI) / fraction);
}

/** x/2 (1 + erf(x / sqrt 2)), or with tanh(sqrt(2/pi) (x + 0.044715 x^3)) for the erf; float64. */
export function gelu(x: Float64Array, form: 'erf' | 'tanh'): Float64Array {
  return x.map((v) => {
    const factor =
      form === 'erf' ? erf(v / Math.SQRT2) : Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3));
    return (v / 2) * (1 + factor);
  });
}
