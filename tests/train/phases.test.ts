// The phases of a step: the gradients of one tape over the whole batch, however many parts it goes through in.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { AdamW, backward, Random } from '../../engine/index.ts';
import type { Sample } from '../../ps3/data/annotations.ts';
import type { Box } from '../../ps3/data/boxes.ts';
import { PS3 } from '../../ps3/model/ps3.ts';
import { buildWordTokenizer } from '../../ps3/model/text/tokenizer.ts';
import { firstBatch, type HostBatch, upload } from '../../ps3/train/batches.ts';
import { type Batch, pretrainLoss } from '../../ps3/train/loss.ts';
import type { Objective, Tensors } from '../../ps3/train/phases.ts';
import { presetConfig, trainConfig } from '../../ps3/train/presets.ts';
import { TrainingStep } from '../../ps3/train/step.ts';
import { type CropBatch, type CropSource, towersLoss } from '../../ps3/train/towers.ts';
import { ps3Objective, towersObjective } from '../../ps3/train/train.ts';
import { compare, engine, TOLERANCE } from '../harness.ts';

const SIDE = 56;
const WORDS = ['red', 'green', 'blue', 'cat', 'dog', 'tree', 'house', 'car', 'on', 'a'];
const BATCH = 64;

/** Noise of its own colour with two boxes, whose captions repeat from image to image. */
const SAMPLES = Array.from({ length: BATCH }, (_, seed): Sample => {
  const random = new Random(seed, 1);
  const base = [random.integer(200), random.integer(200), random.integer(200)];
  const rgba = Uint8Array.from({ length: 4 * SIDE * SIDE }, (_, i) =>
    i % 4 === 3 ? 255 : base[i % 4] + random.integer(56),
  );
  const box = (): Box => {
    const [x, y] = [random.integer(SIDE - 20), random.integer(SIDE - 20)];
    return [x, y, x + 6 + random.integer(14), y + 6 + random.integer(14)];
  };
  const word = (): string => WORDS[random.integer(WORDS.length)];
  const captions = [`${word()} ${word()}`, `${word()} ${word()}`];
  return {
    key: `${seed}`,
    side: SIDE,
    rgba,
    boxes: [box(), box()],
    captions,
    globalCaption: `${word()} ${word()}`,
  };
});

const crops: CropSource = (step, count) => {
  const random = new Random(step, 2);
  return {
    rgba: Uint8Array.from({ length: count * 28 * 28 * 4 }, () => random.integer(256)),
    captions: Array.from({ length: count }, () => WORDS[random.integer(WORDS.length)]),
  };
};

const config = (...set: string[]) =>
  trainConfig({
    preset: 'smoke',
    set: [
      'model.scalesPx=[28,56]',
      'model.contextLength=4',
      `ps3.batch=${BATCH}`,
      `towers.batch=${BATCH}`,
      'method.auxEncoder=false',
      ...set,
    ],
  });

/** A small model, its logits in the range in which gradients are neither flat nor all of the sigmoid's tails. */
function fresh(): PS3 {
  const tokenizer = buildWordTokenizer(WORDS, { contextLength: 4 });
  return PS3.create(engine, presetConfig(config(), tokenizer.vocabSize), 3, {
    layerScale: 0.1,
    logitBias: -2,
    tokenizer,
  });
}

/** What a step adds up and leaves. */
async function stepped<B extends Tensors<B>>(
  objectiveOf: (model: PS3) => Objective<B>,
  accumulate: number,
): Promise<{ moment: Float32Array; weights: Float32Array; values: Record<string, number> }> {
  using model = fresh();
  const objective = objectiveOf(model);
  const host = await firstBatch((from) => objective.batches(from));
  // With beta 0 the first moment is the gradient itself.
  using optimizer = new AdamW(model.parameters, { lr: 1e-3, betas: [0, 0.9] });
  using training = new TrainingStep(engine, model, objective, host, optimizer, { accumulate });
  const { values } = await training.run(host);
  return {
    values: await values,
    moment: (await optimizer.moments[0][0].data()) as Float32Array,
    weights: (await model.parameters.arenas[0].values.data()) as Float32Array,
  };
}

/** The gradients of one tape over the whole batch. */
async function onOneTape<B extends Tensors<B>>(
  objectiveOf: (model: PS3) => Objective<B>,
  lossOf: (model: PS3, batch: B) => Parameters<typeof backward>[0],
): Promise<Float32Array> {
  using model = fresh();
  model.parameters.enableGradients();
  const objective = objectiveOf(model);
  const host: HostBatch<B> = await firstBatch((from) => objective.batches(from));
  using scope = engine.scope();
  backward(lossOf(model, upload(engine, host, scope)));
  return (await model.parameters.arenas[0].gradients!.data()) as Float32Array;
}

