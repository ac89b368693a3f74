import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { AdamW, Random } from '../../engine/index.ts';
import type { Sample } from '../../ps3/data/annotations.ts';
import type { Box } from '../../ps3/data/boxes.ts';
import { PS3 } from '../../ps3/model/ps3.ts';
import { buildWordTokenizer } from '../../ps3/model/text/tokenizer.ts';
import { upload } from '../../ps3/train/batches.ts';
import type { TrainConfig } from '../../ps3/train/config.ts';
import { evaluate } from '../../ps3/train/evaluate.ts';
import { measureStep } from '../../ps3/train/measure.ts';
import type { Metric } from '../../ps3/train/metrics.ts';
import { descendWhole } from '../../ps3/train/phases.ts';
import { PRESETS, presetConfig, trainConfig } from '../../ps3/train/presets.ts';
import { RunFolder } from '../../ps3/train/run.ts';
import type { CropSource } from '../../ps3/train/towers.ts';
import { ps3Objective, towersObjective, trainPS3, trainTowers } from '../../ps3/train/train.ts';
import { decidedMetrics } from '../app/killed_runs.ts';
import { compare, engine, TOLERANCE } from '../harness.ts';

const SIDE = 112;
const COLOURS = { red: [220, 30, 30], green: [20, 200, 40], blue: [30, 60, 230], yellow: [230, 220, 20] };
const NAMES = Object.keys(COLOURS) as (keyof typeof COLOURS)[];

/** A grey image with two squares of different colours, captioned by them. */
function colouredSample(seed: number): Sample {
  const random = new Random(seed, 1);
  const rgba = new Uint8Array(4 * SIDE * SIDE).fill(128);
  const captions = random.shuffle([...NAMES]).slice(0, 2);
  const boxes = captions.map((name, i): Box => {
    const x = random.integer(SIDE - 20);
    const y = 56 * i + random.integer(36);
    for (let v = y; v < y + 20; v++)
      for (let u = x; u < x + 20; u++) rgba.set([...COLOURS[name], 255], 4 * (v * SIDE + u));
    return [x, y, x + 20, y + 20];
  });
  return { key: `${seed}`, side: SIDE, rgba, boxes, captions, globalCaption: captions.join(' and ') };
}

/** Two factors of four digits each. */
const ROUNDED = { abs: 0, rel: 1e-3 };

const SAMPLES = Array.from({ length: 24 }, (_, i) => colouredSample(i));
const CONFIG = PRESETS.smoke;

/** The smallest preset with some keys changed. */
const changed = (...set: string[]): TrainConfig => trainConfig({ preset: 'smoke', set });

const crops: CropSource = (step, count) => {
  const captions = Array.from({ length: count }, (_, i) => NAMES[(step + i) % NAMES.length]);
  const rgba = new Uint8Array(count * 28 * 28 * 4);
  captions.forEach((name, i) => {
    for (let p = 0; p < 28 * 28; p++) rgba.set([...COLOURS[name], 255], 4 * (i * 28 * 28 + p));
  });
  return { rgba, captions };
};

function fresh(): PS3 {
  const captions = SAMPLES.flatMap(({ captions, globalCaption }) => [...captions, globalCaption ?? '']);
  const tokenizer = buildWordTokenizer(captions, { contextLength: 6 });
  const config = presetConfig(changed('model.contextLength=6'), tokenizer.vocabSize);
  return PS3.create(engine, config, 7, { layerScale: 0.1, tokenizer });
}

async function inFolder(work: (path: string) => Promise<void>): Promise<void> {
  const path = await mkdtemp(join(tmpdir(), 'ps3-train-'));
  try {
    await work(path);
  } finally {
    await rm(path, { recursive: true });
  }
}

async function rejects(work: Promise<unknown>, message: RegExp): Promise<void> {
  const error = await work.then(
    () => undefined,
    (reason: Error) => reason,
  );
  assert.match(error?.message ?? 'nothing was thrown', message);
}

async function weights(model: PS3): Promise<ArrayLike<number>> {
  return model.parameters.arenas[0].values.data();
}

