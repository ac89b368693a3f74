// Attention in tiles of queries without scores in memory, for GPUs: it takes long to compile for a CPU.
import { test } from 'uvu';
import { attention } from '../../engine/index.ts';
import { checkGradients, compare, engine, random, TOLERANCE, tensor } from '../harness.ts';
import { poolAttention as poolTwin, selfAttention as selfTwin } from '../reference/attention.ts';
import { CASES, check, nameOf } from './causal_attention.ts';
import { poolAttention, selfAttention } from './packed_attention.ts';
import { checkMasked } from './packed_sequences.ts';

for (const one of CASES)
  test(`attention, flash: ${nameOf(one)}: output and gradients match the twin`, () =>
    check(one, { force: 'flash', onGpu: (one.offsets?.length ?? 0) > 1 }));

// Around tiles of 64 queries and of as many keys as a head has elements; more than one split on a GPU.
for (const [B, T, N, heads, K] of [
  [2, 7, 70, 3, 5],
  [1, 65, 100, 2, 32],
  [1, 80, 16, 1, 72],
  [1, 64, 72, 1, 72],
  [1, 3, 140, 1, 128],
] as const)
  test(`attention, flash: ${B}x${T}, ${N} cached, ${heads} heads of ${K}: output and both gradients match the twin`, () => {
    const C = heads * K;
    return checkGradients({
      inputs: {
        qkv: { data: random(B * T * 3 * C, 1), shape: [B, T, 3 * C] },
        cached: { data: random(B * N * 3 * C, 2), shape: [B, N, 3 * C] },
      },
      op: ({ qkv, cached }) => selfAttention(qkv, { heads, cached, force: 'flash' }),
      twin: ({ qkv, cached }) => selfTwin(qkv, cached, { B, T, N, C, heads }),
      samples: 6,
    });
  });

test('attention, flash: queries that a batch shares, and masked keys', async () => {
  using scope = engine.scope();
  const [B, T, M, heads, K] = [3, 18, 41, 2, 8];
  const C = heads * K;
  const mask = Float64Array.from(random(B * M, 9), (value, i) => (i < (B - 1) * M && value > 0 ? 1 : 0));
  const [q, kv] = [random(T * C, 1), random(B * M * 2 * C, 2)];
  const out = poolAttention(tensor(q, [1, T, C], { scope }), tensor(kv, [B, M, 2 * C], { scope }), {
    ...{ heads, force: 'flash' },
    keyMask: tensor(mask, [B, M], { scope }),
  });
  const got = await out.data();
  // The last entry has no key that is not masked: as the twin has it, all of them.
  compare('out', got, poolTwin(q, kv, { B, T, M, C, heads }, mask));
});

test('attention, flash: where a mask hides all keys of a packed sequence, others stay hidden too', () =>
  checkMasked('flash'));

test('attention, flash: what comes after a query does not reach it, not even NaN', async () => {
  using scope = engine.scope();
  const [T, K] = [150, 8];
  const [q, k, v] = [1, 2, 3].map((seed) => random(T * K, seed));
  const run = async (from: number): Promise<Float32Array> => {
    const spoilt = [k, v].map((x) => x.map((value, e) => (e >= from * K ? Number.NaN : value)));
    const [Q, keys, values] = [q, ...spoilt].map((x) => tensor(x, [1, T, 1, K], { scope }));
    return (await attention(Q, keys, values, { causal: true, force: 'flash' }).data()).subarray(0, 64 * K);
  };
  compare('the first tile', await run(64), await run(T), TOLERANCE.exact);
});

test.run();
