import { adamwUpdate } from '../../engine/internal.ts';
import { adamw as twin } from '../../tests/reference/adamw.ts';
import type { BenchCase } from '../harness.ts';
import { wave } from '../operands.ts';

/** Elements compared with the twin. */
const CHECKED = 1024;
const LR = 0;

/** With a learning rate of 0 the parameters stay as they are, however often the benchmark steps; the moments move. */
export const cases: BenchCase[] = [4096, 3 * 4304 * 1152].map((n) => ({
  op: 'adamw',
  shape: `${n}`,
  flops: 16 * n,
  bytes: 28 * n,
  quick: n < 10_000,
  prepare: (engine) => {
    const values = wave(n);
    const table = new Float32Array([0, 1, 0.1, 0]);
    new Uint32Array(table.buffer)[0] = n;
    const arenas = {
      parameters: engine.tensor(values, [n]),
      gradients: engine.tensor(values, [n]),
      moment1: engine.zeros([n]),
      moment2: engine.zeros([n]),
      groups: engine.tensor(table, [1, 4]),
      scalars: engine.tensor([LR, 0.9, 0.95, 1e-6, 0.1, 0.05, 1, n / 2], [8]),
    };
    return {
      run: () => {
        adamwUpdate(arenas);
        return arenas.moment1;
      },
      maxError: async (out) => {
        const got = {
          p: await arenas.parameters.data(),
          m: await out.data(),
          v: await arenas.moment2.data(),
        };
        const p = Float64Array.from(values.subarray(0, CHECKED));
        const zeros = new Float64Array(CHECKED);
        const options = {
          lr: LR,
          beta1: 0.9,
          beta2: 0.95,
          eps: 1e-6,
          maxNorm: 0,
          groups: [{ end: n, lrScale: 1, decay: 0.1 }],
        };
        const want = twin({ p, m: zeros, v: zeros }, p, 1, options);
        return (['p', 'm', 'v'] as const).reduce(
          (worst, key) =>
            want[key].reduce((worst, value, i) => Math.max(worst, Math.abs(value - got[key][i])), worst),
          0,
        );
      },
    };
  },
}));
