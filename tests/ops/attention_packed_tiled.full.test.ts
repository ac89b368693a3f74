// Packed sequences by the kernels of GPUs, which take long to compile for a CPU.
import { test } from 'uvu';
import { withGpuPlans } from '../harness.ts';
import { CASES, check, nameOf } from './causal_attention.ts';
import { checkMasked, checkPacked } from './packed_sequences.ts';

for (const one of CASES.filter(({ sequences }) => sequences))
  test(`attention, in tiles: ${nameOf(one)}: output and gradients match the twin`, () =>
    withGpuPlans(() => check(one, { onGpu: false })));

// Of 3100 keys no more than 3008 queries have their scores in memory: two blocks add to dk and dv.
test('attention, in tiles: packed sequences longer than a block: output and gradients match the twin', () =>
  withGpuPlans(() => checkPacked([0, 70, 1500, 1501, 2900, 3100], 4, true)));

test('attention, in tiles: where a mask hides all keys of a packed sequence, others stay hidden too', () =>
  withGpuPlans(() => checkMasked()));

test.run();
