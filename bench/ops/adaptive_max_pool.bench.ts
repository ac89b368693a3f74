import { adaptiveMaxPool } from '../../engine/index.ts';
import { adaptiveMaxPool as twin } from '../../tests/reference/adaptive_max_pool.ts';
import type { BenchCase } from '../harness.ts';

function poolCase(B: number, side: number, outSide: number, quick = false): BenchCase {
  return {
    op: 'adaptive_max_pool',
    shape: `${B}x${side}x${side} to ${outSide}x${outSide}`,
    bytes: B * (4 * side * side + 8 * outSide * outSide),
    quick,
    prepare: (engine) => {
      const numbers = Float32Array.from({ length: B * side * side }, (_, i) => Math.sin(i * i));
      const x = engine.tensor(numbers, [B, side * side]);
      return {
        run: () => adaptiveMaxPool(x, [side, side], [outSide, outSide]),
        maxError: async (out) => {
          const got = await out.data();
          const want = twin(numbers, B, [side, side], [outSide, outSide]);
          return want.reduce((worst, value, i) => Math.max(worst, Math.abs(value - got[i])), 0);
        },
      };
    },
  };
}

export const cases: BenchCase[] = [poolCase(2, 54, 27, true), poolCase(32, 54, 24), poolCase(256, 54, 27)];
