import { test } from 'uvu';
import { poolAttention } from '../../engine/index.ts';
import { compare, engine, random, tensor, withGpuPlans } from '../harness.ts';
import { attentionTiled as twin } from '../reference/attention_tiled.ts';

// One query whose keys are summed in two slices, and queries around a tile of 32.
for (const [T, M, K] of [
  [1, 600, 8],
  [33, 41, 4],
])
  test(`attention_tiled: ${T} queries over ${M} keys of ${K} match the twin`, () =>
    withGpuPlans(async () => {
      using scope = engine.scope();
      const q = random(T * K, 1);
      const kv = random(M * 2 * K, 2);
      const part = (from: number): Float64Array =>
        Float64Array.from({ length: M * K }, (_, i) => kv[Math.floor(i / K) * 2 * K + from + (i % K)]);
      const out = poolAttention(tensor(q, [1, T, K], { scope }), tensor(kv, [1, M, 2 * K], { scope }), {
        ...{ heads: 1, force: 'strips' },
      });
      compare('out', (await out.data()) as Float32Array, twin(q, part(0), part(K), { T, M, K }));
    }));

test.run();
