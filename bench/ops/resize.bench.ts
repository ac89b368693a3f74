import { type ResizeMode, resize, resizeRows } from '../../engine/index.ts';
import { resize as twin } from '../../tests/reference/resize.ts';
import type { BenchCase } from '../harness.ts';
import { wave } from '../operands.ts';

type Pair = readonly [number, number];

/** A planar image with three channels, or with `C` a channels-last table. */
function resizeCase(mode: ResizeMode, n: Pair, m: Pair, C?: number, quick = false): BenchCase {
  const inner = C ?? 1;
  const outer = C ? 1 : 3;
  const outputs = outer * m[0] * m[1] * inner;
  // Plain bicubic and nearest leave out pixels when they shrink; then at most 16 inputs per output are read.
  const inputs = outer * n[0] * n[1] * inner;
  const read = mode === 'nearest' || mode === 'bicubic' ? Math.min(inputs, 16 * outputs) : inputs;
  return {
    op: `resize ${mode}`,
    shape: `${n.join('x')}x${C ?? 3} to ${m.join('x')}`,
    bytes: 4 * (read + outputs),
    quick,
    peer: mode === 'bicubic' && n[0] === 1512 ? { name: 'bicubic', size: m } : undefined,
    prepare: (engine) => {
      const numbers = wave(inputs);
      const x = engine.tensor(numbers, C ? [n[0] * n[1], C] : [1, 3, ...n]);
      return {
        run: () => (C ? resizeRows(x, n, m, mode) : resize(x, m, mode)),
        maxError: async (out) => {
          const got = await out.data();
          // One channel in full: of an image the first plane, of a table the first column.
          const plane = C ? numbers.filter((_, i) => i % C === 0) : numbers.subarray(0, n[0] * n[1]);
          const want = twin(plane, 1, n, m, 1, mode);
          return want.reduce((worst, value, i) => Math.max(worst, Math.abs(value - got[i * inner])), 0);
        },
      };
    },
  };
}

export const cases: BenchCase[] = [
  resizeCase('bicubic', [64, 48], [48, 96], undefined, true),
  resizeCase('bicubic', [1512, 1512], [378, 378]),
  resizeCase('bicubic', [3780, 3780], [1512, 1512]),
  resizeCase('area', [1512, 1512], [54, 54]),
  resizeCase('bicubic-antialias', [27, 27], [108, 108], 1152),
];