const PS3_STAGES: Readonly<Record<string, readonly string[]>> = {
  'of the whole model': ['sampling.sameCaptionPositives=false'],
  'of the whole model, equal captions positive': ['loss.bottomUp=0.5', 'loss.topDown=2'],
  'of the whole model as released': ['loss.dice=0', 'loss.bottomUpBoxes=sampled'],
};

for (const [name, set] of Object.entries(PS3_STAGES)) {
  const { loss, ...others } = config(...set);
  const objectiveOf = (model: PS3): Objective<Batch> => ps3Objective(model, SAMPLES, { loss, ...others });
  const { maxLogitScale: _, ...options } = loss;
  test(`phases: gradients ${name} are those of one tape, to the bit in one part`, async () => {
    const want = await onOneTape(
      objectiveOf,
      (model, batch) => pretrainLoss(model, batch, options).losses.total,
    );
    const whole = await stepped(objectiveOf, 1);
    compare('gradients', whole.moment, want, TOLERANCE.exact);
    for (const accumulate of set.includes('loss.dice=0') ? [4, 64] : [4]) {
      const { moment, values } = await stepped(objectiveOf, accumulate);
      // Sums in another order: 1e-5 of the largest gradient.
      compare(`gradients of ${accumulate} parts`, moment, want, { abs: 0, rel: 1e-5 });
      for (const [key, value] of Object.entries(whole.values))
        compare(key, [values[key]], [value], { abs: 0, rel: 2e-6 });
    }
  });
}

test('phases: gradients of the towers are those of one tape, to the bit in one part', async () => {
  const objectiveOf = (model: PS3): Objective<CropBatch> => towersObjective(model, crops, config());
  const want = await onOneTape(objectiveOf, towersLoss);
  const whole = await stepped(objectiveOf, 1);
  compare('gradients', whole.moment, want, TOLERANCE.exact);
  const { moment } = await stepped(objectiveOf, 4);
  compare('gradients of 4 parts', moment, want, { abs: 0, rel: 1e-5 });
});

test('phases: parts that are descended by themselves have other gradients, so that the comparison tells', async () => {
  const alone = await onOneTape(
    (model) => towersObjective(model, crops, config('towers.batch=16')),
    towersLoss,
  );
  const whole = await onOneTape((model) => towersObjective(model, crops, config()), towersLoss);
  const largest = Math.max(...whole.map(Math.abs));
  const difference = Math.max(...whole.map((gradient, i) => Math.abs(gradient - alone[i])));
  assert.ok(difference > 0.01 * largest, `${difference} of ${largest}`);
});

test('phases: a step in parts makes no buffer and no bind group after the second', async () => {
  using model = fresh();
  const objective = ps3Objective(model, SAMPLES, config());
  using optimizer = new AdamW(model.parameters, { lr: 1e-3, maxNorm: 1 });
  await using batches = objective.batches({ step: 0 });
  const { host } = await batches.next();
  using training = new TrainingStep(engine, model, objective, host, optimizer, { accumulate: 4 });
  const made: number[][] = [];
  for (let step = 0; step < 5; step++) {
    const { values } = await training.run((await batches.next()).host);
    await values;
    const { buffersCreated, bindGroupsCreated, liveTensors, liveBytes } = engine.stats();
    made.push([buffersCreated, bindGroupsCreated, liveTensors, liveBytes]);
  }
  for (const step of [2, 3, 4]) assert.equal(made[step], made[1], `step ${step}`);
});

test('phases: a step whose gradients are not finite is skipped and not counted, whichever part they come from', async () => {
  using model = fresh();
  const objective = towersObjective(model, crops, config());
  using optimizer = new AdamW(model.parameters, { lr: 1e-3 });
  const host = await firstBatch((from) => objective.batches(from));
  using training = new TrainingStep(engine, model, objective, host, optimizer, { accumulate: 4 });
  await (await training.run(host)).values;
  const before = await model.parameters.arenas[0].values.data();
  const word = model.parameters.get('text_model.token_embedding.weight');
  const table = (await word.data()) as Float32Array;
  // Infinite where the last caption alone reads.
  const { data, shape } = host.ids;
  const rare = data[data.length - shape[1]];
  const faulty = table.slice();
  faulty[rare * word.shape[1]] = Infinity;
  word.write(faulty);
  const { values } = await training.run(host);
  assert.not(Number.isFinite((await values).gradNorm));
  word.write(table);
  compare('weights', await model.parameters.arenas[0].values.data(), before, TOLERANCE.exact);
  assert.equal(await optimizer.steps.data(), Uint32Array.of(1));
  await (await training.run(host)).values;
  assert.equal(await optimizer.steps.data(), Uint32Array.of(2), 'the next one counts again');
});

test.run();
