// Pillow's bicubic of 8-bit channels: integer weights, and sums that float64 holds exactly.

/** Of output o of m: the first input of n that it reads, and 2^22 times the share of each. */
function pillowWeights(n: number, m: number, o: number): { first: number; weights: number[] } {
  const stretch = Math.max(n / m, 1);
  const center = ((o + 0.5) * n) / m;
  const first = Math.max(Math.trunc(center - 2 * stretch + 0.5), 0);
  const end = Math.min(Math.trunc(center + 2 * stretch + 0.5), n);
  const shares = Array.from({ length: end - first }, (_, j) => {
    const t = Math.abs((first + j - center + 0.5) / stretch);
    if (t <= 1) return 1.5 * t ** 3 - 2.5 * t ** 2 + 1;
    return t < 2 ? -0.5 * t ** 3 + 2.5 * t ** 2 - 4 * t + 2 : 0;
  });
  const sum = shares.reduce((a, b) => a + b);
  // Half away from zero, which Math.round does for what is not negative.
  const rounded = (share: number): number => Math.sign(share) * Math.round(Math.abs((share / sum) * 2 ** 22));
  return { first, weights: shares.map(rounded) };
}

/** bytes [outer, n, inner] to [outer, m, inner], or themselves where n is m. */
function pillowAxis(bytes: Uint8Array, outer: number, n: number, m: number, inner: number): Uint8Array {
  if (n === m) return bytes;
  const y = new Uint8Array(outer * m * inner);
  for (let o = 0; o < m; o++) {
    const { first, weights } = pillowWeights(n, m, o);
    for (let p = 0; p < outer; p++)
      for (let c = 0; c < inner; c++) {
        let sum = 2 ** 21;
        for (let j = 0; j < weights.length; j++) sum += weights[j] * bytes[(p * n + first + j) * inner + c];
        y[(p * m + o) * inner + c] = Math.min(Math.max(Math.floor(sum / 2 ** 22), 0), 255);
      }
  }
  return y;
}

/** image [B, H, W, 4] to [B, h, w, 4]. */
export function pillowResize(
  image: Uint8Array,
  B: number,
  [H, W]: readonly [number, number],
  [h, w]: readonly [number, number],
): Uint8Array {
  return pillowAxis(pillowAxis(image, B * H, W, w, 4), B, H, h, 4 * w);
}
