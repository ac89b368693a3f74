import { test } from 'uvu';
import { backward, diceLoss } from '../../engine/index.ts';
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
import { diceLoss as twin } from '../reference/dice.ts';

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
  test(`dice: the loss and dp match the twin for ${B}x${N}${counted ? `, rows ${counted}` : ''}`, async () => {
    using scope = engine.scope();
    const y = labels(B * N, 2);
    const truth = tensor(y, [B, N], { scope });
    const rowWeight = counted && tensor([...counted], [B], { scope });
    await checkGradients({
      inputs: { p: { data: probabilities(B * N, 1), shape: [B, N] } },
      op: ({ p }) => diceLoss(p, truth, { rowWeight }),
      twin: ({ p }) => Float64Array.of(twin(p, y, { N, rowWeight: counted })),
    });
  });

test('dice: equal binary maps give 0, disjoint ones almost 1', async () => {
  using scope = engine.scope();
  const y = labels(400, 3);
  const truth = tensor(y, [1, 400], { scope });
  compare('equal', await diceLoss(truth, truth).data(), [0]);
  const other = tensor(
    y.map((value) => 1 - value),
    [1, 400],
    { scope },
  );
  compare('disjoint', await diceLoss(other, truth).data(), [1]);
});

test('dice: two empty maps agree', async () => {
  using scope = engine.scope();
  const empty = tensor(new Float64Array(10), [2, 5], { scope });
  compare('loss', await diceLoss(empty, empty).data(), [0], TOLERANCE.exact);
});

test('dice: without a counted row the loss and the gradient are zero', async () => {
  using scope = engine.scope();
  const p = tensor(probabilities(12, 1), [3, 4], { scope, requiresGrad: true });
  const loss = diceLoss(p, tensor(labels(12, 2), [3, 4], { scope }), {
    rowWeight: tensor([0, 0, 0], [3], { scope }),
  });
  compare('loss', await loss.data(), [0], TOLERANCE.exact);
  backward(loss);
  using dp = p.grad!;
  compare('dp', await dp.data(), new Float64Array(12), TOLERANCE.exact);
});

test('dice: loss and gradient match PyTorch', async () => {
  for (const [name, vectors] of await torchCases('dice')) {
    using scope = engine.scope();
    const get = (key: string, requiresGrad = false) =>
      tensor(vectors.get(key)!.data, vectors.get(key)!.shape, { scope, requiresGrad });
    const p = get('p', true);
    const loss = diceLoss(p, get('y'), { rowWeight: get('rowWeight') });
    compare(`${name} loss`, await loss.data(), vectors.get('loss')!.data);
    backward(loss);
    using dp = p.grad!;
    compare(`${name} dp`, await dp.data(), vectors.get('dp')!.data, TOLERANCE.grad);
  }
});

test('dice: says what does not fit', () => {
  using scope = engine.scope();
  const p = tensor(probabilities(12, 1), [3, 4], { scope });
  throws(
    () => diceLoss(p, p.reshape([4, 3])),
    /dice: p and y must both be \[B, N\], got p \[3, 4\] and y \[4, 3\]/,
  );
  throws(() => diceLoss(p, p, { rowWeight: p }), /dice: rowWeight must be \[B\] = \[3\], got \[3, 4\]/);
});

test.run();
