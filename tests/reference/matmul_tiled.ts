/** c = a b for a [M, K], b [K, N], summed one 64 x 64 x 16 tile after the other as the kernel does; float64. */
export function matmulTiled(a: Float64Array, b: Float64Array, M: number, N: number, K: number): Float64Array {
  const c = new Float64Array(M * N);
  for (let m0 = 0; m0 < M; m0 += 64)
    for (let n0 = 0; n0 < N; n0 += 64)
      for (let k0 = 0; k0 < K; k0 += 16)
        for (let m = m0; m < Math.min(m0 + 64, M); m++)
          for (let n = n0; n < Math.min(n0 + 64, N); n++)
            for (let k = k0; k < Math.min(k0 + 16, K); k++) c[m * N + n] += a[m * K + k] * b[k * N + n];
  return c;
}
