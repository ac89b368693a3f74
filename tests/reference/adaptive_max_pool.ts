// Adaptive max pooling in plain loops: x [B, Y * X] to [B, outY * outX].

export function adaptiveMaxPool(
  x: ArrayLike<number>,
  B: number,
  [Y, X]: readonly [number, number],
  [outY, outX]: readonly [number, number],
): Float64Array {
  const y = new Float64Array(B * outY * outX).fill(Number.NEGATIVE_INFINITY);
  for (let b = 0; b < B; b++)
    for (let oy = 0; oy < outY; oy++)
      for (let ox = 0; ox < outX; ox++)
        for (let v = Math.floor((oy * Y) / outY); v < Math.ceil(((oy + 1) * Y) / outY); v++)
          for (let u = Math.floor((ox * X) / outX); u < Math.ceil(((ox + 1) * X) / outX); u++) {
            const p = (b * outY + oy) * outX + ox;
            y[p] = Math.max(y[p], x[(b * Y + v) * X + u]);
          }
  return y;
}
