import { diceLoss } from '../../engine/index.ts';
import { diceLoss as twin } from '../../tests/reference/dice.ts';
import type { BenchCase } from '../harness.ts';

function lossCase(B: number, N: number, quick = false): BenchCase {
  return {
    op: 'dice',
    shape: `${B}x${N}`,
    flops: 4 * B * N,
    bytes: 8 * B * N,
    quick,
    prepare: (engine) => {
      const probabilities = Float32Array.from({ length: B * N }, (_, i) => 0.5 + 0.49 * Math.sin(i));
      const labels = Float32Array.from({ length: B * N }, (_, i) => (i % 5 === 0 ? 1 : 0));
      const p = engine.tensor(probabilities, [B, N]);
      const y = engine.tensor(labels, [B, N]);
      return {
        run: () => diceLoss(p, y),
        maxError: async (out) => Math.abs(twin(probabilities, labels, { N }) - (await out.data())[0]),
      };
    },
  };
}

export const cases: BenchCase[] = [lossCase(2, 729, true), lossCase(8, 11_664), lossCase(8, 72_900)];
