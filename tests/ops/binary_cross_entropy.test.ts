import { test } from 'uvu';
import { backward, binaryCrossEntropy } from '../../engine/index.ts';
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
import { binaryCrossEntropy as twin } from '../reference/binary_cross_entropy.ts';

/** Probabilities in [0.007, 0.993], the range of selection maps. */
const probabilities = (n: number, seed: number): Float64Array =>
  random(n, seed).map((u) => Math.fround(0.5 + 0.493 * u));
const labels = (n: number, seed: number): Float64Array => random(n, seed).map((u) => (u > 0.4 ? 1 : 0));

for (const [B, N, counted] of [
  [1, 1, undefined],
  [3, 7, undefined],
  [2, 65, [0, 1]],
  [5, 729, [1, 0, 0, 1, 1]],
  [2, 2047, undefined],
  [70, 3, undefined],
  [2, 4099, [1, 0.5]],
] as const)
  test(`binary_cross_entropy: the loss and dp match the twin for ${B}x${N}${counted ? `, rows ${counted}` : ''}`, async () => {
    using scope = engine.scope();
    const y = labels(B * N, 2);
    const truth = tensor(y, [B, N], { scope });
    const rowWeight = counted && tensor([...counted], [B], { scope });
    await checkGradients({
      inputs: { p: { data: probabilities(B * N, 1), shape: [B, N] } },
      op: ({ p }) => binaryCrossEntropy(p, truth, { rowWeight }),
      twin: ({ p }) => Float64Array.of(twin(p, y, { N, rowWeight: counted })),
    });
  });

test('binary_cross_entropy: labels between 0 and 1 are allowed', async () => {
  const y = probabilities(90, 3);
  using truth = tensor(y, [2, 45]);
  await checkGradients({
    inputs: { p: { data: probabilities(90, 1), shape: [2, 45] } },
    op: ({ p }) => binaryCrossEntropy(p, truth),
    twin: ({ p }) => Float64Array.of(twin(p, y, { N: 45 })),
  });
});

test('binary_cross_entropy: without a counted row the loss and the gradient are zero', async () => {
  using scope = engine.scope();
  const p = tensor(probabilities(12, 1), [3, 4], { scope, requiresGrad: true });
  const loss = binaryCrossEntropy(p, tensor(labels(12, 2), [3, 4], { scope }), {
    rowWeight: tensor([0, 0, 0], [3], { scope }),
  });
  compare('loss', await loss.data(), [0], TOLERANCE.exact);
  backward(loss);
  using dp = p.grad!;
  compare('dp', await dp.data(), new Float64Array(12), TOLERANCE.exact);
});

test('binary_cross_entropy: rows that do not count may hold anything', async () => {
  using scope = engine.scope();
  const y = tensor(labels(8, 2), [2, 4], { scope });
  const rowWeight = tensor([1, 0], [2], { scope });
  const lossOf = async (rest: number) => {
    const p = probabilities(8, 1).map((value, i) => (i < 4 ? value : rest));
    return await binaryCrossEntropy(tensor(p, [2, 4], { scope }), y, { rowWeight }).data();
  };
  compare('loss', await lossOf(0), await lossOf(0.5), TOLERANCE.exact);
});

test('binary_cross_entropy: loss and gradient match PyTorch, at p = 0 and p = 1 too', async () => {
  for (const [name, vectors] of await torchCases('binary_cross_entropy')) {
    using scope = engine.scope();
    const get = (key: string, requiresGrad = false) =>
      tensor(vectors.get(key)!.data, vectors.get(key)!.shape, { scope, requiresGrad });
    const p = get('p', true);
    const loss = binaryCrossEntropy(p, get('y'), { rowWeight: get('rowWeight') });
    compare(`${name} loss`, await loss.data(), vectors.get('loss')!.data);
    backward(loss);
    using dp = p.grad!;
    compare(`${name} dp`, await dp.data(), vectors.get('dp')!.data, TOLERANCE.grad);
  }
});

test('binary_cross_entropy: says what does not fit', () => {
  using scope = engine.scope();
  const p = tensor(probabilities(12, 1), [3, 4], { scope });
  throws(
    () => binaryCrossEntropy(p, p.reshape([4, 3])),
    /binary_cross_entropy: p and y must both be \[B, N\], got p \[3, 4\] and y \[4, 3\]/,
  );
  throws(
    () => binaryCrossEntropy(p, p, { rowWeight: p }),
    /binary_cross_entropy: rowWeight must be \[B\] = \[3\], got \[3, 4\]/,
  );
});

test.run();
