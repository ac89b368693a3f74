import { backward, linearCrossEntropy } from '../../engine/index.ts';
import { logitsOf, crossEntropy as twin } from '../../tests/reference/cross_entropy.ts';
import type { BenchCase } from '../harness.ts';
import { wave } from '../operands.ts';

/** The loss of N rows, and with `trains` its gradients too: four matrix products, one of them made twice. */
function lossCase(N: number, V: number, D: number, { trains = false, quick = false } = {}): BenchCase {
  return {
    op: trains ? 'linear_cross_entropy + backward' : 'linear_cross_entropy',
    shape: `${N}x${V}x${D}`,
    flops: (trains ? 8 : 2) * N * V * D,
    bytes: (trains ? 3 : 1) * 4 * (N + V) * D,
    quick,
    peer: trains || quick ? undefined : { name: 'linearCrossEntropy' },
    prepare: (engine) => {
      const [rows, table] = [wave(N * D, 0.7), wave(V * D, 1.3)];
      const x = engine.tensor(rows, [N, D], { requiresGrad: trains });
      const weight = engine.tensor(table, [V, D], { requiresGrad: trains });
      const list = Int32Array.from({ length: N }, (_, n) => (n % 5 === 0 ? -100 : (n * 7919) % V));
      const labels = engine.tensor(list, [N]);
      return {
        run: () => {
          const loss = linearCrossEntropy(x, weight, labels);
          if (!trains) return loss;
          backward(loss);
          for (const leaf of [x, weight]) leaf.zeroGrad();
          return loss;
        },
        maxError: async (out) => {
          const logits = logitsOf(Float64Array.from(rows), Float64Array.from(table), D);
          return Math.abs(twin(logits, list, V) - (await out.data())[0]);
        },
      };
    },
  };
}

export const cases: BenchCase[] = [
  lossCase(48, 512, 64, { quick: true }),
  lossCase(256, 8192, 256),
  lossCase(256, 8192, 256, { trains: true }),
];
