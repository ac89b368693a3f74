import { randomNormal, randomUniform } from '../../engine/index.ts';
import { boxMuller, words } from '../../tests/reference/random.ts';
import type { BenchCase } from '../harness.ts';

/** Elements compared with the twin; even. */
const CHECKED = 512;
/** WGSL allows cos and sin an error of 2^-11, which the radius multiplies; it stays below 6.8. */
const NORMAL_TOLERANCE = 6.8 * 2 ** -11;

export const cases: BenchCase[] = [4087, 3289 * 4304].flatMap((n): BenchCase[] => {
  const drawn = words(CHECKED, 1, 0);
  const uniform = drawn.map((word) => Math.floor(word / 256) / 2 ** 24);
  const normal = drawn.flatMap((word, e) => (e % 2 === 0 ? boxMuller(word, drawn[e + 1]) : []));
  const kinds = [
    { op: 'random uniform', draw: randomUniform, want: uniform },
    { op: 'random normal', draw: randomNormal, want: normal, tolerance: NORMAL_TOLERANCE },
  ];
  return kinds.map(({ op, draw, want, tolerance }) => ({
    op,
    tolerance,
    shape: `${n}`,
    bytes: 4 * n,
    quick: n < 10_000,
    prepare: (engine) => ({
      run: () => draw(engine, [n], { seed: 1 }),
      maxError: async (out) => {
        const got = await out.data();
        return Math.max(...want.map((value, i) => Math.abs(value - got[i])));
      },
    }),
  }));
});
