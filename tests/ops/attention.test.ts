import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { attention, backward, noGrad, type Tensor, unpackHeads } from '../../engine/index.ts';
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
import {
  composedAttention,
  poolAttention as poolTwin,
  selfAttention as selfTwin,
} from '../reference/attention.ts';
import { poolAttention, selfAttention } from './packed_attention.ts';

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
  test(`attention: packed, ${B}x${T}, ${N} cached, ${heads} heads of ${K}: output and both gradients match the twin`, async () => {
    const C = heads * K;
    const dims = { B, T, N, C, heads };
    const qkv = { data: random(B * T * 3 * C, 1), shape: [B, T, 3 * C] };
    const samples = T > 60 ? 6 : 16;
    if (N === 0)
      await checkGradients({
        inputs: { qkv },
        op: ({ qkv }) => selfAttention(qkv, { heads, force: 'split_kv' }),
        twin: ({ qkv }) => selfTwin(qkv, new Float64Array(0), dims),
        samples,
      });
    else
      await checkGradients({
        inputs: { qkv, cached: { data: random(B * N * 3 * C, 2), shape: [B, N, 3 * C] } },
        op: ({ qkv, cached }) => selfAttention(qkv, { heads, cached, force: 'split_kv' }),
        twin: ({ qkv, cached }) => selfTwin(qkv, cached, dims),
        samples,
      });
  });

test('attention: the cached queries, which are not used, get zeros', async () => {
  using scope = engine.scope();
  const [B, T, N, C] = [2, 3, 5, 8];
  const qkv = tensor(random(B * T * 3 * C, 1), [B, T, 3 * C], { scope, requiresGrad: true });
  const cached = tensor(random(B * N * 3 * C, 2), [B, N, 3 * C], { scope, requiresGrad: true });
  backward(selfAttention(qkv, { heads: 2, cached }), { seed: engine.full([B, T, C], 1) });
  const dcached = await numbers(cached.grad!);
  for (let row = 0; row < B * N; row++)
    compare('dq', dcached.subarray(row * 3 * C, row * 3 * C + C), new Float32Array(C));
  assert.ok(dcached.some((value) => value !== 0));
});

test('attention: an empty cache changes nothing', async () => {
  using scope = engine.scope();
  const qkv = tensor(random(2 * 7 * 24, 1), [2, 7, 24], { scope });
  const cached = tensor([], [2, 0, 24], { scope });
  const want = await numbers(selfAttention(qkv, { heads: 2 }));
  compare('out', await numbers(selfAttention(qkv, { heads: 2, cached })), want, TOLERANCE.exact);
});

test('attention: values of ones give ones, even where scores are in the hundreds', async () => {
  using scope = engine.scope();
  const [T, C] = [33, 16];
  const packed = Float64Array.from(random(T * 3 * C, 1), (value, i) =>
    i % (3 * C) < 2 * C ? 40 * value : 1,
  );
  const out = selfAttention(tensor(packed, [1, T, 3 * C], { scope }), { heads: 2 });
  compare('out', await numbers(out), new Float32Array(T * C).fill(1));
});

test('attention: the same bits on every run', async () => {
  using scope = engine.scope();
  const data = random(2 * 37 * 96, 1);
  const runs: Float32Array[][] = [];
  for (let i = 0; i < 2; i++) {
    const qkv = tensor(data, [2, 37, 96], { scope, requiresGrad: true });
    const out = selfAttention(qkv, { heads: 2 });
    backward(out, { seed: tensor(random(2 * 37 * 32, 2), [2, 37, 32], { scope }) });
    runs.push([await numbers(out), await numbers(qkv.grad!)]);
  }
  compare('out', runs[1][0], runs[0][0], TOLERANCE.exact);
  compare('dqkv', runs[1][1], runs[0][1], TOLERANCE.exact);
});

