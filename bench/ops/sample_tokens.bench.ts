import { type SamplingOptions, sampleTokens } from '../../engine/index.ts';
import { candidates } from '../../tests/reference/sample_tokens.ts';
import type { BenchCase } from '../harness.ts';
import { wave } from '../operands.ts';

/** One token from the logits of a vocabulary. */
function sampleCase(V: number, how: string, options: SamplingOptions, quick = false): BenchCase {
  return {
    op: `sample_tokens, ${how}`,
    shape: `1x${V}`,
    bytes: 4 * V,
    quick,
    prepare: (engine) => {
      const numbers = wave(V).map((x) => 8 * x);
      const logits = engine.tensor(numbers, [1, V]);
      const steps = engine.zeros([1], { dtype: 'u32' });
      const { temperature = 0, topK = temperature === 0 ? 1 : undefined, topP } = options;
      const kept = candidates([...numbers], { temperature: temperature || 1, topK, topP });
      const ids = new Set(kept.map(({ id }) => id));
      return {
        run: () => sampleTokens(logits, { ...options, steps }),
        maxError: async (out) => (ids.has((await out.data())[0]) ? 0 : 1),
      };
    },
  };
}

export const cases: BenchCase[] = [
  sampleCase(4087, 'top-k and top-p', { temperature: 1, topK: 50, topP: 0.9 }, true),
  sampleCase(151_936, 'greedy', {}),
  sampleCase(151_936, 'temperature', { temperature: 1 }),
  sampleCase(151_936, 'top-k and top-p', { temperature: 1, topK: 50, topP: 0.9 }),
];
