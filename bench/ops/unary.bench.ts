import { exp, sigmoid } from '../../engine/index.ts';
import { UNARY } from '../../tests/reference/unary.ts';
import type { BenchCase } from '../harness.ts';
import { wave } from '../operands.ts';

const OPS = { exp, sigmoid };

/** Elements compared with the twin. */
const CHECKED = 1024;

export const cases: BenchCase[] = [
  { op: 'exp', R: 3289, C: 4304 },
  { op: 'sigmoid', R: 3289, C: 4304 },
  { op: 'sigmoid', R: 61, C: 67, quick: true },
].map(({ op, R, C, quick }) => ({
  op,
  shape: `${R}x${C}`,
  flops: R * C,
  bytes: 8 * R * C,
  quick,
  prepare: (engine) => {
    const values = wave(R * C);
    const x = engine.tensor(values, [R, C]);
    return {
      run: () => OPS[op as keyof typeof OPS](x),
      maxError: async (out) => {
        const got = await out.data();
        return Math.max(
          ...Array.from(values.subarray(0, CHECKED), (v, i) => Math.abs(got[i] - UNARY[op](v))),
        );
      },
    };
  },
}));