test('attention: forward keeps no matrix of queries by keys, backward blocks of some MiB', async () => {
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
  const forward = await extraOf(() => noGrad(() => selfAttention(qkv, { heads, cached, force: 'split_kv' })));
  assert.ok(forward < operands, `forward: got ${forward} B over ${operands} B of operands`);
  const blocks = (engine.gpu.target.kind === 'cpu' ? 4 : 36) * 2 ** 20;
  const both = await extraOf(() =>
    backward(selfAttention(qkv, { heads, cached, force: 'split_kv' }), { seed }),
  );
  assert.ok(both < blocks + 3 * operands + 65_536, `got ${both} B over ${operands} B of operands`);
});

for (const [B, T, M, heads, K, shared, masked] of [
  [1, 1, 1, 1, 4, true, false],
  [3, 1, 7, 2, 16, true, true],
  [2, 1, 100, 2, 8, true, true],
  [2, 2, 65, 1, 24, true, true],
  [2, 9, 16, 3, 8, false, true],
  [2, 3, 13, 1, 7, false, false],
] as const)
  test(`attention: pooling, ${B}x${T} over ${M}, ${heads} heads of ${K}, ${shared ? 'shared' : 'own'} queries, ${masked ? 'masked' : 'no mask'}: output and gradients match the twin`, async () => {
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
    backward(out, { seed: get('dout')! });
    for (const [key, leaf] of Object.entries({ qkv, cached, q, kv }))
      if (leaf)
        compare(`${name}/d${key}`, await numbers(leaf.grad!), vectors.get(`d${key}`)!.data, TOLERANCE.grad);
  }
});

// Three tensors and two more of cached keys; one tensor for all; and heads larger than split_kv takes.
for (const [B, T, N, M, H, K, force] of [
  [2, 3, 4, 5, 2, 8, 'split_kv'],
  [2, 3, 4, 5, 2, 8, 'query_blocks'],
  [2, 3, 4, 5, 2, 8, 'flash'],
  [1, 2, 3, 3, 2, 5, undefined],
  [1, 1, 0, 4, 1, 160, 'split_kv'],
  [2, 6, 2, 4, 1, 132, undefined],
] as const)
  test(`attention: ${B}x${T} over ${N} cached and ${M} keys, ${H} heads of ${K}, ${force ?? 'as planned'}: output and gradients match the twin`, async () => {
    const input = (rows: number, seed: number) => ({
      data: random(B * rows * H * K, seed),
      shape: [B, rows, H, K],
    });
    const byHead = (x: Float64Array, rows: number) =>
      Float64Array.from(x, (_, i) => {
        const [b, h, t, d] = [
          Math.floor(i / (H * rows * K)),
          Math.floor(i / (rows * K)) % H,
          Math.floor(i / K) % rows,
          i % K,
        ];
        return x[((b * rows + t) * H + h) * K + d];
      });
    const byToken = (y: Float64Array) =>
      Float64Array.from(y, (_, i) => {
        const [b, t, h, d] = [
          Math.floor(i / (H * T * K)),
          Math.floor(i / (H * K)) % T,
          Math.floor(i / K) % H,
          i % K,
        ];
        return y[((b * H + h) * T + t) * K + d];
      });
    const joined = (kept: Float64Array, own: Float64Array) => {
      const all = new Float64Array(B * (N + M) * H * K);
      for (let b = 0; b < B; b++) {
        all.set(kept.subarray(b * N * H * K, (b + 1) * N * H * K), b * (N + M) * H * K);
        all.set(own.subarray(b * M * H * K, (b + 1) * M * H * K), (b * (N + M) + N) * H * K);
      }
      return byHead(all, N + M);
    };
    await checkGradients({
      inputs: { q: input(T, 1), k: input(M, 2), v: input(M, 3), ck: input(N, 4), cv: input(N, 5) },
      wrt: N > 0 ? ['q', 'k', 'v', 'ck', 'cv'] : ['q', 'k', 'v'],
      op: ({ q, k, v, ck, cv }) => attention(q, k, v, { cached: { k: ck, v: cv }, scale: 0.3, force }),
      twin: ({ q, k, v, ck, cv }) => {
        const sizes = { B, H, G: H, Tq: T, Tk: N + M, K, V: K };
        const mask = new Float64Array(B * H * T * (N + M));
        const { y } = composedAttention(
          byHead(q, T),
          joined(ck, k),
          joined(cv, v),
          mask,
          sizes,
          0.3,
          undefined,
        );
        return byToken(y);
      },
      samples: 12,
    });
  });

