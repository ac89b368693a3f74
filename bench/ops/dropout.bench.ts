import { dropout } from '../../engine/index.ts';
import { dropout as twin } from '../../tests/reference/dropout.ts';
import type { BenchCase } from '../harness.ts';
import { wave } from '../operands.ts';

/** Elements compared with the twin. */
const CHECKED = 512;

function dropoutCase(n: number, quick = false): BenchCase {
  return {
    op: 'dropout',
    shape: `${n}`,
    bytes: 8 * n,
    quick,
    prepare: (engine) => {
      const numbers = wave(n);
      const x = engine.tensor(numbers, [n]);
      return {
        run: () => dropout(x, { p: 0.1, seed: 1 }),
        maxError: async (out) => {
          const want = twin(Float64Array.from(numbers.subarray(0, CHECKED)), { p: 0.1, seed: 1 });
          const got = await out.data();
          return Math.max(...want.map((value, i) => Math.abs(value - got[i])));
        },
      };
    },
  };
}

export const cases: BenchCase[] = [dropoutCase(4087, true), dropoutCase(512 * 4864)];