test('train: killed after a checkpoint and resumed, it computes the same bits as without', async () => {
  await inFolder(async (path) => {
    const config = changed('ps3.steps=6', 'seed=3', 'saveEvery=2');
    const whole = fresh();
    const undisturbed = await RunFolder.create(join(path, 'whole'), CONFIG);
    await trainPS3(engine, whole, SAMPLES, config, { run: undisturbed });

    const run = await RunFolder.create(join(path, 'killed'), CONFIG);
    const kill = {
      run,
      onStep: ({ step }: { step: number }) => assert.not.equal(step, 4),
    };
    await trainPS3(engine, fresh(), SAMPLES, config, kill).then(
      () => assert.unreachable('it should have been killed'),
      () => undefined,
    );
    const progress = (await run.recover())!;
    assert.is(progress.step, 4);
    await run.rewind(progress);
    const resumed = await PS3.load(engine, run.checkpointPath);
    // Earlier checkpoints say where a sampler stood, which nothing asks for any more.
    const resume = Object.assign(progress, { sampler: { epoch: 7, cursor: 4 } });
    await trainPS3(engine, resumed, SAMPLES, config, { run, resume });

    compare('weights', await weights(resumed), await weights(whole), TOLERANCE.exact);
    const losses = async (name: string): Promise<number[]> =>
      (await new RunFolder(join(path, name)).metrics()).map(({ loss }) => Number(loss));
    assert.equal(await losses('killed'), await losses('whole'));
    assert.is((await losses('killed')).length, 6, 'each step once');
    const error = await RunFolder.create(join(path, 'whole'), CONFIG).then(
      () => undefined,
      (reason: Error) => reason,
    );
    assert.match(error?.message ?? '', /must be a new folder, got one with a run. Pass --resume/);
  });
});

test('run: a metrics file with a cut line, steps twice and the former names can be read and gone on with', async () => {
  await inFolder(async (path) => {
    const cut = await readFile(new URL('../fixtures/half_line.metrics.jsonl', import.meta.url), 'utf8');
    const file = join(path, 'metrics.jsonl');
    const said: string[] = [];
    const read = () => new RunFolder(path).metrics((sentence) => said.push(sentence));
    assert.equal(await read(), [], 'no file');
    await writeFile(file, cut);
    const [first, ...none] = await read();
    assert.equal(none, []);
    assert.equal([first.bottomUp, first.topDown, first.prior], [0.4, 1, undefined]);
    assert.equal(said, [`${file}: line 2 is cut off, as by a kill, and left out.`]);
    const line = (stage: string, step: number, loss: number): string =>
      `${JSON.stringify({ stage, step, lr: 1, loss })}\n`;
    const steps = (metrics: readonly Metric[]) => metrics.map(({ stage, step, loss }) => [stage, step, loss]);
    // As a run that was resumed twice left it: the cut line and the one after it are one.
    await writeFile(
      file,
      line('towers', 0, 9) + cut + line('ps3', 0, 3) + line('ps3', 0, 5) + line('ps3', 1, 4),
    );
    assert.equal(steps(await read()), [
      ['towers', 0, 9],
      ['ps3', 0, 5],
      ['ps3', 1, 4],
    ]);
    await new RunFolder(path).rewind({ stage: 'ps3', step: 1 }, () => undefined);
    assert.is(await readFile(file, 'utf8'), line('towers', 0, 9) + line('ps3', 0, 5));
    await new RunFolder(path).log({ stage: 'ps3', step: 1, lr: 1, loss: 2 });
    assert.equal(steps(await read()), [
      ['towers', 0, 9],
      ['ps3', 0, 5],
      ['ps3', 1, 2],
    ]);
    await new RunFolder(path).rewind({ stage: 'towers', step: 1 });
    assert.equal(steps(await read()), [['towers', 0, 9]]);
  });
});

