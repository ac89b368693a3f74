import { test } from 'uvu';
import { binaryCrossEntropy } from '../../engine/index.ts';
import { checkGradients, compare, engine, TOLERANCE, tensor } from '../harness.ts';
import { binaryCrossEntropy as twin } from '../reference/binary_cross_entropy.ts';
import { labels, probabilities, testMapLoss } from './map_losses.ts';

testMapLoss('binary_cross_entropy', binaryCrossEntropy, twin);

test('binary_cross_entropy: labels between 0 and 1 are allowed', async () => {
  const y = probabilities(90, 3);
  using truth = tensor(y, [2, 45]);
  await checkGradients({
    inputs: { p: { data: probabilities(90, 1), shape: [2, 45] } },
    op: ({ p }) => binaryCrossEntropy(p, truth),
    twin: ({ p }) => Float64Array.of(twin(p, y, { N: 45 })),
  });
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

test.run();
