import { add, mul } from '../../engine/index.ts';
import { BINARY } from '../../tests/reference/pointwise.ts';
import type { BenchCase } from '../harness.ts';
import { wave } from '../operands.ts';

const OPS = { add, mul };
/** Elements compared with the twin. */
const CHECKED = 4096;

export const cases: BenchCase[] = [
  { op: 'add', R: 61, C: 67, row: false, quick: true },
  { op: 'add', R: 3289, C: 1152, row: false },
  { op: 'add', R: 3289, C: 4304, row: true },
  { op: 'mul', R: 2560, C: 4304, row: false },
].map(({ op, R, C, row, quick }) => ({
  op,
  shape: row ? `${R}x${C} and ${C}` : `${R}x${C}`,
  flops: R * C,
  bytes: row ? 8 * R * C + 4 * C : 12 * R * C,
  quick,
  peer: op === 'add' && R * C === 3289 * 1152 ? { name: 'add' } : undefined,
  prepare: (engine) => {
    const left = wave(R * C);
    const right = wave(row ? C : R * C, 3);
    const a = engine.tensor(left, [R, C]);
    const b = engine.tensor(right, row ? [C] : [R, C]);
    return {
      run: () => OPS[op as keyof typeof OPS](a, b),
      maxError: async (out) => {
        const got = await out.data();
        const errors = left
          .subarray(0, CHECKED)
          .map((value, i) => Math.abs(BINARY[op](value, right[i % right.length]) - got[i]));
        return Math.max(...errors);
      },
    };
  },
}));
