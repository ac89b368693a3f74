import { selectTopK, topK } from '../../engine/index.ts';
import { selectTopK as selectionTwin, topK as twin } from '../../tests/reference/top_k.ts';
import type { BenchCase } from '../harness.ts';

const numbers = (n: number): Float32Array =>
  Float32Array.from({ length: n }, (_, i) => Math.imul(i, 0x9e3779b1) / 2 ** 31);

function selectionCase(n: number, k: number, quick = false): BenchCase {
  return {
    op: 'top_k selection',
    shape: `${k} of ${n}`,
    // The numbers once in, the map once out: what any selection must move.
    bytes: 8 * n,
    quick,
    prepare: (engine) => {
      const values = numbers(n);
      const operand = engine.tensor(values, [1, n]);
      return {
        run: () => {
          const { indices, map } = selectTopK(operand, k);
          map.dispose();
          return indices;
        },
        maxError: async (out) => {
          const got = await out.data();
          return selectionTwin(values, k).reduce(
            (worst, want, i) => Math.max(worst, Math.abs(want - got[i])),
            0,
          );
        },
      };
    },
  };
}

function sortedCase(n: number, k: number): BenchCase {
  return {
    op: 'top_k',
    shape: `${k} of ${n}`,
    bytes: 4 * n,
    peer: { name: 'topK', k },
    prepare: (engine) => {
      const values = numbers(n);
      const operand = engine.tensor(values, [1, n]);
      return {
        run: () => {
          const top = topK(operand, k);
          top.values.dispose();
          return top.indices;
        },
        maxError: async (out) => {
          const got = await out.data();
          return twin(values, k).reduce((worst, want, i) => Math.max(worst, Math.abs(want - got[i])), 0);
        },
      };
    },
  };
}

export const cases: BenchCase[] = [
  selectionCase(2916, 85, true),
  selectionCase(11_664, 341),
  selectionCase(72_900, 2134),
  selectionCase(2 ** 24, 2134),
  sortedCase(15_309, 2560),
  sortedCase(72_900, 2134),
];
