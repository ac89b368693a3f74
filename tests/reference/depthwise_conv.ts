// Depthwise convolution in plain loops: x [B, Y * X, C], weight [C, 1, side, side], bias [C].

export function depthwiseConv(
  x: ArrayLike<number>,
  weight: ArrayLike<number>,
  bias: ArrayLike<number> | undefined,
  B: number,
  [Y, X]: readonly [number, number],
  C: number,
  side: number,
): Float64Array {
  const y = new Float64Array(B * Y * X * C);
  const half = (side - 1) / 2;
  for (let b = 0; b < B; b++)
    for (let v = 0; v < Y; v++)
      for (let u = 0; u < X; u++)
        for (let c = 0; c < C; c++) {
          let sum = bias ? bias[c] : 0;
          for (let i = 0; i < side; i++)
            for (let j = 0; j < side; j++) {
              const row = v + i - half;
              const column = u + j - half;
              if (row < 0 || row >= Y || column < 0 || column >= X) continue;
              sum += x[((b * Y + row) * X + column) * C + c] * weight[(c * side + i) * side + j];
            }
          y[((b * Y + v) * X + u) * C + c] = sum;
        }
  return y;
}
