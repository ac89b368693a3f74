// A step that ranks take together: losses, gradients and weights of one tape over the whole batch. The ranks are of one
// process; ranks.full.test.ts has them under mpirun.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { AdamW, backward, Random } from '../../engine/index.ts';
import type { Sample } from '../../ps3/data/annotations.ts';
import type { Box } from '../../ps3/data/boxes.ts';
import { PS3 } from '../../ps3/model/ps3.ts';
import { buildWordTokenizer } from '../../ps3/model/text/tokenizer.ts';
import { Meter } from '../../ps3/ranks/meter.ts';
import type { Transport } from '../../ps3/ranks/transport.ts';
import { firstBatch, upload } from '../../ps3/train/batches.ts';
import { expectSameWeights, meansOf } from '../../ps3/train/exchange.ts';
import { pretrainLoss } from '../../ps3/train/loss.ts';
import { partsOf } from '../../ps3/train/phases.ts';
import { presetConfig, trainConfig } from '../../ps3/train/presets.ts';
import { type StepOptions, TrainingStep } from '../../ps3/train/step.ts';
import { ps3Objective } from '../../ps3/train/train.ts';
import { compare, engine, TOLERANCE } from '../harness.ts';
import { localRanks } from '../ranks/local_ranks.ts';

const SIDE = 56;
const WORDS = ['red', 'green', 'blue', 'cat', 'dog'];
const BATCH = 12;

/** Noise with two boxes, whose captions repeat from image to image: equal ones meet across ranks. */
const SAMPLES = Array.from({ length: BATCH }, (_, seed): Sample => {
  const random = new Random(seed, 1);
  const rgba = Uint8Array.from({ length: 4 * SIDE * SIDE }, () => random.integer(256));
  const [x, y] = [random.integer(30), random.integer(30)];
  const captions = [WORDS[seed % 5], WORDS[(seed + 2) % 5]];
  const boxes: Box[] = [
    [x, y, x + 9, y + 17],
    [y, x, y + 21, x + 8],
  ];
  return { key: `${seed}`, side: SIDE, rgba, boxes, captions, globalCaption: `a ${WORDS[seed % 3]}` };
});

const config = trainConfig({
  preset: 'smoke',
  set: [
    ...['model.scalesPx=[28,56]', 'model.contextLength=4', 'method.auxEncoder=false'],
    ...[`ps3.batch=${BATCH}`, 'sampling.globalShare=0.4', 'loss.bottomUp=0.5', 'loss.topDown=2'],
  ],
});
const { maxLogitScale: _, ...lossOptions } = config.loss;

function fresh(): PS3 {
  const tokenizer = buildWordTokenizer(WORDS, { contextLength: 4 });
  const options = { layerScale: 0.1, logitBias: -2, tokenizer };
  return PS3.create(engine, presetConfig(config, tokenizer.vocabSize), 3, options);
}

/** What one rank adds up and leaves. */
async function stepped(transport: Transport, options: StepOptions) {
  using model = fresh();
  const objective = ps3Objective(model, SAMPLES, config);
  const whole = await firstBatch((from) => objective.batches(from));
  const host = partsOf(whole, transport.size)[transport.rank];
  // With beta 0 the first moment is the gradient itself.
  using optimizer = new AdamW(model.parameters, { lr: 1e-3, betas: [0, 0.9] });
  using training = new TrainingStep(engine, model, objective, host, optimizer, { ...options, transport });
  const { values } = await training.run(host);
  await expectSameWeights(transport, model.parameters, 'after a step');
  return { values: await values, moment: (await optimizer.moments[0][0].data()) as Float32Array };
}

/** The gradients and the loss of one tape over the whole batch. */
async function onOneTape(): Promise<{ gradients: Float32Array; loss: number }> {
  using model = fresh();
  model.parameters.enableGradients();
  const objective = ps3Objective(model, SAMPLES, config);
  using scope = engine.scope();
  const batch = upload(engine, await firstBatch((from) => objective.batches(from)), scope);
  const { total } = pretrainLoss(model, batch, lossOptions).losses;
  backward(total);
  const gradients = (await model.parameters.arenas[0].gradients!.data()) as Float32Array;
  return { gradients, loss: (await total.data())[0] };
}

const want = await onOneTape();

for (const [size, accumulate] of [
  [1, 1],
  [2, 1],
  [3, 2],
  [4, 1],
] as const)
  test(`ranks: ${size} with batches in ${accumulate} parts have the loss and gradients of the whole`, async () => {
    const ranks = await Promise.all(localRanks(size).map((transport) => stepped(transport, { accumulate })));
    for (const { moment, values } of ranks) {
      // Sums in another order: 1e-5 of the largest gradient.
      compare('gradients', moment, want.gradients, { abs: 0, rel: 1e-5 });
      compare('loss', [values.loss], [want.loss], { abs: 0, rel: 2e-6 });
      assert.equal(values, ranks[0].values, 'every rank knows the same');
      compare('gradients of rank 0', moment, ranks[0].moment, TOLERANCE.exact);
    }
  });

