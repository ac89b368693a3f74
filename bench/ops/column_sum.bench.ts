import { columnSum } from '../../engine/index.ts';
import { columnSum as twin } from '../../tests/reference/column_sum.ts';
import type { BenchCase } from '../harness.ts';
import { wave } from '../operands.ts';

function columnSumCase(R: number, C: number, quick = false): BenchCase {
  return {
    op: 'column_sum',
    shape: `${R}x${C}`,
    flops: R * C,
    bytes: 4 * R * C,
    quick,
    // Along a column whose stride is near a multiple of 2 pi, sums of sines reach hundreds.
    tolerance: 1e-3,
    prepare: (engine) => {
      const numbers = wave(R * C);
      const x = engine.tensor(numbers, [R, C]);
      return {
        run: () => columnSum(x),
        maxError: async (out) => {
          const want = twin(Float64Array.from(numbers), C);
          const got = await out.data();
          return Math.max(...want.map((value, i) => Math.abs(value - got[i])));
        },
      };
    },
  };
}

export const cases: BenchCase[] = [
  columnSumCase(2304, 96, true),
  columnSumCase(729, 4304),
  columnSumCase(3289, 1152),
];
