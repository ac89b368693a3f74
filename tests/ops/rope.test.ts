import { test } from 'uvu';
import { backward, rope } from '../../engine/index.ts';
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
import { rope as twin } from '../reference/rope.ts';

/** theta^(-2i / K) in f32. */
const frequenciesOf = (K: number, theta = 1e4): Float64Array =>
  Float64Array.from({ length: K / 2 }, (_, i) => Math.fround(theta ** ((-2 * i) / K)));

for (const [B, T, heads, K, copied, offsets] of [
  [1, 1, 1, 2, 0, [0]],
  [2, 7, 3, 8, 5, [3]],
  [3, 5, 2, 6, 12, [11, -2, 4096]],
  [1, 66, 4, 16, 32, [100_000]],
] as const)
  test(`rope: y and dx match the twin at ${B}x${T}, ${heads} heads of ${K} and ${copied} more, from ${offsets}`, async () => {
    const width = heads * K + copied;
    const frequencies = frequenciesOf(K);
    const numbers = { data: random(B * T * width, 1), shape: [B, T, width] };
    for (const given of offsets.length === 1 ? [offsets[0], 'tensor'] : ['tensor'])
      await checkGradients({
        inputs: { x: numbers },
        op: ({ x }) =>
          rope(x, tensor(frequencies, [K / 2], { scope: x.scope }), {
            heads,
            offset:
              typeof given === 'number'
                ? given
                : tensor(Int32Array.from(offsets), [offsets.length], { scope: x.scope }),
          }),
        twin: ({ x }) => twin(x, frequencies, { T, width, heads, offsets }),
      });
  });

test('rope: y and dx match the twin where positions restart at each sequence', async () => {
  const [B, T, heads, K, width] = [2, 9, 2, 4, 11];
  const frequencies = frequenciesOf(K);
  // Of the whole batch, or of each row; the last tokens of the second row are a sequence of their own.
  for (const ends of [
    [[0, 3, 3, 9]],
    [
      [0, 9, 9],
      [0, 2, 5],
    ],
  ])
    await checkGradients({
      inputs: { x: { data: random(B * T * width, 1), shape: [B, T, width] } },
      op: ({ x }) =>
        rope(x, tensor(frequencies, [K / 2], { scope: x.scope }), {
          heads,
          sequences:
            ends.length === 1
              ? tensor(Int32Array.from(ends[0]), [ends[0].length], { scope: x.scope })
              : tensor(Int32Array.from(ends.flat()), [B, ends[0].length], { scope: x.scope }),
        }),
      twin: ({ x }) => {
        const y = new Float64Array(x.length);
        for (let b = 0; b < B; b++) {
          const all = [...ends[b % ends.length], T];
          all.slice(1).forEach((end, s) => {
            const [from, to] = [all[s], end].map((token) => (b * T + token) * width);
            y.set(twin(x.subarray(from, to), frequencies, { T, width, heads, offsets: [0] }), from);
          });
        }
        return y;
      },
    });
});

test('rope: a score depends on the distance of two tokens alone', async () => {
  using scope = engine.scope();
  const K = 16;
  const frequencies = tensor(frequenciesOf(K), [K / 2], { scope });
  const x = tensor(random(2 * K, 1), [1, 1, 2, K], { scope });
  const dot = async (q: number, k: number): Promise<number> => {
    const [left, right] = await Promise.all([q, k].map((offset) => rope(x, frequencies, { offset }).data()));
    return left.subarray(0, K).reduce((sum, value, i) => sum + value * right[K + i], 0);
  };
  compare('scores', [await dot(9, 4), await dot(1005, 1000)], [await dot(5, 0), await dot(5, 0)], {
    abs: 2e-4, // angles of some 1000 round to 6e-5
    rel: 0,
  });
});

test('rope: output and gradient match PyTorch', async () => {
  for (const [name, vectors] of await torchCases('rope')) {
    using scope = engine.scope();
    const get = (key: string, requiresGrad = false) => {
      const { data, shape } = vectors.get(key)!;
      return tensor(data, shape, { scope, requiresGrad });
    };
    const x = get('x', true);
    const y = rope(x, get('frequencies'), { offset: vectors.get('offset')!.data[0] });
    compare(`${name} y`, await y.data(), vectors.get('y')!.data);
    backward(y, { seed: get('dy') });
    compare(`${name} dx`, await x.grad!.data(), vectors.get('dx')!.data, TOLERANCE.grad);
    x.grad!.dispose();
  }
});

test('rope: no token gives no token', async () => {
  using scope = engine.scope();
  const y = rope(tensor([], [1, 0, 4], { scope }), tensor([1], [1], { scope }));
  compare('y', await y.data(), []);
});

test('rope: says what does not fit', () => {
  using scope = engine.scope();
  const x = tensor(random(24, 1), [2, 3, 4], { scope });
  const frequencies = tensor([1], [1], { scope });
  throws(
    () => rope(x, frequencies, { heads: 3 }),
    /^rope: the heads of 2 columns must fit a token of 4, got heads = 3\./,
  );
  throws(() => rope(x, x), /^rope: x must be \[B, T, \.\.\.\] and frequencies \[K \/ 2\], got x \[2, 3, 4\]/);
  throws(
    () => rope(x, frequencies, { offset: tensor(Int32Array.of(1, 2, 3), [3], { scope }) }),
    /^rope: offset must be \[1\] or \[2\], got \[3\]\./,
  );
  throws(
    () => rope(x, frequencies, { offset: 0.5 }),
    /^rope: offset must be a whole number or a tensor, got 0\.5/,
  );
});

test.run();
