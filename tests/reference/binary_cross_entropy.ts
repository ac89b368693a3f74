/** Mean of -(y log p + (1 - y) log(1 - p)) over rows of nonzero weight, logs not below -100; 0 without such rows; float64. */
export function binaryCrossEntropy(
  p: ArrayLike<number>,
  y: ArrayLike<number>,
  { N, rowWeight }: { N: number; rowWeight?: ArrayLike<number> },
): number {
  let sum = 0;
  let cells = 0;
  for (let i = 0; i < p.length; i++) {
    if (rowWeight && rowWeight[Math.floor(i / N)] === 0) continue;
    cells++;
    sum -= y[i] * Math.max(Math.log(p[i]), -100) + (1 - y[i]) * Math.max(Math.log(1 - p[i]), -100);
  }
  return cells > 0 ? sum / cells : 0;
}
