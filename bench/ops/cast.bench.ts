import { cast } from '../../engine/index.ts';
import { fromBfloat, fromHalf, toBfloat, toHalf } from '../../tests/reference/cast.ts';
import type { BenchCase } from '../harness.ts';
import { wave } from '../operands.ts';

const FORMATS = { f16: { to: toHalf, back: fromHalf }, bf16: { to: toBfloat, back: fromBfloat } };
/** Elements compared with the twin. */
const CHECKED = 4096;

function castCase(dtype: 'f16' | 'bf16', R: number, C: number, quick = false): BenchCase {
  return {
    op: `cast f32 to ${dtype}`,
    shape: `${R}x${C}`,
    bytes: 6 * R * C,
    quick,
    prepare: (engine) => {
      const values = wave(R * C);
      const x = engine.tensor(values, [R, C]);
      const { to, back } = FORMATS[dtype];
      return {
        run: () => cast(x, dtype),
        maxError: async (out) => {
          const got = await out.data();
          const errors = values
            .subarray(0, CHECKED)
            .map((value, i) => Math.abs(back(to(value)) - back(got[i])));
          return Math.max(...errors);
        },
      };
    },
  };
}

export const cases: BenchCase[] = [
  castCase('f16', 61, 67, true),
  castCase('f16', 3289, 4304),
  castCase('bf16', 4304, 1152),
];
