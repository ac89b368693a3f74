/**
 * c = half(a) half(b) for a [M, K], b [K, N]: operands rounded to f16 as `half` does it, products and sums in float64, one
 * 64 x 64 x 32 tile after the other as the kernel goes.
 */
export function matmulSubgroupMatrix(
  a: Float64Array,
  b: Float64Array,
  { M, N, K }: { readonly M: number; readonly N: number; readonly K: number },
  half: (value: number) => number,
): Float64Array {
  const [left, right] = [a.map(half), b.map(half)];
  const c = new Float64Array(M * N);
  for (let m0 = 0; m0 < M; m0 += 64)
    for (let n0 = 0; n0 < N; n0 += 64)
      for (let k0 = 0; k0 < K; k0 += 32)
        for (let m = m0; m < Math.min(m0 + 64, M); m++)
          for (let n = n0; n < Math.min(n0 + 64, N); n++)
            for (let k = k0; k < Math.min(k0 + 32, K); k++)
              c[m * N + n] += left[m * K + k] * right[k * N + n];
  return c;
}
