import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { backward, noGrad, poolAttention, selfAttention, type Tensor } from '../../engine/index.ts';
import {
  checkGradients,
  compare,
  engine,
  random,
  TOLERANCE,
  tensor,
  throws,
  torchCases,
} from '../harness.ts';
import { poolAttention as poolTwin, selfAttention as selfTwin } from '../reference/attention.ts';

const numbers = (x: Tensor<'f32'>): Promise<Float32Array> => x.data();

// Queries and keys around the workgroup of 8 rows and the step of 4 keys; heads that vec4 loads fit, and one that they do not.
for (const [B, T, N, heads, K] of [
  [1, 1, 0, 1, 4],
  [2, 7, 5, 3, 4],
  [1, 16, 16, 2, 16],
  [2, 7, 5, 1, 24],
  [1, 65, 16, 2, 32],
  [1, 7, 64, 1, 32],
  [1, 16, 5, 1, 72],
  [1, 9, 3, 2, 5],
  [1, 130, 5, 1, 4],
])
  test(`self_attention: ${B}x${T}, ${N} cached, ${heads} heads of ${K}: output and both gradients match the twin`, async () => {
    const C = heads * K;
    const dims = { B, T, N, C, heads };
    const qkv = { data: random(B * T * 3 * C, 1), shape: [B, T, 3 * C] };
    const samples = T > 60 ? 6 : 16;
    if (N === 0)
      await checkGradients({
        inputs: { qkv },
        op: ({ qkv }) => selfAttention(qkv, { heads, force: 'chunks' }),
        twin: ({ qkv }) => selfTwin(qkv, new Float64Array(0), dims),
        samples,
      });
    else
      await checkGradients({
        inputs: { qkv, cached: { data: random(B * N * 3 * C, 2), shape: [B, N, 3 * C] } },
        op: ({ qkv, cached }) => selfAttention(qkv, { heads, cached, force: 'chunks' }),
        twin: ({ qkv, cached }) => selfTwin(qkv, cached, dims),
        samples,
      });
  });

test('self_attention: the cached queries, which are not used, get zeros', async () => {
  using scope = engine.scope();
  const [B, T, N, C] = [2, 3, 5, 8];
  const qkv = tensor(random(B * T * 3 * C, 1), [B, T, 3 * C], { scope, requiresGrad: true });
  const cached = tensor(random(B * N * 3 * C, 2), [B, N, 3 * C], { scope, requiresGrad: true });
  backward(selfAttention(qkv, { heads: 2, cached }), engine.full([B, T, C], 1));
  const dcached = await numbers(cached.grad!);
  for (let row = 0; row < B * N; row++)
    compare('dq', dcached.subarray(row * 3 * C, row * 3 * C + C), new Float32Array(C));
  assert.ok(dcached.some((value) => value !== 0));
});

test('self_attention: an empty cache changes nothing', async () => {
  using scope = engine.scope();
  const qkv = tensor(random(2 * 7 * 24, 1), [2, 7, 24], { scope });
  const cached = tensor([], [2, 0, 24], { scope });
  const want = await numbers(selfAttention(qkv, { heads: 2 }));
  compare('out', await numbers(selfAttention(qkv, { heads: 2, cached })), want, TOLERANCE.exact);
});

test('self_attention: values of ones give ones, even where scores are in the hundreds', async () => {
  using scope = engine.scope();
  const [T, C] = [33, 16];
  const packed = Float64Array.from(random(T * 3 * C, 1), (value, i) =>
    i % (3 * C) < 2 * C ? 40 * value : 1,
  );
  const out = selfAttention(tensor(packed, [1, T, 3 * C], { scope }), { heads: 2 });
  compare('out', await numbers(out), new Float32Array(T * C).fill(1));
});

test('self_attention: the same bits on every run', async () => {
  using scope = engine.scope();
  const data = random(2 * 37 * 96, 1);
  const runs: Float32Array[][] = [];
  for (let i = 0; i < 2; i++) {
    const qkv = tensor(data, [2, 37, 96], { scope, requiresGrad: true });
    const out = selfAttention(qkv, { heads: 2 });
    backward(out, tensor(random(2 * 37 * 32, 2), [2, 37, 32], { scope }));
    runs.push([await numbers(out), await numbers(qkv.grad!)]);
  }
  compare('out', runs[1][0], runs[0][0], TOLERANCE.exact);
  compare('dqkv', runs[1][1], runs[0][1], TOLERANCE.exact);
});

