/** Mean over rows of nonzero weight of 1 - (2 sum p/100 y + eps) / (sum p/100 + sum y/100 + eps); 0 without such rows; float64. */
export function diceLoss(
  p: ArrayLike<number>,
  y: ArrayLike<number>,
  { N, rowWeight, eps = 1e-6 }: { N: number; rowWeight?: ArrayLike<number>; eps?: number },
): number {
  let total = 0;
  let rows = 0;
  for (let row = 0; row * N < p.length; row++) {
    if (rowWeight && rowWeight[row] === 0) continue;
    rows++;
    let both = 0;
    let either = 0;
    for (let i = row * N; i < (row + 1) * N; i++) {
      both += (p[i] / 100) * y[i];
      either += p[i] / 100 + y[i] / 100;
    }
    total += 1 - (2 * both + eps) / (either + eps);
  }
  return rows > 0 ? total / rows : 0;
}
