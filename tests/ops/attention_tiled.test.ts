import { test } from 'uvu';
import { backward, poolAttention } from '../../engine/index.ts';
import { compare, engine, random, TOLERANCE, tensor, withGpuPlans } from '../harness.ts';
import { attentionTiled as twin } from '../reference/attention_tiled.ts';

// One query whose keys are summed in two slices, and queries around a tile of 32.
for (const [T, M, K] of [
  [1, 600, 8],
  [33, 41, 4],
])
  test(`attention_tiled: ${T} queries over ${M} keys of ${K}: output and gradients match the twin`, () =>
    withGpuPlans(async () => {
      using scope = engine.scope();
      const [q, kv, dout] = [random(T * K, 1), random(M * 2 * K, 2), random(T * K, 3)];
      const part = (from: ArrayLike<number>, column: number): Float64Array =>
        Float64Array.from({ length: M * K }, (_, i) => from[Math.floor(i / K) * 2 * K + column + (i % K)]);
      const queries = tensor(q, [1, T, K], { scope, requiresGrad: true });
      const keys = tensor(kv, [1, M, 2 * K], { scope, requiresGrad: true });
      const out = poolAttention(queries, keys, { heads: 1, force: 'strips' });
      backward(out, tensor(dout, [1, T, K], { scope }));
      const want = twin(q, part(kv, 0), part(kv, K), dout, { T, M, K });
      const dkv = (await keys.grad!.data()) as Float32Array;
      compare('out', (await out.data()) as Float32Array, want.out);
      compare('dq', (await queries.grad!.data()) as Float32Array, want.dq, TOLERANCE.grad);
      compare('dk', part(dkv, 0), want.dk, TOLERANCE.grad);
      compare('dv', part(dkv, K), want.dv, TOLERANCE.grad);
    }));

// A tile of 8 columns, of values or of scores, has fewer invocations than fours of rows whose largest scores they find; without these, exp overflows.
for (const [B, T, M, K] of [
  [1, 40, 33, 8],
  [170, 100, 5, 12],
])
  test(`attention_tiled: ${B} x ${T} queries over ${M} keys of ${K}: values of ones give ones, with scores in the hundreds`, () =>
    withGpuPlans(async () => {
      using scope = engine.scope();
      const q = random(B * T * K, 1).map((value) => 40 * value);
      const kv = random(B * M * 2 * K, 2).map((value, i) => (i % (2 * K) < K ? 40 * value : 1));
      const out = poolAttention(tensor(q, [B, T, K], { scope }), tensor(kv, [B, M, 2 * K], { scope }), {
        heads: 1,
        force: 'strips',
      });
      compare('out', (await out.data()) as Float32Array, new Float32Array(B * T * K).fill(1));
    }));

test.run();
