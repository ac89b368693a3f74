import { markNonFinite, NOTHING_FOUND } from '../../engine/internal.ts';
import { firstNonFinite } from '../../tests/reference/finite.ts';
import type { BenchCase } from '../harness.ts';
import { wave } from '../operands.ts';

export const cases: BenchCase[] = [4087, 3289 * 1152].map((n) => ({
  op: 'finite',
  shape: `${n}`,
  bytes: 4 * n,
  quick: n < 10_000,
  prepare: (engine) => {
    const values = wave(n);
    const x = engine.tensor(values, [n]);
    const flag = engine.tensor(new Uint32Array([NOTHING_FOUND]), [1]);
    return {
      run: () => {
        markNonFinite(x, flag, 0);
        return flag;
      },
      maxError: async (out) => {
        const want = firstNonFinite(new Map([[0, values]])) ?? NOTHING_FOUND;
        return Math.abs((await out.data())[0] - want);
      },
    };
  },
}));
