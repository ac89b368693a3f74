/** x[c] - log sum_c e^x[c] over rows of C numbers; float64. */
export function logSoftmax(x: Float64Array, C: number): Float64Array {
  const y = new Float64Array(x.length);
  for (let start = 0; start < x.length; start += C) {
    let highest = Number.NEGATIVE_INFINITY;
    for (let c = 0; c < C; c++) highest = Math.max(highest, x[start + c]);
    let total = 0;
    for (let c = 0; c < C; c++) total += Math.exp(x[start + c] - highest);
    for (let c = 0; c < C; c++) y[start + c] = x[start + c] - highest - Math.log(total);
  }
  return y;
}

/** e^x[c] / sum_c e^x[c] over rows of C numbers; float64. */
export function softmax(x: Float64Array, C: number): Float64Array {
  return logSoftmax(x, C).map(Math.exp);
}
