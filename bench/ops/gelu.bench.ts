import { gelu } from '../../engine/index.ts';
import { gelu as twin } from '../../tests/reference/gelu.ts';
import type { BenchCase } from '../harness.ts';
import { wave } from '../operands.ts';

/** Elements compared with the twin. */
const CHECKED = 4096;

export const cases: BenchCase[] = [
  { form: 'erf', R: 61, C: 67 },
  { form: 'erf', R: 729, C: 4304 },
  { form: 'tanh', R: 729, C: 4304 },
  { form: 'tanh', R: 3289, C: 4304 },
  { form: 'erf', R: 3289, C: 4304 },
].map(({ form, R, C }) => ({
  op: `gelu ${form}`,
  shape: `${R}x${C}`,
  flops: 20 * R * C,
  bytes: 8 * R * C,
  quick: R < 100,
  peer: form === 'erf' && R === 729 ? { name: 'gelu' } : undefined,
  prepare: (engine) => {
    const kind = form === 'erf' ? 'erf' : 'tanh';
    const values = wave(R * C).map((value) => 4 * value);
    const x = engine.tensor(values, [R, C]);
    return {
      run: () => gelu(x, { form: kind }),
      maxError: async (out) => {
        const got = await out.data();
        const want = twin(Float64Array.from(values.subarray(0, CHECKED)), kind);
        return want.reduce((worst, value, i) => Math.max(worst, Math.abs(value - got[i])), 0);
      },
    };
  },
}));
