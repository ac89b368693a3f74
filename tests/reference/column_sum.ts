/** Sums over the rows of x [R, C]; float64. */
export function columnSum(x: Float64Array, C: number, scale = 1): Float64Array {
  const y = new Float64Array(C);
  for (let i = 0; i < x.length; i++) y[i % C] += scale * x[i];
  return y;
}
