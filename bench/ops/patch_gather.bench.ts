import { patchGather } from '../../engine/index.ts';
import { nonzero, resizeWeights } from '../../tests/reference/resize.ts';
import type { BenchCase } from '../harness.ts';
import { bytes } from '../operands.ts';

/** k patches spread over one u8 image, cut from it at another size. */
function patchGatherCase(sourcePx: number, imagePx: number, P: number, k: number, quick = false): BenchCase {
  const side = Math.floor(imagePx / P);
  const cells = Uint32Array.from({ length: k }, (_, i) => Math.floor((i * side * side) / k));
  return {
    op: 'patch_gather u8',
    shape: `${k} of ${imagePx}px from ${sourcePx}px`,
    // What the patches cover in the source, and the rows.
    bytes: k * P * P * (4 * Math.min(16, (sourcePx / imagePx) ** 2) + 12),
    quick,
    prepare: (engine) => {
      const rgba = bytes(sourcePx * sourcePx * 4);
      const image = engine.tensor(rgba, [1, sourcePx, sourcePx, 4], { dtype: 'u8' });
      const indices = engine.tensor(cells, [1, k], { dtype: 'u32' });
      return {
        run: () => patchGather(image, indices, { imagePx: [imagePx, imagePx], patchPx: P }),
        maxError: async (out) => {
          const got = await out.data();
          const taps = resizeWeights('bicubic', sourcePx, imagePx).map(nonzero);
          const sample = (y: number, x: number, c: number): number => {
            let sum = 0;
            for (const [v, wy] of taps[y])
              for (const [u, wx] of taps[x]) sum += wy * wx * rgba[(v * sourcePx + u) * 4 + c];
            return sum / 127.5 - 1;
          };
          let worst = 0;
          for (let i = 0; i < got.length; i += 997) {
            const [row, c, pixel] = [Math.floor(i / (3 * P * P)), Math.floor(i / (P * P)) % 3, i % (P * P)];
            const y = Math.floor(cells[row] / side) * P + Math.floor(pixel / P);
            const x = (cells[row] % side) * P + (pixel % P);
            worst = Math.max(worst, Math.abs(got[i] - sample(y, x, c)));
          }
          return worst;
        },
      };
    },
  };
}

export const cases: BenchCase[] = [
  patchGatherCase(224, 168, 14, 40, true),
  patchGatherCase(1512, 378, 14, 729),
  patchGatherCase(1512, 1512, 14, 2560),
  patchGatherCase(3780, 3780, 14, 2560),
  patchGatherCase(3780, 1512, 14, 341),
  patchGatherCase(3780, 3780, 14, 2134),
  patchGatherCase(3780, 1512, 28, 2916),
];
