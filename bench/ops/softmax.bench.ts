import { softmax } from '../../engine/index.ts';
import { softmax as twin } from '../../tests/reference/softmax.ts';
import type { BenchCase } from '../harness.ts';
import { wave } from '../operands.ts';

export const cases: BenchCase[] = [
  [61, 67],
  [16 * 729, 729],
  [3289, 4304],
].map(([R, C]) => ({
  op: 'softmax',
  shape: `${R}x${C}`,
  flops: 5 * R * C,
  bytes: 8 * R * C,
  quick: R < 100,
  peer: R === 16 * 729 ? { name: 'softmax' } : undefined,
  prepare: (engine) => {
    const values = wave(R * C).map((value) => 4 * value);
    const x = engine.tensor(values, [R, C]);
    return {
      run: () => softmax(x),
      maxError: async (out) => {
        const got = await out.data();
        const want = twin(Float64Array.from(values.subarray(0, 8 * C)), C);
        return want.reduce((worst, value, i) => Math.max(worst, Math.abs(value - got[i])), 0);
      },
    };
  },
}));
