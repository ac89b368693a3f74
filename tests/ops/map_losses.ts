// What the tests of the losses on probability maps share: dice and binary_cross_entropy take the same operands.
import { test } from 'uvu';
import { backward, type Tensor } from '../../engine/index.ts';
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

/** Probabilities in [0.007, 0.993], the range of selection maps. */
export const probabilities = (n: number, seed: number): Float64Array =>
  random(n, seed).map((u) => Math.fround(0.5 + 0.493 * u));

export const labels = (n: number, seed: number): Float64Array =>
  random(n, seed).map((u) => (u > 0.4 ? 1 : 0));

type Loss = (p: Tensor, y: Tensor, options?: { rowWeight?: Tensor }) => Tensor;
type Twin = (
  p: Float64Array,
  y: Float64Array,
  options: { N: number; rowWeight?: readonly number[] },
) => number;

/** Tests a loss of p, y [B, N] with weights per row against its twin and PyTorch, and its messages. */
export function testMapLoss(op: string, loss: Loss, twin: Twin): void {
  for (const [B, N, counted] of [
    [1, 1, undefined],
    [3, 7, undefined],
    [2, 65, [0, 1]],
    [5, 729, [1, 0, 0, 1, 1]],
    [2, 2047, undefined],
    [70, 3, undefined],
    [2, 4099, [1, 0.5]],
  ] as const)
    test(`${op}: the loss and dp match the twin for ${B}x${N}${counted ? `, rows ${counted}` : ''}`, async () => {
      using scope = engine.scope();
      const y = labels(B * N, 2);
      const truth = tensor(y, [B, N], { scope });
      const rowWeight = counted && tensor([...counted], [B], { scope });
      await checkGradients({
        inputs: { p: { data: probabilities(B * N, 1), shape: [B, N] } },
        op: ({ p }) => loss(p, truth, { rowWeight }),
        twin: ({ p }) => Float64Array.of(twin(p, y, { N, rowWeight: counted })),
      });
    });

  test(`${op}: without a counted row the loss and the gradient are zero`, async () => {
    using scope = engine.scope();
    const p = tensor(probabilities(12, 1), [3, 4], { scope, requiresGrad: true });
    const nothing = loss(p, tensor(labels(12, 2), [3, 4], { scope }), {
      rowWeight: tensor([0, 0, 0], [3], { scope }),
    });
    compare('loss', await nothing.data(), [0], TOLERANCE.exact);
    backward(nothing);
    using dp = p.grad!;
    compare('dp', await dp.data(), new Float64Array(12), TOLERANCE.exact);
  });

  test(`${op}: loss and gradient match PyTorch`, async () => {
    for (const [name, vectors] of await torchCases(op)) {
      using scope = engine.scope();
      const get = (key: string, requiresGrad = false) =>
        tensor(vectors.get(key)!.data, vectors.get(key)!.shape, { scope, requiresGrad });
      const p = get('p', true);
      const got = loss(p, get('y'), { rowWeight: get('rowWeight') });
      compare(`${name} loss`, await got.data(), vectors.get('loss')!.data);
      backward(got);
      using dp = p.grad!;
      compare(`${name} dp`, await dp.data(), vectors.get('dp')!.data, TOLERANCE.grad);
    }
  });

  test(`${op}: says what does not fit`, () => {
    using scope = engine.scope();
    const p = tensor(probabilities(12, 1), [3, 4], { scope });
    throws(
      () => loss(p, p.reshape([4, 3])),
      new RegExp(`^${loss.name}: p and y must both be \\[B, N\\], got p \\[3, 4\\] and y \\[4, 3\\]`),
    );
    throws(
      () => loss(p, p, { rowWeight: p }),
      new RegExp(`^${loss.name}: rowWeight must be \\[B\\] = \\[3\\], got \\[3, 4\\]`),
    );
  });
}
