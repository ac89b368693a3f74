import { layerNorm } from '../../engine/index.ts';
import { layerNorm as twin } from '../../tests/reference/layer_norm.ts';
import type { BenchCase } from '../harness.ts';
import { wave } from '../operands.ts';

function layerNormCase(R: number, C: number, quick = false): BenchCase {
  return {
    op: 'layer_norm',
    shape: `${R}x${C}`,
    flops: 8 * R * C,
    bytes: 8 * R * C,
    quick,
    peer: R === 2560 ? { name: 'layerNorm', eps: 1e-6 } : undefined,
    prepare: (engine) => {
      const numbers = wave(R * C);
      const x = engine.tensor(numbers, [R, C]);
      const gains = Float32Array.from({ length: C }, (_, c) => 1.5 + Math.sin(c));
      const shifts = Float32Array.from({ length: C }, (_, c) => Math.cos(c));
      const gamma = engine.tensor(gains, [C]);
      const beta = engine.tensor(shifts, [C]);
      return {
        run: () => layerNorm(x, gamma, beta),
        maxError: async (out) => {
          const rows = 3;
          const head = Float64Array.from(numbers.subarray(0, rows * C));
          const want = twin(head, Float64Array.from(gains), Float64Array.from(shifts));
          const got = await out.data();
          return Math.max(...want.map((value, i) => Math.abs(value - got[i])));
        },
      };
    },
  };
}

export const cases: BenchCase[] = [
  layerNormCase(64, 96, true),
  layerNormCase(729, 1152),
  layerNormCase(2560, 1152),
];
