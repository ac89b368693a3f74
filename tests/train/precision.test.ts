// Training with activations in half precision, a loss scale, and averages of the weights.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { PS3 } from '../../ps3/model/ps3.ts';
import { buildWordTokenizer } from '../../ps3/model/text/tokenizer.ts';
import type { TrainConfig } from '../../ps3/train/config.ts';
import { presetConfig, trainConfig } from '../../ps3/train/presets.ts';
import { RunFolder } from '../../ps3/train/run.ts';
import type { CropSource } from '../../ps3/train/towers.ts';
import { trainTowers } from '../../ps3/train/train.ts';
import { compare, engine, random, TOLERANCE } from '../harness.ts';

const COLOURS = { red: [220, 30, 30], green: [20, 200, 40], blue: [30, 60, 230], yellow: [230, 220, 20] };
const NAMES = Object.keys(COLOURS) as (keyof typeof COLOURS)[];
const PIXELS = 28 * 28;

/** Noisy squares of one colour, captioned by it. */
const crops: CropSource = (step, count) => {
  const captions = Array.from({ length: count }, (_, i) => NAMES[(step + i) % NAMES.length]);
  const noise = random(count * PIXELS, step + 1);
  const rgba = new Uint8Array(count * PIXELS * 4);
  for (let p = 0; p < count * PIXELS; p++) {
    const colour = COLOURS[captions[Math.floor(p / PIXELS)]];
    rgba.set([...colour.map((value) => Math.max(0, Math.min(255, value + 60 * noise[p]))), 255], 4 * p);
  }
  return { rgba, captions };
};

const configOf = (...set: string[]): TrainConfig =>
  trainConfig({ preset: 'smoke', set: ['model.contextLength=6', 'saveEvery=1000', ...set] });

function fresh(): PS3 {
  const tokenizer = buildWordTokenizer([...NAMES], { contextLength: 6 });
  return PS3.create(engine, presetConfig(configOf(), tokenizer.vocabSize), 7, { layerScale: 0.1, tokenizer });
}

async function inFolder<T>(work: (path: string) => Promise<T>): Promise<T> {
  const path = await mkdtemp(join(tmpdir(), 'ps3-precision-'));
  try {
    return await work(path);
  } finally {
    await rm(path, { recursive: true });
  }
}

/** Trains the towers from the same weights. @returns the metrics of each step, and the weights that are left */
async function trained(config: TrainConfig, path: string) {
  using model = fresh();
  const run = await RunFolder.create(path, config);
  await trainTowers(engine, model, crops, config, { run });
  return { metrics: await run.metrics(), weights: await model.parameters.arenas[0].values.data() };
}

const mean = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b) / numbers.length;

test('precision: 60 steps with activations in f16 and bf16 end within 1 % of the loss in f32', async () => {
  await inFolder(async (path) => {
    const steps = ['towers.steps=60', 'towers.lr=1e-3', 'towers.warmup=5'];
    const losses = async (name: string, ...set: string[]) => {
      const { metrics } = await trained(configOf(...steps, ...set), join(path, name));
      return metrics.map(({ loss }) => Number(loss));
    };
    const want = await losses('f32');
    assert.ok(mean(want.slice(-10)) < 0.8 * want[0], `${want[0]} to ${want.at(-1)}: something is learned`);
    for (const dtype of ['f16', 'bf16']) {
      const set = [`precision.activations=${dtype}`, 'precision.lossScale=1024'];
      const got = await losses(dtype, ...set);
      assert.is(got[0], want[0], 'the forward pass is the same');
      assert.is.not(got.at(-1), want.at(-1), 'the backward pass is not');
      const ratio = mean(got.slice(-10)) / mean(want.slice(-10));
      console.log(`precision: ${dtype} ends at ${ratio} of the loss in f32`);
      assert.ok(Math.abs(ratio - 1) < 0.01, `${dtype}: ${ratio}`);
    }
  });
});

test('precision: a scale of the loss that is a power of two changes no bit of the weights', async () => {
  await inFolder(async (path) => {
    const plain = await trained(configOf(), join(path, 'plain'));
    const scaled = await trained(configOf('precision.lossScale=256'), join(path, 'scaled'));
    compare('weights', scaled.weights, plain.weights, TOLERANCE.exact);
    assert.equal(
      scaled.metrics.map(({ lossScale }) => lossScale),
      scaled.metrics.map(() => 256),
    );
  });
});

test('precision: averages are what is left and saved, and a killed run goes on from weights and averages', async () => {
  await inFolder(async (path) => {
    const config = configOf('optimizer.averageDecay=0.9', 'saveEvery=2', 'precision.lossScale=256');
    const whole = await trained(config, join(path, 'whole'));
    const plain = await trained(configOf('saveEvery=2'), join(path, 'plain'));
    assert.equal(
      whole.metrics.map(({ loss }) => loss),
      plain.metrics.map(({ loss }) => loss),
      'training takes no notice of averages',
    );
    assert.ok(
      plain.weights.some((value, i) => value !== whole.weights[i]),
      'which are left in place of the weights',
    );
    using saved = await PS3.load(engine, new RunFolder(join(path, 'whole')).checkpointPath);
    compare('saved', await saved.parameters.arenas[0].values.data(), whole.weights, TOLERANCE.exact);

    const run = await RunFolder.create(join(path, 'killed'), config);
    using killed = fresh();
    const onStep = ({ step }: { step: number }): void => assert.is.not(step, 4);
    await trainTowers(engine, killed, crops, config, { run, onStep }).then(
      () => assert.unreachable('it should have been killed'),
      () => undefined,
    );
    const resume = (await run.recover())!;
    await run.rewind(resume);
    using resumed = await PS3.load(engine, run.checkpointPath);
    await trainTowers(engine, resumed, crops, config, { run, resume });
    compare('resumed', await resumed.parameters.arenas[0].values.data(), whole.weights, TOLERANCE.exact);
  });
});

test.run();
