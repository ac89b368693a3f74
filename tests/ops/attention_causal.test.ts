// Causal attention and heads that share keys, in every variant.
import { test } from 'uvu';
import { attention, backward, type Tensor, unpackHeads } from '../../engine/index.ts';
import { compare, engine, random, TOLERANCE, tensor, throws, torchCases } from '../harness.ts';
import { CASES, check, nameOf } from './causal_attention.ts';

for (const one of CASES)
  for (const force of ['split_kv', 'query_blocks'] as const)
    test(`attention, ${force}: ${nameOf(one)}: output and gradients match the twin`, () =>
      check(one, { force, onGpu: force === 'split_kv' || (one.offsets?.length ?? 0) > 1 }));

test('attention: causal output and gradients match PyTorch', async () => {
  for (const [name, vectors] of await torchCases('attention_causal')) {
    using scope = engine.scope();
    const leaves = ['q', 'k', 'v', 'cachedK', 'cachedV'].map((key) => {
      const vector = vectors.get(key);
      return vector && tensor(vector.data, vector.shape, { scope, requiresGrad: true });
    });
    const [q, k, v, cachedK, cachedV] = leaves;
    const offsets = Int32Array.from(vectors.get('offsets')!.data);
    const out = attention(q!, k!, v!, {
      cached: cachedK && { k: cachedK, v: cachedV! },
      causal: true,
      offset: tensor(offsets, [offsets.length], { scope }),
    });
    compare(`${name}/out`, await out.data(), vectors.get('out')!.data);
    const dout = vectors.get('dout')!;
    backward(out, { seed: tensor(dout.data, dout.shape, { scope }) });
    for (const [i, key] of ['q', 'k', 'v', 'cachedK', 'cachedV'].entries())
      if (leaves[i])
        compare(
          `${name}/d${key}`,
          await leaves[i].grad!.data(),
          vectors.get(`d${key}`)!.data,
          TOLERANCE.grad,
        );
  }
});

test('attention: packed queries and fewer heads of keys get one gradient', async () => {
  using scope = engine.scope();
  const [T, H, G, K] = [5, 4, 2, 4];
  const width = (H + 2 * G) * K;
  const data = random(T * width, 1);
  const packed = tensor(data, [1, T, width], { scope, requiresGrad: true });
  const [q, k, v] = unpackHeads(packed, { parts: 3, heads: H, kvHeads: G });
  const columns = (start: number, heads: number): Tensor =>
    tensor(
      Float64Array.from({ length: T * heads * K }, (_, e) => {
        return data[Math.floor(e / heads / K) * width + start + (e % (heads * K))];
      }),
      [1, T, heads, K],
      { scope, requiresGrad: true },
    );
  const parts = [columns(0, H), columns(H * K, G), columns((H + G) * K, G)];
  const seed = tensor(random(T * H * K, 2), [1, T, H, K], { scope });
  const out = attention(q, k, v, { causal: true });
  const want = attention(parts[0], parts[1], parts[2], { causal: true });
  compare('out', await out.data(), await want.data());
  backward(out, { seed });
  backward(want, { seed });
  const got = await packed.grad!.data();
  const gradients = await Promise.all(parts.map((part) => part.grad!.data()));
  for (let t = 0; t < T; t++)
    compare(
      `gradient of token ${t}`,
      got.subarray(t * width, (t + 1) * width),
      gradients.flatMap((one) => Array.from(one.subarray((t * one.length) / T, ((t + 1) * one.length) / T))),
      TOLERANCE.grad,
    );
  for (const leaf of [packed, ...parts]) leaf.grad!.dispose();
});

test('attention: what comes after a query does not reach it, not even NaN', async () => {
  using scope = engine.scope();
  const [T, K] = [70, 8];
  const [q, k, v] = [1, 2, 3].map((seed) => random(T * K, seed));
  const run = async (from: number): Promise<Float32Array> => {
    const spoilt = [k, v].map((x) => x.map((value, e) => (e >= from * K ? Number.NaN : value)));
    const [Q, keys, values] = [q, ...spoilt].map((x) => tensor(x, [1, T, 1, K], { scope }));
    return (await attention(Q, keys, values, { causal: true, force: 'split_kv' }).data()).subarray(0, 9 * K);
  };
  compare('first nine', await run(9), await run(T), TOLERANCE.exact);
});

test('attention: a causal query and a key mask each hide keys', async () => {
  using scope = engine.scope();
  const K = 4;
  const [keys, values] = [random(5 * K, 2), random(5 * K, 3)];
  const rows = (x: Float64Array, kept: readonly number[]) =>
    tensor(
      kept.flatMap((j) => Array.from(x.subarray(j * K, (j + 1) * K))),
      [1, kept.length, 1, K],
      { scope },
    );
  const q = tensor(random(2 * K, 1), [1, 1, 2, K], { scope });
  const all = [0, 1, 2, 3, 4];
  const keyMask = tensor([1, 0, 1, 0, 1], [1, 5], { scope });
  const want = await attention(q, rows(keys, [0, 2]), rows(values, [0, 2])).data();
  for (const force of ['split_kv', 'query_blocks'] as const) {
    const options = { causal: true, offset: 3, keyMask, force };
    compare(force, await attention(q, rows(keys, all), rows(values, all), options).data(), want);
  }
});

test('attention: says which offsets there are', () => {
  using scope = engine.scope();
  const x = tensor(random(16, 1), [2, 2, 1, 4], { scope });
  const offset = tensor(Int32Array.of(1, 2, 3), [3], { scope });
  throws(
    () => attention(x, x, x, { causal: true, offset }),
    /^attention: offset must be \[1\] or \[2\], got \[3\]/,
  );
  throws(
    () => attention(x, x, x, { causal: true, offset: -1 }),
    /^attention: offset must be a whole number, got -1\./,
  );
  throws(
    () => unpackHeads(tensor(random(20, 1), [1, 2, 10], { scope }), { parts: 3, heads: 2, kvHeads: 1 }),
    /^unpackHeads: the width must be a multiple of heads \+ \(parts - 1\) \* kvHeads, got width = 10, parts = 3, heads = 2, kvHeads = 1/,
  );
});

test.run();
