// Resizing as PyTorch defines it: a dense weight matrix per axis, in float64.

/** Cubic convolution kernel of parameter a. */
function keys(x: number, a: number): number {
  const t = Math.abs(x);
  if (t <= 1) return (a + 2) * t ** 3 - (a + 3) * t ** 2 + 1;
  if (t < 2) return a * t ** 3 - 5 * a * t ** 2 + 8 * a * t - 4 * a;
  return 0;
}

/** weights[o][j]: share of input j of n in output o of m. */
export function resizeWeights(mode: string, n: number, m: number): Float64Array[] {
  return Array.from({ length: m }, (_, o) => {
    const weights = new Float64Array(n);
    if (mode === 'nearest') {
      weights[Math.floor((o * n) / m)] = 1;
    } else if (mode === 'area') {
      const start = Math.floor((o * n) / m);
      const end = Math.ceil(((o + 1) * n) / m);
      weights.fill(1 / (end - start), start, end);
    } else if (mode === 'bicubic') {
      const position = ((o + 0.5) * n) / m - 0.5;
      const floor = Math.floor(position);
      for (let tap = -1; tap <= 2; tap++) {
        const j = Math.min(Math.max(floor + tap, 0), n - 1);
        weights[j] += keys(floor + tap - position, -0.75);
      }
    } else {
      const stretch = Math.max(n / m, 1);
      const center = ((o + 0.5) * n) / m;
      let sum = 0;
      for (let j = 0; j < n; j++) {
        weights[j] = keys((j + 0.5 - center) / stretch, -0.5);
        sum += weights[j];
      }
      for (let j = 0; j < n; j++) weights[j] /= sum;
    }
    return weights;
  });
}

/** x [outer, n, n', inner] to [outer, m, m', inner]. */
export function resize(
  x: ArrayLike<number>,
  outer: number,
  [nY, nX]: readonly [number, number],
  [mY, mX]: readonly [number, number],
  inner: number,
  mode: string,
): Float64Array {
  const tapsY = resizeWeights(mode, nY, mY).map(nonzero);
  const tapsX = resizeWeights(mode, nX, mX).map(nonzero);
  const y = new Float64Array(outer * mY * mX * inner);
  for (let b = 0; b < outer; b++)
    for (let oy = 0; oy < mY; oy++)
      for (let ox = 0; ox < mX; ox++)
        for (const [iy, wy] of tapsY[oy])
          for (const [ix, wx] of tapsX[ox])
            for (let c = 0; c < inner; c++)
              y[((b * mY + oy) * mX + ox) * inner + c] += wy * wx * x[((b * nY + iy) * nX + ix) * inner + c];
  return y;
}

/** [index, weight] of the inputs that count. */
export function nonzero(weights: Float64Array): [number, number][] {
  return Array.from(weights, (weight, i): [number, number] => [i, weight]).filter(
    ([, weight]) => weight !== 0,
  );
}