test('ranks: facts of a step are means over all of them', async () => {
  const facts = [
    { cutCaptions: 0.25, dataWaitMs: 3 },
    { dataWaitMs: 0, cutCaptions: 0.5 },
    { cutCaptions: 0, dataWaitMs: 9 },
  ];
  const means = await Promise.all(localRanks(3).map((transport, i) => meansOf(transport, facts[i])));
  for (const mean of means) assert.equal(mean, { cutCaptions: 0.25, dataWaitMs: 4 });
});

test('ranks: gradients that overflow on one of them are a step that none takes', async () => {
  const lossScale = 2 ** 40;
  /** A step whose loss of top-down maps weighs so much on the last rank; what is left of it. */
  const scaled = async (transport: Transport, topDown: number) => {
    using model = fresh();
    const objective = ps3Objective(model, SAMPLES, config);
    const whole = await firstBatch((from) => objective.batches(from));
    const host = partsOf(whole, 2)[transport.rank];
    using optimizer = new AdamW(model.parameters, { lr: 1e-3, lossScale });
    const before = (await model.parameters.arenas[0].values.data()) as Float32Array;
    const isLast = transport.rank === transport.size - 1;
    const weights = { ...objective.weights, ...(isLast && { topDown }) };
    using training = new TrainingStep(engine, model, { ...objective, weights }, host, optimizer, {
      transport,
    });
    const { values } = await training.run(host);
    await values;
    const after = (await model.parameters.arenas[0].values.data()) as Float32Array;
    const isTaken = after.some((value, i) => value !== before[i]);
    const [scale] = await optimizer.lossScale!.data();
    const [steps] = await optimizer.steps.data();
    return { isTaken, scale, steps };
  };
  const onTwo = (topDown: number) => Promise.all(localRanks(2).map((each) => scaled(each, topDown)));
  const taken = { isTaken: true, scale: lossScale, steps: 1 };
  assert.equal(await onTwo(2), [taken, taken], 'the scale alone is not too much');
  // A gradient of 1e30 times 2^40, or 1e12, is beyond 3.4e38.
  const skipped = { isTaken: false, scale: lossScale / 2, steps: 0 };
  assert.equal(await onTwo(1e30), [skipped, skipped]);
  // The first rank's part by itself overflows nothing.
  const [first] = localRanks(1);
  assert.equal(await scaled(first, 2), taken);
});

test('ranks: gradients that travel as bf16 are rounded as it is, the same on all', async () => {
  const ranks = await Promise.all(localRanks(2).map((transport) => stepped(transport, { reduce: 'bf16' })));
  compare('gradients of rank 1', ranks[1].moment, ranks[0].moment, TOLERANCE.exact);
  // Two summands and their sum are rounded, each to half a unit in the 8th bit.
  compare('gradients', ranks[0].moment, want.gradients, { abs: 0, rel: 3 * 2 ** -9 });
  const isBf16 = [...new Uint32Array(ranks[0].moment.buffer)].every((bits) => bits % 2 ** 16 === 0);
  assert.ok(isBf16, 'or they were not rounded at all');
});

test('ranks: what a rank sends in a step is gradients, texts there and back, and a few numbers', async () => {
  const size = 2;
  const meters = localRanks(size).map((transport) => new Meter(transport));
  await Promise.all(meters.map(({ transport }) => stepped(transport, {})));
  using model = fresh();
  const elements = model.parameters.arenas.reduce((sum, { values }) => sum + values.size, 0);
  const half = BATCH / size;
  const texts = half * (model.config.text.outputDim * 4 + 4);
  const back = half * model.config.text.outputDim * 4;
  // Of gradients and of the 1 + 3 numbers, 2 (N - 1)/N; then the 32 bytes of the check.
  assert.is(meters[0].take().bytes, 4 * elements + texts + back + 4 * (1 + 3) + 32);
});

test('ranks: other weights on one of them are an error that names it', async () => {
  const models = [fresh(), fresh(), fresh()];
  models[2].parameters
    .get('vision_model.prior_prompt')
    .write(new Float32Array(models[0].config.vision.width));
  const results = await Promise.allSettled(
    localRanks(3).map((transport, i) => expectSameWeights(transport, models[i].parameters, 'after step 5')),
  );
  for (const result of results) {
    assert.is(result.status, 'rejected');
    const { message } = (result as PromiseRejectedResult).reason as Error;
    assert.match(message, /the same weights after step 5, got others than rank 0's on rank 2\./);
  }
  for (const model of models) model.dispose();
});

test.run();
