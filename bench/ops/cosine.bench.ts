import { cosineMap } from '../../engine/index.ts';
import { cosineMap as twin } from '../../tests/reference/cosine.ts';
import type { BenchCase } from '../harness.ts';
import { wave } from '../operands.ts';

function cosineCase(B: number, N: number, C: number, quick = false): BenchCase {
  return {
    op: 'cosine',
    shape: `${B}x${N}x${C}`,
    flops: 4 * B * N * C,
    bytes: 4 * B * N * (C + 1),
    quick,
    prepare: (engine) => {
      const numbers = wave(B * N * C);
      const queries = wave(B * C, 3);
      const features = engine.tensor(numbers, [B, N, C]);
      const query = engine.tensor(queries, [B, C]);
      return {
        run: () => cosineMap(features, query),
        maxError: async (out) => {
          const want = twin(Float64Array.from(numbers), Float64Array.from(queries), { B, N, C });
          const got = await out.data();
          return want.reduce((worst, value, i) => Math.max(worst, Math.abs(value - got[i])), 0);
        },
      };
    },
  };
}

// The low-res branch (27 x 27 cells of width 1152) and the auxiliary map (54 x 54 of width 512).
export const cases: BenchCase[] = [
  cosineCase(2, 49, 96, true),
  cosineCase(4, 729, 1152),
  cosineCase(4, 2916, 512),
];
