import { fullLike } from '../../engine/index.ts';
import type { BenchCase } from '../harness.ts';

export const cases: BenchCase[] = [729 * 1152, 2 ** 24].map((n) => ({
  op: 'fill',
  shape: `${n}`,
  bytes: 4 * n,
  quick: n < 2 ** 20,
  prepare: (engine) => {
    const x = engine.empty([n]);
    return {
      run: () => fullLike(x, 2),
      maxError: async (out) =>
        Math.max(...(await out.data()).subarray(0, 1000).map((value) => Math.abs(value - 2))),
    };
  },
}));
