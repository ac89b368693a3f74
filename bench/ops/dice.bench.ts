import { diceLoss, type Tensor } from '../../engine/index.ts';
import { diceLoss as diceTwin } from '../../tests/reference/dice.ts';
import type { BenchCase } from '../harness.ts';
import { wave } from '../operands.ts';

interface MapLoss {
  readonly op: string;
  readonly loss: (p: Tensor, y: Tensor) => Tensor;
  readonly twin: (p: ArrayLike<number>, y: ArrayLike<number>, options: { N: number }) => number;
  readonly flops: number;
}

/** A loss of probability maps [B, N] against its twin; `flops` per element. */
function mapLossCase({ op, loss, twin, flops }: MapLoss, B: number, N: number, quick = false): BenchCase {
  return {
    op,
    shape: `${B}x${N}`,
    flops: flops * B * N,
    bytes: 8 * B * N,
    quick,
    prepare: (engine) => {
      const probabilities = wave(B * N).map((value) => 0.5 + 0.49 * value);
      const labels = Float32Array.from({ length: B * N }, (_, i) => (i % 5 === 0 ? 1 : 0));
      const p = engine.tensor(probabilities, [B, N]);
      const y = engine.tensor(labels, [B, N]);
      return {
        run: () => loss(p, y),
        maxError: async (out) => Math.abs(twin(probabilities, labels, { N }) - (await out.data())[0]),
      };
    },
  };
}

/** Maps of 27 x 27, 108 x 108 and 270 x 270 patches: of images of 378, 1512 and 3780 px. */
export const mapLossCases = (loss: MapLoss): BenchCase[] => [
  mapLossCase(loss, 2, 729, true),
  mapLossCase(loss, 8, 11_664),
  mapLossCase(loss, 8, 72_900),
];

export const cases: BenchCase[] = mapLossCases({ op: 'dice', loss: diceLoss, twin: diceTwin, flops: 4 });
