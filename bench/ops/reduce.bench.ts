import { max, size, sum } from '../../engine/index.ts';
import { max as maxTwin, sum as sumTwin } from '../../tests/reference/reduce.ts';
import type { BenchCase } from '../harness.ts';
import { wave } from '../operands.ts';

const OPS = { sum, max };
const TWINS = { sum: sumTwin, max: maxTwin };

export const cases: BenchCase[] = [
  { op: 'sum', shape: [61, 67], axes: [1], quick: true },
  { op: 'sum', shape: [3289, 1152], axes: [1] },
  { op: 'sum', shape: [3289, 4304], axes: [0] },
  { op: 'sum', shape: [2 ** 24], axes: [0] },
  { op: 'max', shape: [3289, 1152], axes: [1] },
].map(({ op, shape, axes, quick }) => {
  const n = size(shape);
  return {
    op,
    shape: `${shape.join('x')} over axis ${axes}`,
    flops: n,
    bytes: 4 * n,
    quick,
    peer: op === 'sum' && shape[1] === 1152 ? { name: 'sum', axis: 1 } : undefined,
    // Along an axis whose stride is near a multiple of 2 pi, sums of sines reach hundreds.
    tolerance: 1e-3,
    prepare: (engine) => {
      const values = wave(n);
      const x = engine.tensor(values, shape);
      return {
        run: () => OPS[op as keyof typeof OPS](x, { axis: axes }),
        maxError: async (out) => {
          const got = await out.data();
          const want = TWINS[op as keyof typeof TWINS](Float64Array.from(values), shape, axes);
          return want.reduce((worst, value, i) => Math.max(worst, Math.abs(value - got[i])), 0);
        },
      };
    },
  };
});