test('train: both stages lower their losses on images that four colours explain', async () => {
  await inFolder(async (path) => {
    const run = await RunFolder.create(path, CONFIG);
    const model = fresh();
    const towers = 'towers={"steps":40,"batch":16,"lr":3e-3,"warmup":5}';
    const config = changed(towers, 'ps3={"steps":60,"batch":8,"lr":2e-3,"warmup":5}');
    await trainTowers(engine, model, crops, config, { run });
    const before = await evaluate(engine, model, SAMPLES, { candidates: 4 });
    await trainPS3(engine, model, SAMPLES, config, { run });
    const after = await evaluate(engine, model, SAMPLES, { candidates: 4 });
    const metrics = await run.metrics();
    const mean = (stage: string, key: string, from: number, to: number): number => {
      const values = metrics.filter((metric) => metric.stage === stage).slice(from, to);
      return values.reduce((total, metric) => total + Number(metric[key]), 0) / values.length;
    };
    assert.ok(
      mean('towers', 'loss', 35, 40) < 0.5 * mean('towers', 'loss', 0, 5),
      'towers learn the colours',
    );
    for (const key of ['bottomUp', 'topDown'])
      assert.ok(mean('ps3', key, 50, 60) < 0.9 * mean('ps3', key, 0, 10), `${key} falls`);
    assert.ok(
      after.retrieval.ps3 > 0.6,
      `the right colour of four for most boxes, got ${after.retrieval.ps3}`,
    );
    assert.ok(after.recall.bottomUp > after.recall.random, JSON.stringify(after.recall));
    assert.is(before.boxes, 48);
  });
});

test('train: a model that asks for drop path is refused by both stages, and encodes all the same', async () => {
  await inFolder(async (path) => {
    const { config, tokenizer } = fresh();
    const dropping = { ...config, vision: { ...config.vision, dropPath: 0.1 } };
    const model = PS3.create(engine, dropping, 7, { layerScale: 0.1, tokenizer });
    const run = await RunFolder.create(path, CONFIG);
    const refused = /^config: vision_config.drop_path must be 0 or null in training, got 0.1/;
    await rejects(trainTowers(engine, model, crops, CONFIG, { run }), refused);
    await rejects(trainPS3(engine, model, SAMPLES, CONFIG, { run }), refused);
    const image = engine.tensor(SAMPLES[0].rgba, [1, SIDE, SIDE, 4]);
    const [without, withDropPath] = [await fresh().encode(image), await model.encode(image)];
    const [want, got] = [without.lastHiddenState, withDropPath.lastHiddenState];
    compare('tokens', await got.data(), await want.data(), TOLERANCE.exact);
  });
});

test('train: evaluating at intervals and at the end changes no bit, and keeps the best weights', async () => {
  await inFolder(async (path) => {
    const plain = fresh();
    const keys = ['ps3.steps=5', 'seed=3'];
    await trainPS3(engine, plain, SAMPLES, changed(...keys), {
      run: await RunFolder.create(join(path, 'plain'), CONFIG),
    });
    const config = changed(...keys, 'evaluation.everySteps=2', 'checkpoints.best=recall.topDown');
    const run = await RunFolder.create(join(path, 'evaluated'), config);
    const evaluated = fresh();
    const seen: [step: number, recall: number][] = [];
    await trainPS3(engine, evaluated, SAMPLES, config, {
      run,
      evaluate: async ({ step }) => {
        const found = await evaluate(engine, evaluated, SAMPLES, { candidates: 4 });
        seen.push([step, found.recall.topDown]);
        return found;
      },
    });
    assert.equal(
      seen.map(([step]) => step),
      [2, 4, 5],
    );
    compare('weights', await weights(evaluated), await weights(plain), TOLERANCE.exact);
    const [step, value] = seen.reduce((best, next) => (next[1] > best[1] ? next : best));
    const best = JSON.parse(await readFile(join(run.bestPath, 'progress.json'), 'utf8'));
    assert.equal([best.step, best.metric, best.value], [step, 'recall.topDown', value]);
  });
});

test('train: the first steps do not depend on the adapter’s mood: two runs write the same metrics', async () => {
  await inFolder(async (path) => {
    const texts: string[] = [];
    for (const name of ['a', 'b']) {
      const run = await RunFolder.create(join(path, name), CONFIG);
      const config = changed('ps3.steps=3', 'seed=5', 'loss.dice=0', 'loss.bottomUpBoxes=sampled');
      await trainPS3(engine, fresh(), SAMPLES, config, { run });
      texts.push(await decidedMetrics(join(path, name)));
    }
    assert.is(texts[0], texts[1]);
    // Three words and EOS at most, of six tokens.
    const cut = texts[0]
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as Metric).cutCaptions);
    assert.equal(cut, [0, 0, 0]);
  });
});

