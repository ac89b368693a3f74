import { l2Normalize } from '../../engine/index.ts';
import { l2Normalize as twin } from '../../tests/reference/l2_normalize.ts';
import type { BenchCase } from '../harness.ts';
import { wave } from '../operands.ts';

function normalizeCase(R: number, C: number, quick = false): BenchCase {
  return {
    op: 'l2_normalize',
    shape: `${R}x${C}`,
    flops: 3 * R * C,
    bytes: 8 * R * C,
    quick,
    prepare: (engine) => {
      const numbers = wave(R * C);
      const x = engine.tensor(numbers, [R, C]);
      return {
        run: () => l2Normalize(x),
        maxError: async (out) => {
          const want = twin(Float64Array.from(numbers.subarray(0, 3 * C)), C);
          const got = await out.data();
          return want.reduce((worst, value, i) => Math.max(worst, Math.abs(value - got[i])), 0);
        },
      };
    },
  };
}

export const cases: BenchCase[] = [
  normalizeCase(64, 96, true),
  normalizeCase(729, 1152),
  normalizeCase(2560, 1152),
];
