import { backward, type Engine, sigmoidContrastive, type Tensor } from '../../engine/index.ts';
import { sigmoidContrastive as twin } from '../../tests/reference/contrastive.ts';
import { l2Normalize } from '../../tests/reference/l2_normalize.ts';
import type { BenchCase } from '../harness.ts';

const LOG_SCALE = Math.fround(Math.log(10));
const BIAS = -10;

const unit = (B: number, D: number, step: number): Float64Array =>
  l2Normalize(
    Float64Array.from({ length: B * D }, (_, i) => Math.sin(step * i)),
    D,
  );

function operandsOf(
  engine: Engine,
  B: number,
  D: number,
  requiresGrad: boolean,
): [Tensor, Tensor, Tensor, Tensor] {
  const leaf = (data: Float64Array, shape: number[]) =>
    engine.tensor(Float32Array.from(data), shape, { requiresGrad });
  return [
    leaf(unit(B, D, 1.1), [B, D]),
    leaf(unit(B, D, 1.7), [B, D]),
    leaf(Float64Array.of(LOG_SCALE), [1]),
    leaf(Float64Array.of(BIAS), [1]),
  ];
}

function lossCase(B: number, D: number, quick = false): BenchCase {
  return {
    op: 'contrastive',
    shape: `${B}x${D}`,
    flops: 2 * B * B * D,
    bytes: 8 * B * D,
    quick,
    prepare: (engine) => {
      const [images, texts, scale, bias] = operandsOf(engine, B, D, false);
      return {
        run: () => sigmoidContrastive(images, texts, scale, bias),
        maxError: async (out) => {
          const want = twin(unit(B, D, 1.1), unit(B, D, 1.7), LOG_SCALE, BIAS, B);
          return Math.abs(want - (await out.data())[0]);
        },
      };
    },
  };
}

/** Forward and backward: four matrix products, one of them computed twice. */
function trainingCase(B: number, D: number): BenchCase {
  return {
    op: 'contrastive + backward',
    shape: `${B}x${D}`,
    flops: 8 * B * B * D,
    bytes: 24 * B * D,
    prepare: (engine) => {
      const leaves = operandsOf(engine, B, D, true);
      return {
        run: () => {
          const loss = sigmoidContrastive(...leaves);
          backward(loss);
          for (const leaf of leaves) {
            leaf.grad!.dispose();
            leaf.variable.grad = undefined;
          }
          return loss;
        },
        maxError: async (out) => {
          const want = twin(unit(B, D, 1.1), unit(B, D, 1.7), LOG_SCALE, BIAS, B);
          return Math.abs(want - (await out.data())[0]);
        },
      };
    },
  };
}

export const cases: BenchCase[] = [
  lossCase(48, 64, true),
  lossCase(256, 1152),
  trainingCase(256, 1152),
  // A batch whose logits alone would take 256 MiB: the peak shows that they are never kept.
  lossCase(8192, 64),
  trainingCase(8192, 64),
];
