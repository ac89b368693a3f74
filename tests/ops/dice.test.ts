import { test } from 'uvu';
import { diceLoss } from '../../engine/index.ts';
import { compare, engine, TOLERANCE, tensor } from '../harness.ts';
import { diceLoss as twin } from '../reference/dice.ts';
import { labels, testMapLoss } from './map_losses.ts';

testMapLoss('dice', diceLoss, twin);

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

test.run();
