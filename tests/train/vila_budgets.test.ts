// How much of an image a VILA-HD is asked with: the shares of the paper's table where its context holds them, else looks.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { budgetsOf, type LookingModel } from '../../ps3/train/evaluation/choices/budgets.ts';
import { NANO_4K_PRESET } from '../../ps3/train/nano_4k.ts';
import { presetConfig, trainConfig } from '../../ps3/train/presets.ts';

const model = (contextLength: number, looks = true): LookingModel => ({
  encoder: { looks },
  config: { ratio: 2 },
  vision: { config: presetConfig(NANO_4K_PRESET, 20).vision },
  language: { config: { contextLength } },
});

test('budgetsOf: 35 % of a 4K image are 7,655 tokens; what is too short for them is asked with looks', () => {
  // 54^2 + 108^2 + 270^2 patches, four to a token; 14^2 low-res tokens; a look of 360 patches.
  const patches = 87_480;
  const { contextLength } = trainConfig({ preset: 'vila-4k' }).vila!;
  assert.equal(budgetsOf(model(contextLength)), [
    { share: 0, amount: { looks: 0 } },
    { share: 0.18, amount: { tokens: 15_746 } },
    { share: 0.35, amount: { tokens: 30_618 } },
  ]);
  const looks = (count: number) => ({ share: (count * 360) / patches, amount: { looks: count } });
  assert.equal(budgetsOf(model(1024)), [0, 2, 4, 8].map(looks));
  assert.equal(budgetsOf(model(900)), [0, 2, 4].map(looks));
  assert.equal(budgetsOf(model(400)), [looks(0)]);
  assert.equal(budgetsOf(model(1024, false)), [{ share: 1, amount: {} }]);
});

test.run();
