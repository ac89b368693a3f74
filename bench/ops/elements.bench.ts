import { scatter, take } from '../../engine/index.ts';
import { scatter as scatterTwin, take as takeTwin } from '../../tests/reference/elements.ts';
import type { BenchCase, Result } from '../harness.ts';
import { wave } from '../operands.ts';

async function worst(out: Result, want: Float64Array): Promise<number> {
  const got = await out.data();
  return want.reduce((largest, value, i) => Math.max(largest, Math.abs(value - got[i])), 0);
}

/** k of N columns of R rows: a strided read. */
function gatherCase(R: number, N: number, k: number, quick = false): BenchCase {
  return {
    op: 'gather columns',
    shape: `${k} of ${R}x${N}`,
    bytes: 8 * R * k,
    quick,
    prepare: (engine) => {
      const data = wave(R * N);
      const list = Int32Array.from({ length: k }, (_, i) => (i * 7) % N);
      const x = engine.tensor(data, [R, N]);
      const indices = engine.tensor(list, [k]);
      return {
        run: () => take(x, indices, { axis: 1 }),
        maxError: (out) => worst(out, takeTwin(Float64Array.from(data), [R, N], list, [k], 1)),
      };
    },
  };
}

/** k updates in every one of C columns of N. */
function scatterCase(N: number, k: number, C: number, quick = false): BenchCase {
  return {
    op: 'scatter elements',
    shape: `${k}x${C} into ${N}x${C}`,
    bytes: 4 * (2 * N + 4 * k) * C,
    clock: 'wall', // half of it is a copy
    quick,
    prepare: (engine) => {
      const data = wave(N * C);
      const list = Int32Array.from({ length: k * C }, (_, i) => (i * 13) % N);
      const [x, updates] = [engine.tensor(data, [N, C]), engine.tensor(data.subarray(0, k * C), [k, C])];
      const indices = engine.tensor(list, [k, C]);
      return {
        run: () => scatter(x, indices, updates, { axis: 0, reduction: 'add' }),
        maxError: (out) => {
          const twin = Float64Array.from(data);
          return worst(out, scatterTwin(twin, [N, C], list, [k, C], twin.subarray(0, k * C), 0, 'add'));
        },
      };
    },
  };
}

export const cases: BenchCase[] = [
  gatherCase(61, 67, 13, true),
  gatherCase(729, 1152, 576),
  scatterCase(61, 13, 67, true),
  scatterCase(729, 256, 1152),
];