test('self_attention: forward keeps no matrix of queries by keys, backward strips of some MiB', async () => {
  using scope = engine.scope();
  const [T, N, C, heads] = [512, 128, 32, 4];
  const qkv = tensor(random(T * 3 * C, 1), [1, T, 3 * C], { scope, requiresGrad: true });
  const cached = tensor(random(N * 3 * C, 2), [1, N, 3 * C], { scope, requiresGrad: true });
  const seed = tensor(random(T * C, 3), [1, T, C], { scope });
  const extraOf = async (work: () => void): Promise<number> => {
    await engine.gpu.idle();
    engine.resetPeak();
    const before = engine.stats().liveBytes;
    work();
    return engine.stats().peakBytes - before;
  };
  // The result and its gradients, and their copies for the leaves; a matrix would be 4 * 512 * 640 * 4 B = 5.2 MB alone.
  const operands = 4 * C * (T + 2 * (T + N) + T);
  const forward = await extraOf(() => noGrad(() => selfAttention(qkv, { heads, cached, force: 'chunks' })));
  assert.ok(forward < operands, `forward: got ${forward} B over ${operands} B of operands`);
  const strips = (engine.gpu.target.kind === 'cpu' ? 4 : 36) * 2 ** 20;
  const both = await extraOf(() => backward(selfAttention(qkv, { heads, cached, force: 'chunks' }), seed));
  assert.ok(both < strips + 3 * operands + 65_536, `got ${both} B over ${operands} B of operands`);
});

for (const [B, T, M, heads, K, shared, masked] of [
  [1, 1, 1, 1, 4, true, false],
  [3, 1, 7, 2, 16, true, true],
  [2, 1, 100, 2, 8, true, true],
  [2, 2, 65, 1, 24, true, true],
  [2, 9, 16, 3, 8, false, true],
  [2, 3, 13, 1, 7, false, false],
] as const)
  test(`pool_attention: ${B}x${T} over ${M}, ${heads} heads of ${K}, ${shared ? 'shared' : 'own'} queries, ${masked ? 'masked' : 'no mask'}: output and gradients match the twin`, async () => {
    const C = heads * K;
    // The last batch entry attends to nothing, that is to everything.
    const mask = Float64Array.from(random(B * M, 9), (value, i) => (i < (B - 1) * M && value > 0 ? 1 : 0));
    await checkGradients({
      inputs: {
        q: { data: random((shared ? 1 : B) * T * C, 1), shape: [shared ? 1 : B, T, C] },
        kv: { data: random(B * M * 2 * C, 2), shape: [B, M, 2 * C] },
      },
      op: ({ q, kv }) =>
        poolAttention(q, kv, {
          heads,
          keyMask: masked ? tensor(mask, [B, M], { scope: kv.scope }) : undefined,
        }),
      twin: ({ q, kv }) => poolTwin(q, kv, { B, T, M, C, heads }, masked ? mask : undefined),
    });
  });

test('attention: output and gradients match PyTorch', async () => {
  for (const [name, vectors] of await torchCases('attention')) {
    using scope = engine.scope();
    const get = (key: string) => {
      const vector = vectors.get(key);
      return (
        vector && tensor(vector.data, vector.shape, { scope, requiresGrad: key !== 'dout' && key !== 'mask' })
      );
    };
    const [qkv, cached, q, kv] = ['qkv', 'cached', 'q', 'kv'].map(get);
    const [heads] = vectors.get('heads')!.data;
    const out = qkv
      ? selfAttention(qkv, { heads, cached })
      : poolAttention(q!, kv!, { heads, keyMask: get('mask') });
    compare(`${name}/out`, await numbers(out), vectors.get('out')!.data);
    backward(out, get('dout')!);
    for (const [key, leaf] of Object.entries({ qkv, cached, q, kv }))
      if (leaf)
        compare(`${name}/d${key}`, await numbers(leaf.grad!), vectors.get(`d${key}`)!.data, TOLERANCE.grad);
  }
});

test('attention: shapes that do not fit are named', () => {
  using scope = engine.scope();
  const zeros = (...shape: number[]) =>
    tensor(new Float64Array(shape.reduce((n, extent) => n * extent, 1)), shape, { scope });
  throws(
    () => selfAttention(zeros(2, 3, 8), { heads: 2 }),
    /^self_attention: qkv must be \[B, T, 3C\], got \[2, 3, 8\]\./,
  );
  throws(
    () => selfAttention(zeros(2, 3, 24), { heads: 3 }),
    /^self_attention: the width must be a multiple of heads, got C = 8, heads = 3\./,
  );
  throws(
    () => selfAttention(zeros(1, 1, 387), { heads: 1 }),
    /^self_attention: a head must not exceed 128, got 129 \/ 1 = 129\./,
  );
  throws(
    () => selfAttention(zeros(2, 3, 24), { heads: 2, cached: zeros(1, 3, 24) }),
    /^self_attention: cached must be \[2, N, 24\], got \[1, 3, 24\]\./,
  );
  throws(
    () => poolAttention(zeros(1, 1, 8), zeros(2, 3, 8), { heads: 2 }),
    /^pool_attention: q must be \[1 or B, Tq, C\]/,
  );
  throws(
    () => poolAttention(zeros(1, 1, 8), zeros(2, 3, 16), { heads: 2, keyMask: zeros(2, 4) }),
    /^pool_attention: keyMask must be \[2, 3\], got \[2, 4\]\./,
  );
});

test.run();
