// Causal attention and heads that share keys, by the kernels of GPUs, which take long to compile for a CPU.
import { test } from 'uvu';
import { withGpuPlans } from '../harness.ts';
import { CASES, check, nameOf } from './causal_attention.ts';

for (const one of CASES.filter(({ sequences }) => !sequences))
  test(`attention, in tiles: ${nameOf(one)}: output and gradients match the twin`, () =>
    withGpuPlans(() => check(one, { onGpu: (one.offsets?.length ?? 0) > 1 })));

test.run();
