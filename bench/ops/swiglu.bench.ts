import { swiglu } from '../../engine/index.ts';
import { swiglu as twin } from '../../tests/reference/swiglu.ts';
import type { BenchCase } from '../harness.ts';
import { wave } from '../operands.ts';

function swigluCase(R: number, F: number, quick = false): BenchCase {
  return {
    op: 'swiglu',
    shape: `${R}x2x${F}`,
    bytes: 12 * R * F,
    quick,
    prepare: (engine) => {
      const numbers = wave(2 * R * F);
      const x = engine.tensor(numbers, [R, 2 * F]);
      return {
        run: () => swiglu(x),
        maxError: async (out) => {
          const want = twin(Float64Array.from(numbers.subarray(0, 2 * F)), F);
          const got = await out.data();
          return Math.max(...want.map((value, i) => Math.abs(value - got[i])));
        },
      };
    },
  };
}

export const cases: BenchCase[] = [swigluCase(64, 96, true), swigluCase(1, 4864), swigluCase(512, 4864)];
