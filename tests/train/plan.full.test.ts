import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { trainingPlan } from '../../ps3/app/plan.ts';
import { planTraining } from '../../ps3/train/plan.ts';
import { presetConfig, trainConfig } from '../../ps3/train/presets.ts';
import { engine } from '../harness.ts';

test('plan: SO400M at 3780 px is planned for where it does not fit, with its published sizes', async () => {
  const { dispatches } = engine.stats();
  const so400m = trainConfig({ preset: 'so400m' });
  const limits = { maxStorageBufferBindingSize: 2 ** 32 - 4, maxBufferSize: 2 ** 38 };
  const need = planTraining(engine, presetConfig(so400m, 32000), so400m, limits);
  assert.is(engine.stats().dispatches, dispatches, 'nothing ran');
  // Spec 12: the state dict of PS3-4K-SigLIP. Two values are the logits' scale and bias.
  assert.is(need.parameters, 1_028_193_586);
  const ps3 = need.ps3!;
  assert.is(need.towers, undefined);
  // Spec 6, per image, TFLOP: stage 1 0.67, 2560 patches against 3289 keys 3.16, the text tower 0.05.
  for (const [part, tera] of Object.entries({ 'low-res pass': 0.67, 'high-res pass': 3.16 })) {
    const ratio = ps3.flops[part] / (32 * tera * 1e12);
    assert.ok(ratio > 0.99 && ratio < 1.1, `${part}: ${ratio}`);
  }
  const words = await trainingPlan(engine, trainConfig({ preset: 'so400m', set: ['ps3.steps=10'] }));
  // A row for each patch of the finest scale.
  const positionBytes = 4 * 270 ** 2 * 1152;
  if (engine.limits.maxStorageBufferBindingSize >= positionBytes) return;
  assert.is(ps3.parameterBindingBytes, positionBytes);
  assert.match(
    words,
    /does not fit: its largest parameter has 336 MB, and this adapter binds \S+ MB, whatever/,
  );
});

test.run();
