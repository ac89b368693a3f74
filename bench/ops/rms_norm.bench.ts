import { rmsNorm } from '../../engine/index.ts';
import { rmsNorm as twin } from '../../tests/reference/rms_norm.ts';
import type { BenchCase } from '../harness.ts';
import { wave } from '../operands.ts';

function rmsNormCase(R: number, C: number, quick = false): BenchCase {
  return {
    op: 'rms_norm',
    shape: `${R}x${C}`,
    flops: 4 * R * C,
    bytes: 8 * R * C,
    quick,
    prepare: (engine) => {
      const numbers = wave(R * C);
      const x = engine.tensor(numbers, [R, C]);
      const gains = Float32Array.from({ length: C }, (_, c) => 1.5 + Math.sin(c));
      const gamma = engine.tensor(gains, [C]);
      return {
        run: () => rmsNorm(x, gamma),
        maxError: async (out) => {
          const rows = Math.min(R, 3);
          const want = twin(Float64Array.from(numbers.subarray(0, rows * C)), Float64Array.from(gains));
          const got = await out.data();
          return Math.max(...want.map((value, i) => Math.abs(value - got[i])));
        },
      };
    },
  };
}

export const cases: BenchCase[] = [rmsNormCase(64, 96, true), rmsNormCase(1, 896), rmsNormCase(512, 896)];
