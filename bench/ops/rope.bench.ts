import { rope } from '../../engine/index.ts';
import { rope as twin } from '../../tests/reference/rope.ts';
import type { BenchCase } from '../harness.ts';
import { wave } from '../operands.ts';

/** Queries and keys of one packed product; values are copied. */
function ropeCase(T: number, H: number, G: number, K: number, quick = false): BenchCase {
  const width = (H + 2 * G) * K;
  const heads = H + G;
  return {
    op: 'rope',
    shape: `${T}x(${H}+2x${G})x${K}`,
    bytes: 8 * T * width,
    quick,
    prepare: (engine) => {
      const numbers = wave(T * width);
      const table = Float32Array.from({ length: K / 2 }, (_, i) => 1e6 ** ((-2 * i) / K));
      const x = engine.tensor(numbers, [1, T, width]);
      const frequencies = engine.tensor(table, [K / 2]);
      return {
        run: () => rope(x, frequencies, { heads }),
        maxError: async (out) => {
          const rows = Math.min(T, 3);
          const head = Float64Array.from(numbers.subarray(0, rows * width));
          const want = twin(head, Float64Array.from(table), { T, width, heads, offsets: [0] });
          const got = await out.data();
          return Math.max(...want.map((value, i) => Math.abs(value - got[i])));
        },
      };
    },
  };
}

export const cases: BenchCase[] = [
  ropeCase(64, 6, 2, 16, true),
  ropeCase(1, 14, 2, 64),
  ropeCase(512, 14, 2, 64),
];
