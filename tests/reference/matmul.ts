import { erf } from './erf.ts';

export interface Product {
  readonly batch?: number;
  readonly M: number;
  readonly N: number;
  readonly K: number;
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
  readonly scale?: number;
  /** All batch entries use one a, or one b. */
  readonly sharedA?: boolean;
  readonly sharedB?: boolean;
}

/** c[z] = scale op(a[z]) op(b[z]); float64. */
export function matmul(a: Float64Array, b: Float64Array, product: Product): Float64Array {
  const { batch = 1, M, N, K, transposeA, transposeB, scale = 1, sharedA, sharedB } = product;
  const c = new Float64Array(batch * M * N);
  for (let z = 0; z < batch; z++)
    for (let m = 0; m < M; m++)
      for (let n = 0; n < N; n++) {
        let sum = 0;
        for (let k = 0; k < K; k++) {
          const left = transposeA ? k * M + m : m * K + k;
          const right = transposeB ? n * K + k : k * N + n;
          sum += a[(sharedA ? 0 : z * M * K) + left] * b[(sharedB ? 0 : z * K * N) + right];
        }
        c[(z * M + m) * N + n] = scale * sum;
      }
  return c;
}

export function gelu(x: number, form: 'erf' | 'tanh'): number {
  if (form === 'erf') return (x * (1 + erf(x / Math.SQRT2))) / 2;
  return (x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))) / 2;
}

/** y = gelu(x weight^T + bias) + residual over rows of K; float64. */
export function linear(
  x: Float64Array,
  weight: Float64Array,
  K: number,
  options: { bias?: Float64Array; residual?: Float64Array; gelu?: 'erf' | 'tanh' } = {},
): Float64Array {
  const N = weight.length / K;
  const y = matmul(x, weight, { M: x.length / K, N, K, transposeB: true });
  return y.map((value, i) => {
    const pre = value + (options.bias?.[i % N] ?? 0);
    return (options.gelu ? gelu(pre, options.gelu) : pre) + (options.residual?.[i] ?? 0);
  });
}