test('attention: a tensor that is queries, keys and values gets the sum of their gradients', async () => {
  const [T, H, K] = [5, 2, 4];
  for (const force of ['split_kv', 'query_blocks'] as const) {
    using scope = engine.scope();
    const data = random(T * H * K, 1);
    const leaf = () => tensor(data, [1, T, H, K], { scope, requiresGrad: true });
    const dout = tensor(random(T * H * K, 2), [1, T, H, K], { scope });
    const [x, q, k, v] = [leaf(), leaf(), leaf(), leaf()];
    backward(attention(x, x, x, { force }), { seed: dout });
    backward(attention(q, k, v, { force }), { seed: dout });
    const parts = await Promise.all([q, k, v].map((one) => numbers(one.grad!)));
    const want = Float32Array.from(data, (_, i) => parts[0][i] + parts[1][i] + parts[2][i]);
    compare('dx', await numbers(x.grad!), want, TOLERANCE.grad);
  }
});

test('attention: a part of a packed tensor that is not used gets zeros', async () => {
  using scope = engine.scope();
  const packed = tensor(random(3 * 24, 1), [1, 3, 24], { scope, requiresGrad: true });
  const [q, , v] = unpackHeads(packed, { parts: 3, heads: 2 });
  backward(attention(q, v, v), { seed: tensor(random(24, 2), [1, 3, 2, 4], { scope }) });
  const gradient = await numbers(packed.grad!);
  for (let t = 0; t < 3; t++)
    compare('dk', gradient.subarray(24 * t + 8, 24 * t + 16), new Float32Array(8), TOLERANCE.exact);
  assert.ok([0, 16].every((column) => gradient[column] !== 0));
});

test('attention: operands that do not fit are named', () => {
  using scope = engine.scope();
  const zeros = (...shape: number[]) =>
    tensor(new Float64Array(shape.reduce((n, extent) => n * extent, 1)), shape, { scope });
  throws(
    () => unpackHeads(zeros(2, 3, 8), { parts: 3, heads: 2 }),
    /^unpackHeads: the width must be a multiple of parts \* heads, got width = 8, parts = 3, heads = 2\./,
  );
  throws(
    () => unpackHeads(zeros(2, 24), { parts: 3, heads: 2 }),
    /^unpackHeads: packed must be \[B, T, width\], got \[2, 24\]\./,
  );
  const x = zeros(2, 3, 2, 4);
  throws(
    () => attention(zeros(2, 3, 8), x, x),
    /^attention: q must be \[B, rows, heads, head size\], got \[2, 3, 8\]\. unpackHeads names heads/,
  );
  throws(
    () => attention(zeros(3, 3, 2, 4), x, x),
    /^attention: q must be \[1 or B, T, H, K\], .*, got q \[3, 3, 2, 4\], k \[2, 3, 2, 4\] and v \[2, 3, 2, 4\]\./,
  );
  throws(
    () => attention(x, x, x, { cached: { k: zeros(1, 3, 2, 4), v: x } }),
    /^attention: cached\.k must be \[2, N, 2, 4\] and cached\.v \[2, N, 2, 4\], got \[1, 3, 2, 4\] and \[2, 3, 2, 4\]\./,
  );
  throws(
    () => attention(x, x, x, { keyMask: zeros(2, 4) }),
    /^attention: keyMask must be \[2, 3\], got \[2, 4\]\./,
  );
  throws(
    () => attention(x, zeros(2, 0, 2, 4), zeros(2, 0, 2, 4)),
    /^attention: there must be a key, got none\./,
  );
  throws(() => attention(x, x, x, { softcap: -1 }), /^attention: softcap must be positive, got -1\./);
});

test.run();