test('train: a recorded step computes the bits of one that is called', async () => {
  await inFolder(async (path) => {
    const config = changed('ps3.steps=4', 'optimizer.weightDecay=0.1');
    const recorded = fresh();
    const run = await RunFolder.create(path, config);
    await trainPS3(engine, recorded, SAMPLES, config, { run, peakFlopsPerS: 1e9 });
    const metrics = await run.metrics();
    const called = fresh();
    const { weightDecay, ...constants } = config.optimizer;
    const optimizer = new AdamW(called.parameters, {
      ...constants,
      weightDecay: [weightDecay, 0, weightDecay, 0],
    });
    const objective = ps3Objective(called, SAMPLES, config);
    await using batches = objective.batches({ step: 0 });
    for (const [step, lr] of [0.5, 1, 1, 0.5].entries()) {
      using scope = engine.scope();
      const { host } = await batches.next();
      descendWhole(called, objective, upload(engine, host, scope));
      const gradients = await called.parameters.arenas[0].gradients!.data();
      optimizer.set({ lr: lr * config.ps3.lr });
      optimizer.step();
      called.clampLogitScale();
      const { gradNorm, logitScale, logitBias, speed } = metrics[step];
      compare('gradNorm', [Number(gradNorm)], [Math.hypot(...gradients)]);
      compare('logitScale', [Number(logitScale)], [Math.exp((await called.logitScale.data())[0])]);
      compare('logitBias', [Number(logitBias)], await called.logitBias.data(), TOLERANCE.exact);
      const { stepMs, imagesPerS, tokensPerS, gflopPerS = 0, peakShare = 0, deviceBytes } = speed!;
      compare('imagesPerS', [imagesPerS * stepMs], [1000 * config.ps3.batch], ROUNDED);
      // 2 x 2 patches of the lowest scale, 16 of a look, 6 text tokens.
      compare('tokensPerS', [tokensPerS], [(4 + 16 + 6) * imagesPerS], ROUNDED);
      compare('peakShare', [peakShare], [gflopPerS], ROUNDED);
      // AdamW alone has 16 operations for a weight; weights, gradients and both moments have 4 bytes each.
      const { elementCount } = called.parameters;
      assert.ok(gflopPerS * stepMs * 1e6 > 16 * elementCount, `${gflopPerS} GFLOP/s`);
      assert.ok(deviceBytes > 16 * elementCount, `${deviceBytes} bytes`);
    }
    compare('weights', await weights(recorded), await weights(called), TOLERANCE.exact);
    optimizer.dispose();
  });
});

test('train: measuring a step takes time, and changes neither weights nor gradients', async () => {
  const model = fresh();
  const before = await weights(model);
  const objective = ps3Objective(model, SAMPLES, CONFIG);
  assert.ok((await measureStep(engine, model, objective)) > 0);
  assert.ok((await measureStep(engine, model, towersObjective(model, crops, CONFIG))) > 0);
  compare('weights', await weights(model), before, TOLERANCE.exact);
  const gradients = model.parameters.arenas[0].gradients!;
  compare('gradients', await gradients.data(), new Float32Array(gradients.size), TOLERANCE.exact);
  model.dispose();
});

test('train: a step leaves no tensor behind and creates no buffer after the second', async () => {
  await inFolder(async (path) => {
    const run = await RunFolder.create(path, CONFIG);
    const seen: number[][] = [];
    await trainPS3(engine, fresh(), SAMPLES, changed('ps3.steps=12', 'seed=5'), {
      run,
      onStep: () => {
        const { liveTensors, liveBytes, buffersCreated, bindGroupsCreated } = engine.stats();
        seen.push([liveTensors, liveBytes, buffersCreated, bindGroupsCreated]);
      },
    });
    // The last steps: what is recorded ahead is the same at each of them.
    assert.equal(seen[8], seen[10]);
  });
});

test.run();
