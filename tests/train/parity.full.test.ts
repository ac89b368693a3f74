// The whole runs beside PyTorch, and in half precision: activations, and products on matrix units.
import { test } from 'uvu';
import { engine } from '../harness.ts';
import { compareWithTorch, PARITY_STEPS, parityRun } from './parity_run.ts';

for (const recipe of ['paper', 'released'] as const)
  test(`parity: every loss of the recipe ${recipe} is PyTorch's in float64 to 1e-3, ${PARITY_STEPS} steps`, async () => {
    const largest = await compareWithTorch(recipe, await parityRun(recipe, PARITY_STEPS), 1e-3);
    console.log(`${recipe}: largest difference, relative: ${largest.toExponential(1)}`);
  });

for (const activations of ['f16', 'bf16'])
  test(`parity: with activations in ${activations} the recipe paper ends within a hundredth of PyTorch in float64`, async () => {
    const losses = await parityRun('paper', PARITY_STEPS, [`precision.activations=${activations}`]);
    const largest = await compareWithTorch('paper', losses, 0.01, PARITY_STEPS - 10);
    console.log(`${activations}: largest difference of the last ten steps: ${largest.toExponential(1)}`);
  });

test('parity: with products in f16 on matrix units the recipe paper ends within a hundredth of PyTorch in float64', async () => {
  if (!engine.target.matrixUnit) return console.log('skipped: needs matrix units (tier 3)');
  const set = ['precision.products=f16', 'precision.activations=f16', 'precision.lossScale=65536'];
  const losses = await parityRun('paper', PARITY_STEPS, set);
  const largest = await compareWithTorch('paper', losses, 0.01, PARITY_STEPS - 10);
  console.log(`products in f16: largest difference of the last ten steps: ${largest.toExponential(1)}`);
});

test.run();
