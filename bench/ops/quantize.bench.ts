import { cast, inferenceLinear, quantize } from '../../engine/index.ts';
import type { BenchCase } from '../harness.ts';
import { wave } from '../operands.ts';

type Stored = 'f32' | 'f16' | 'bf16' | 'int8' | 'int4';

const BITS: Readonly<Record<Stored, number>> = { f32: 32, f16: 16, bf16: 16, int8: 8.5, int4: 4.5 };

/** What a decoder does for each token, and in prefill: rows times a weight, by how that is stored. */
function storedCase(M: number, N: number, K: number, stored: Stored, quick = false): BenchCase {
  return {
    op: `inference_linear, weight ${stored}`,
    shape: `${M}x${N}x${K}`,
    flops: 2 * M * N * K,
    bytes: (N * K * BITS[stored]) / 8 + 4 * M * (N + K),
    quick,
    prepare: (engine) => {
      const rows = wave(M * K, 0.7);
      // Multiples of 1/8 from -1 to 7/8 with a -1 in each group: every form holds them.
      const numbers = wave(N * K, 1.3).map((value, e) => (e % 32 === 0 ? -1 : Math.round(7 * value) / 8));
      const x = engine.tensor(rows, [M, K]);
      const full = engine.tensor(numbers, [N, K]);
      const isInteger = stored === 'int8' || stored === 'int4';
      const weight = isInteger ? quantize(full, { bits: stored === 'int8' ? 8 : 4 }) : cast(full, stored);
      full.dispose();
      return {
        run: () => inferenceLinear(x, weight),
        maxError: async (out) => {
          const got = await out.data();
          let worst = 0;
          for (let i = 0; i < 64; i++) {
            const at = Math.floor(((i + 0.5) / 64) * got.length);
            const [m, n] = [Math.floor(at / N), at % N];
            let sum = 0;
            for (let k = 0; k < K; k++) sum += rows[m * K + k] * numbers[n * K + k];
            worst = Math.max(worst, Math.abs(sum - got[at]));
          }
          return worst;
        },
      };
    },
  };
}

const FORMS: readonly Stored[] = ['f32', 'f16', 'bf16', 'int8', 'int4'];

export const cases: BenchCase[] = [
  storedCase(1, 512, 256, 'int4', true),
  ...FORMS.map((stored) => storedCase(1, 4864, 896, stored)),
  ...FORMS.filter((stored) => stored !== 'f16').map((stored) => storedCase(1, 151_936, 896, stored)),
  storedCase(256, 4864, 896, 'int4'),
];
