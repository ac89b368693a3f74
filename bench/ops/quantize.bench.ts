import {
  type Engine,
  f32ToBf16,
  f32ToF16,
  inferenceLinear,
  type QuantizedMatrix,
  quantize,
  type Tensor,
} from '../../engine/index.ts';
import { swiglu as gatedUnit } from '../../tests/reference/swiglu.ts';
import type { BenchCase } from '../harness.ts';
import { wave } from '../operands.ts';

type Stored = 'f32' | 'f16' | 'bf16' | 'int8' | 'int4';

const BITS: Readonly<Record<Stored, number>> = { f32: 32, f16: 16, bf16: 16, int8: 8.5, int4: 4.5 };

/** Multiples of 1/8 or, for 8 bits, 1/128, of which each group has the lowest: so that all are held exactly. */
function numbersOf(n: number, stored: Stored): Float32Array<ArrayBuffer> {
  const [highest, lowest, unit] = stored === 'int8' ? [127, -127, 128] : [7, -8, 8];
  return wave(n, 1.3).map((value, e) => (e % 32 === 0 ? lowest : Math.round(highest * value)) / unit);
}

/** Halves are uploaded as such, since a table beyond the binding limit is not cast. */
function weightOf(
  engine: Engine,
  numbers: Float32Array<ArrayBuffer>,
  shape: readonly number[],
  stored: Stored,
): Tensor | QuantizedMatrix {
  if (stored === 'f16') return engine.tensor(f32ToF16(numbers), shape, { dtype: 'f16' });
  if (stored === 'bf16') return engine.tensor(f32ToBf16(numbers), shape, { dtype: 'bf16' });
  const full = engine.tensor(numbers, shape);
  if (stored === 'f32') return full;
  const matrix = quantize(full, { bits: stored === 'int8' ? 8 : 4 });
  full.dispose();
  return matrix;
}

/** What a decoder does for each token, and in prefill: rows times a weight, by how that is stored; or times gate and up at once. */
function storedCase(
  [M, N, K]: readonly [number, number, number],
  stored: Stored,
  { quick = false, swiglu = false } = {},
): BenchCase {
  const columns = swiglu ? N / 2 : N;
  return {
    op: `inference_linear, weight ${stored}${swiglu ? ', swiglu' : ''}`,
    shape: `${M}x${N}x${K}`,
    flops: 2 * M * N * K,
    bytes: (N * K * BITS[stored]) / 8 + 4 * M * (columns + K),
    quick,
    prepare: (engine) => {
      const rows = wave(M * K, 0.7);
      const x = engine.tensor(rows, [M, K]);
      const numbers = numbersOf(N * K, stored);
      const weight = weightOf(engine, numbers, [N, K], stored);
      return {
        run: () => inferenceLinear(x, weight, { swiglu }),
        maxError: async (out) => {
          const got = await out.data();
          const total = (m: number, n: number): number => {
            let sum = 0;
            for (let k = 0; k < K; k++) sum += rows[m * K + k] * numbers[n * K + k];
            return sum;
          };
          let worst = 0;
          for (let i = 0; i < 64; i++) {
            const at = Math.floor(((i + 0.5) / 64) * got.length);
            const [m, n] = [Math.floor(at / columns), at % columns];
            const first = total(m, n);
            const want = swiglu ? gatedUnit(Float64Array.of(first, total(m, n + columns)), 1)[0] : first;
            worst = Math.max(worst, Math.abs(want - got[at]));
          }
          return worst;
        },
      };
    },
  };
}

const FORMS: readonly Stored[] = ['f32', 'f16', 'bf16', 'int8', 'int4'];

export const cases: BenchCase[] = [
  storedCase([1, 512, 256], 'int4', { quick: true }),
  ...FORMS.map((stored) => storedCase([1, 4864, 896], stored)),
  ...FORMS.filter((stored) => stored !== 'f16').map((stored) => storedCase([1, 151_936, 896], stored)),
  storedCase([256, 4864, 896], 'int4'),
  storedCase([1, 512, 256], 'int4', { quick: true, swiglu: true }),
  ...FORMS.map((stored) => storedCase([1, 9728, 896], stored, { swiglu: true })),
];
