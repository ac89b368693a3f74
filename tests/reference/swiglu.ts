/** y = gate / (1 + e^-gate) up for rows of x [R, 2F], gate first; float64. */
export function swiglu(x: Float64Array, F: number): Float64Array {
  return Float64Array.from({ length: x.length / 2 }, (_, e) => {
    const at = Math.floor(e / F) * 2 * F + (e % F);
    return (x[at] / (1 + Math.exp(-x[at]))) * x[at + F];
  });
}
