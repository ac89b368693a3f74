import { sortKeys } from '../../engine/index.ts';
import { sortedOrder } from '../../tests/reference/sort.ts';
import type { BenchCase } from '../harness.ts';

function sortCase(n: number, bits: number, quick = false): BenchCase {
  return {
    op: 'sort',
    shape: `${n}, ${bits} bits`,
    // Per pass: keys twice and order once in, both once out.
    bytes: Math.ceil(bits / 8) * 5 * 4 * n,
    quick,
    prepare: (engine) => {
      const keys = Uint32Array.from({ length: n }, (_, i) => Math.imul(i + 1, 2654435761) >>> (32 - bits));
      const operand = engine.tensor(keys, [1, n]);
      return {
        run: () => {
          const sorted = sortKeys(operand, { bits });
          sorted.keys.dispose();
          return sorted.order;
        },
        maxError: async (out) => {
          const got = await out.data();
          return sortedOrder(keys).reduce((worst, want, i) => Math.max(worst, Math.abs(want - got[i])), 0);
        },
      };
    },
  };
}

export const cases: BenchCase[] = [
  sortCase(1000, 8, true),
  sortCase(16_384, 15),
  sortCase(72_900, 17),
  sortCase(2 ** 20, 32),
];
