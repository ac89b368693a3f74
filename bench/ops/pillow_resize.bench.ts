import { pillowResize } from '../../engine/index.ts';
import { pillowResize as twin } from '../../tests/reference/pillow_resize.ts';
import type { BenchCase } from '../harness.ts';
import { bytes } from '../operands.ts';

type Pair = readonly [number, number];

/** The squash of one image, rows and columns in pixels. */
function pillowResizeCase([H, W]: Pair, [h, w]: Pair, quick = false): BenchCase {
  return {
    op: 'pillow_resize',
    shape: `${H}x${W} to ${h}x${w}`,
    bytes: 4 * (H * W + 2 * H * w + h * w), // the columns' result is written and read
    quick,
    tolerance: 0,
    prepare: (engine) => {
      const rgba = bytes(H * W * 4);
      const image = engine.tensor(rgba, [1, H, W, 4]);
      return {
        run: () => pillowResize(image, [h, w]),
        maxError: async (out) => {
          const got = await out.data();
          const want = twin(rgba, 1, [H, W], [h, w]);
          return want.reduce((worst, value, i) => Math.max(worst, Math.abs(value - got[i])), 0);
        },
      };
    },
  };
}

export const cases: BenchCase[] = [
  pillowResizeCase([216, 384], [378, 378], true),
  pillowResizeCase([2160, 3840], [1512, 1512]),
  pillowResizeCase([2160, 3840], [3780, 3780]),
];
