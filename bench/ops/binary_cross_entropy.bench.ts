import { binaryCrossEntropy } from '../../engine/index.ts';
import { binaryCrossEntropy as twin } from '../../tests/reference/binary_cross_entropy.ts';
import type { BenchCase } from '../harness.ts';
import { mapLossCases } from './dice.bench.ts';

export const cases: BenchCase[] = mapLossCases({
  op: 'binary_cross_entropy',
  loss: binaryCrossEntropy,
  twin,
  flops: 6,
});
