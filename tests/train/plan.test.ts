// What training will need, before it begins.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { AdamW, type AdamWOptions, backward } from '../../engine/index.ts';
import { trainingPlan } from '../../ps3/app/plan.ts';
import { PS3 } from '../../ps3/model/ps3.ts';
import { pretrainLoss } from '../../ps3/train/loss.ts';
import { planTraining } from '../../ps3/train/plan.ts';
import { presetConfig, trainConfig } from '../../ps3/train/presets.ts';
import { engine } from '../harness.ts';

const config = trainConfig({ preset: 'smoke' });
const model = presetConfig(config, 100);

/** Multiply-adds of a transformer, twice: linear layers of n tokens, and attention to m keys. */
const transformer = (width: number, depth: number, n: number, m: number): number =>
  depth * (2 * n * (4 * width ** 2 + 8 * width ** 2) + 4 * n * m * width);

test('plan: parameters and operations are those of the formulas', () => {
  const { liveBytes, dispatches } = engine.stats();
  const need = planTraining(engine, model, config);
  const ps3 = need.ps3!;
  assert.equal([engine.stats().liveBytes, engine.stats().dispatches], [liveBytes, dispatches], 'nothing ran');
  const { width, depth, maxSelect, textWidth, textLayers, contextLength } = config.model;
  const low = config.model.scalesPx[0] ** 2 / 14 ** 2;
  const embed = (n: number): number => 2 * n * 588 * width;
  const { batch } = config.ps3;
  const wanted = {
    'low-res pass': batch * (embed(low) + transformer(width, depth, low, low)),
    'high-res pass': batch * (embed(maxSelect) + transformer(width, depth, maxSelect, maxSelect + low)),
    text: batch * (transformer(textWidth, textLayers, contextLength, contextLength) + 4 * textWidth * width),
  };
  // Softmax, norms and activations, which the formulas leave out, count more in a small model.
  for (const [part, flops] of Object.entries(wanted)) {
    const ratio = ps3.flops[part] / flops;
    assert.ok(ratio > 0.99 && ratio < 1.35, `${part}: ${ratio} of ${flops}`);
  }
  const forward = ps3.totalFlops - ps3.flops.backward - ps3.flops.optimizer;
  // Twice the forward pass, less what images need no gradient for.
  const ratio = ps3.flops.backward / forward;
  assert.ok(ratio > 1 && ratio < 2.2, `${ratio}`);
  assert.is(need.weightsBytes % 256, 0);
  assert.ok(need.weightsBytes >= 4 * need.parameters && need.weightsBytes < 4.5 * need.parameters);
});

test('plan: the peak is that of a step, within a twentieth', async () => {
  const need = planTraining(engine, model, config).ps3!;
  const { liveBytes } = engine.stats();
  engine.resetPeak();
  const made = PS3.allocate(engine, model);
  const optimizer = new AdamW(made.parameters);
  {
    using scope = engine.scope();
    const { batch } = config.ps3;
    const [side, grid] = [112, 8];
    const map = () => engine.ones([batch, grid, grid], { scope });
    const losses = pretrainLoss(made, {
      image: engine.zeros([batch, side, side, 4], { dtype: 'u8', scope }),
      ids: engine.zeros([batch, model.text.contextLength], { dtype: 'i32', scope }),
      box: map(),
      allBoxes: map(),
      isGlobal: engine.zeros([batch, 1], { scope }),
      isLocal: engine.ones([batch], { scope }),
    });
    backward(losses.losses.total);
    optimizer.step();
    await engine.idle();
  }
  const observed = engine.stats().peakBytes - liveBytes;
  assert.ok(Math.abs(need.peakBytes / observed - 1) < 0.05, `${need.peakBytes} of ${observed}`);
  optimizer.dispose();
  made.dispose();
});

test('plan: averaged weights and a loss scale are counted, at what an optimizer with them holds', () => {
  const set = ['optimizer.averageDecay=0.99', 'precision.lossScale=1024'];
  const averaged = planTraining(engine, model, trainConfig({ preset: 'smoke', set }));
  const plain = planTraining(engine, model, config);
  const made = PS3.allocate(engine, model);
  const holds = (options: AdamWOptions): number => {
    const { liveBytes } = engine.stats();
    using _optimizer = new AdamW(made.parameters, options);
    return engine.stats().liveBytes - liveBytes;
  };
  holds({}); // the gradients, which stay
  const more = holds({ averageDecay: 0.99, lossScale: 1024 }) - holds({});
  made.dispose();
  assert.ok(more >= 4 * plain.trainedParameters, `${more}`);
  assert.is(averaged.averagesBytes, more);
  assert.is(plain.averagesBytes, 0);
  // The loss scale may take the place, of 16 bytes, of the 1 from which backward begins.
  for (const stage of ['towers', 'ps3'] as const)
    assert.ok(Math.abs(averaged[stage]!.peakBytes - plain[stage]!.peakBytes - more) <= 16, stage);
});

test('plan: says in words what is needed, whether it fits and what would', async () => {
  const words = await trainingPlan(engine, config);
  for (const line of [
    /^\d+ k parameters, with 1000 words/,
    /ps3: 6 steps of 4 images/,
    /memory +\S+ [kM]B: weights /,
    /fits: /,
  ])
    assert.match(words, line);
  const { limits } = engine;
  const images = Math.ceil(limits.maxStorageBufferBindingSize / (112 * 112 * 4)) + 1;
  const large = trainConfig({ preset: 'smoke', set: [`ps3.batch=${images}`] });
  assert.match(await trainingPlan(engine, large), /does not fit/);
});

test.run();
