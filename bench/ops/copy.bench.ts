import { permute, slice } from '../../engine/index.ts';
import * as twin from '../../tests/reference/copy.ts';
import type { BenchCase } from '../harness.ts';
import { wave } from '../operands.ts';

/** Splitting heads: [T, 16, 72] to [16, T, 72]. */
function permuteCase(T: number, quick = false): BenchCase {
  const shape = [T, 16, 72];
  const n = T * 16 * 72;
  return {
    op: 'permute',
    shape: `${T}x16x72 to 16x${T}x72`,
    bytes: 8 * n,
    quick,
    peer: T === 729 ? { name: 'permute', order: [1, 0, 2] } : undefined,
    prepare: (engine) => {
      const values = wave(n);
      const x = engine.tensor(values, shape);
      return {
        run: () => permute(x, [1, 0, 2]),
        maxError: async (out) => {
          const got = await out.data();
          return twin
            .permute(Float64Array.from(values), shape, [1, 0, 2])
            .reduce((worst, value, i) => Math.max(worst, Math.abs(value - got[i])), 0);
        },
      };
    },
  };
}

const sliceCase: BenchCase = {
  op: 'slice',
  shape: '2560x3456, 1152 columns',
  bytes: 8 * 2560 * 1152,
  prepare: (engine) => {
    const values = wave(2560 * 3456);
    const x = engine.tensor(values, [2560, 3456]);
    return {
      run: () => slice(x, { axis: 1, start: 1152, length: 1152 }),
      maxError: async (out) => {
        const got = await out.data();
        return Math.max(
          ...values.subarray(3456 + 1152, 3456 + 2304).map((value, c) => Math.abs(value - got[1152 + c])),
        );
      },
    };
  },
};

export const cases: BenchCase[] = [permuteCase(61, true), permuteCase(729), permuteCase(2560), sliceCase];
