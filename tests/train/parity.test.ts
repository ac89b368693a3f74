// The recipes of the paper and of its code, step by step beside PyTorch.
import { test } from 'uvu';
import { compareWithTorch, parityRun } from './parity_run.ts';

for (const recipe of ['paper', 'released'] as const)
  test(`parity: every loss of the recipe ${recipe} is PyTorch's in float64 to 1e-3, 40 steps`, async () => {
    const largest = await compareWithTorch(recipe, await parityRun(recipe, 40), 1e-3);
    console.log(`largest difference, relative: ${largest.toExponential(1)}`);
  });

test.run();
