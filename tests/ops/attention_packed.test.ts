// Sequences behind each other in one row: each attends to itself alone. Small ones are in causal_attention.ts.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { attention, backward, rope, type Tensor, unpackHeads } from '../../engine/index.ts';
import { compare, engine, random, TOLERANCE, tensor, throws, torchCases } from '../harness.ts';
import { firstTokens } from './causal_attention.ts';
import { checkMasked, checkPacked } from './packed_sequences.ts';

const boundaries = (numbers: readonly number[], scope: Tensor['scope']): Tensor<'i32'> =>
  tensor(Int32Array.from(numbers), [numbers.length], { scope });

// Of 1100 keys no more than 953 queries have their scores in memory on a CPU: two blocks add to dk and dv.
for (const causal of [true, false])
  test(`attention: packed sequences longer than a block, ${causal ? 'causal' : 'whole'}: output and gradients match the twin`, () =>
    checkPacked([0, 300, 301, 930, 1000, 1100], 4, causal));

test('attention: packed output and gradients, behind rope, match PyTorch', async () => {
  for (const [name, vectors] of await torchCases('attention_packed')) {
    using scope = engine.scope();
    const get = (key: string, requiresGrad = false) => {
      const { data, shape } = vectors.get(key)!;
      return tensor(data, shape, { scope, requiresGrad });
    };
    const [qkv, dout] = [get('qkv', true), get('dout')];
    const sequences = boundaries([...vectors.get('sequences')!.data], scope);
    const [, , heads, K] = dout.shape;
    const kvHeads = (qkv.shape[2] / K - heads) / 2;
    const rotated = rope(qkv, get('frequencies'), { heads: heads + kvHeads, sequences });
    const causal = vectors.get('causal')!.data[0] > 0;
    const out = attention(...unpackHeads(rotated, { parts: 3, heads, kvHeads }), { causal, sequences });
    compare(`${name}/out`, await out.data(), vectors.get('out')!.data);
    backward(out, { seed: dout });
    compare(`${name}/dqkv`, await qkv.grad!.data(), vectors.get('dqkv')!.data, TOLERANCE.grad);
    qkv.grad!.dispose();
  }
});

test('attention: other sequences change no bit of one', async () => {
  using scope = engine.scope();
  const [T, K, begin, end] = [150, 8, 40, 90];
  const [q, k, v, dout] = [1, 2, 3, 4].map((seed) => random(T * K, seed));
  const run = async (others: number, force: 'split_kv' | 'query_blocks'): Promise<Float32Array[]> => {
    const spoilt = [q, k, v, dout].map((x) =>
      x.map((value, e) => (e >= begin * K && e < end * K ? value : others * value)),
    );
    const leaves = spoilt.map((x) => tensor(x, [1, T, 1, K], { scope, requiresGrad: true }));
    const sequences = boundaries([0, begin, end, T], scope);
    const out = attention(leaves[0], leaves[1], leaves[2], { causal: true, sequences, force });
    backward(out, { seed: leaves[3] });
    const all = await Promise.all(
      [out, ...leaves.slice(0, 3).map((leaf) => leaf.grad!)].map((x) => x.data()),
    );
    return all.map((x) => x.slice(begin * K, end * K));
  };
  for (const force of ['split_kv', 'query_blocks'] as const)
    assert.equal(await run(1, force), await run(-1000, force));
});

for (const force of ['split_kv', 'query_blocks'] as const)
  test(`attention, ${force}: where a mask hides all keys of a packed sequence, others stay hidden too`, () =>
    checkMasked(force));

test('attention: boundaries on the GPU change from replay to replay of a capture', async () => {
  using scope = engine.scope();
  const [T, K] = [11, 4];
  const [q, k, v] = [1, 2, 3].map((seed) => tensor(random(T * K, seed), [1, T, 1, K], { scope }));
  const sequences = boundaries([0, 4, T], scope);
  using step = engine.capture((sequences) => attention(q, k, v, { causal: true, sequences }), sequences);
  for (const numbers of [
    [0, 7, T],
    [0, 0, 5],
  ]) {
    sequences.write(Int32Array.from(numbers));
    step.replay();
    const first = firstTokens(numbers, T);
    // Query t alone, over the keys of its sequence up to its own.
    for (const t of [0, 4, 6, 10]) {
      const rows = (x: Float64Array) => x.subarray(first[t] * K, (t + 1) * K);
      const [keys, values] = [2, 3].map((seed) =>
        tensor(rows(random(T * K, seed)), [1, t + 1 - first[t], 1, K], { scope }),
      );
      const query = tensor(random(T * K, 1).subarray(t * K, (t + 1) * K), [1, 1, 1, K], { scope });
      const got = (await step.outputs.data()).subarray(t * K, (t + 1) * K);
      compare(`query ${t} in ${numbers}`, got, await attention(query, keys, values).data());
    }
  }
});

test('attention: memory of packed sequences stays at a block of scores', async () => {
  using scope = engine.scope();
  const [T, C, heads] = [1500, 32, 8];
  const qkv = tensor(random(T * 3 * C, 1), [1, T, 3 * C], { scope, requiresGrad: true });
  const seed = tensor(random(T * C, 3), [1, T, heads, C / heads], { scope });
  const sequences = boundaries([0, 400, 1500], scope);
  await engine.gpu.idle();
  engine.resetPeak();
  const before = engine.stats().liveBytes;
  backward(attention(...unpackHeads(qkv, { parts: 3, heads }), { causal: true, sequences }), { seed });
  const extra = engine.stats().peakBytes - before;
  // A block is 4 MiB at most, on a GPU 36; all scores would be 4 * 8 * 1500 * 1500 B = 72 MB.
  const block = (engine.gpu.target.kind === 'cpu' ? 4 : 36) * 2 ** 20;
  assert.ok(extra < block + 3 * 4 * C * 8 * T, `got ${extra} B`);
});

test('attention, rope: say which sequences there are', () => {
  using scope = engine.scope();
  const x = tensor(random(16, 1), [2, 2, 1, 4], { scope });
  const given = (shape: number[]) => tensor(new Int32Array(shape[0] * (shape[1] ?? 1)), shape, { scope });
  const frequencies = tensor([1, 0.1], [2], { scope });
  for (const [name, run] of [
    ['attention', (sequences: Tensor) => attention(x, x, x, { sequences })],
    ['rope', (sequences: Tensor) => rope(x, frequencies, { sequences })],
  ] as const) {
    const message = `${name}: sequences must be \\[S \\+ 1\\] or \\[2, S \\+ 1\\], got \\[3, 2\\]`;
    throws(() => run(given([3, 2])), new RegExp(`^${message}`));
    throws(() => run(tensor([0, 2], [2], { scope })), new RegExp(`^${name}: sequences must be i32`));
  }
  const sequences = given([3]);
  throws(
    () => attention(x, x, x, { sequences, cached: { k: x, v: x }, offset: 1 }),
    /^attention: sequences must have as many keys as queries, no cached and no offset, got 2 and 2\./,
  );
  throws(
    () => rope(x, frequencies, { sequences, offset: 1 }),
    /^rope: sequences must stand without offset, got both\./,
  );
});

test.run();
