import { cumulativeSum } from '../../engine/index.ts';
import { cumulativeSum as twin } from '../../tests/reference/cumulative_sum.ts';
import type { BenchCase } from '../harness.ts';
import { wave } from '../operands.ts';

function cumulativeSumCase(R: number, C: number, quick = false): BenchCase {
  return {
    op: 'cumulative_sum',
    shape: `${R}x${C}`,
    bytes: 8 * R * C,
    tolerance: 1e-6 * C,
    quick,
    prepare: (engine) => {
      const numbers = wave(R * C);
      const x = engine.tensor(numbers, [R, C]);
      return {
        run: () => cumulativeSum(x),
        maxError: async (out) => {
          const want = twin(Float64Array.from(numbers.subarray(0, C)), C);
          const got = await out.data();
          return Math.max(...want.map((value, i) => Math.abs(value - got[i])));
        },
      };
    },
  };
}

export const cases: BenchCase[] = [
  cumulativeSumCase(64, 67, true),
  cumulativeSumCase(1, 151_936),
  cumulativeSumCase(2048, 1024),
];
