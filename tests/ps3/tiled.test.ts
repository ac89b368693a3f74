// AnyRes and S² over batches on the device: the same features as image by image on the host, and trained as PS3 is.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { backward, mul, Random, sum } from '../../engine/index.ts';
import { type Box, boxCells } from '../../ps3/data/boxes.ts';
import { regionFeature } from '../../ps3/model/baselines/regions.ts';
import { TILED_ENCODERS, tiledFeatures, tiledTokens } from '../../ps3/model/baselines/tiled.ts';
import { partOf } from '../../ps3/model/parts.ts';
import { PS3 } from '../../ps3/model/ps3.ts';
import { buildWordTokenizer } from '../../ps3/model/text/tokenizer.ts';
import { planTraining } from '../../ps3/train/plan.ts';
import { presetConfig, trainConfig } from '../../ps3/train/presets.ts';
import { RunFolder } from '../../ps3/train/run.ts';
import { trainPS3 } from '../../ps3/train/train.ts';
import { compare, engine, throws } from '../harness.ts';

const SIDE = 112;
const NAMES = ['red', 'green', 'blue', 'yellow'];
const COLOURS = [
  [200, 70, 70],
  [60, 190, 80],
  [70, 90, 200],
  [200, 190, 60],
];

const config = (...set: string[]) =>
  trainConfig({ preset: 'smoke', set: ['model.contextLength=6', 'seed=5', ...set] });

function model(): PS3 {
  const tokenizer = buildWordTokenizer([NAMES.join(' ')], { contextLength: 6 });
  return PS3.create(engine, presetConfig(config(), tokenizer.vocabSize), 5, { tokenizer, layerScale: 0.1 });
}

/** A textured image, nowhere so dark or bright that an overshoot would be cut off, with two coloured squares, one of them across the edge between tiles. */
function sample(seed: number) {
  const random = new Random(seed, 4);
  const rgba = Uint8Array.from({ length: 4 * SIDE * SIDE }, (_, i) =>
    i % 4 === 3 ? 255 : 128 + 50 * Math.sin((i >> 2) / 7 + seed),
  );
  const order = random.shuffle([0, 1, 2, 3]);
  const boxes = order.slice(0, 2).map((colour, i): Box => {
    const [x, y] = [20 + random.integer(40), 8 + 54 * i];
    for (let v = y; v < y + 30; v++)
      for (let u = x; u < x + 22; u++) rgba.set([...COLOURS[colour], 255], 4 * (v * SIDE + u));
    return [x, y, x + 22, y + 30];
  });
  const captions = order.slice(0, 2).map((colour) => NAMES[colour]);
  return { key: `${seed}`, side: SIDE, rgba, boxes, captions, globalCaption: captions.join(' ') };
}

const PLACES = [
  ['low-res', 112, 4],
  ['anyres', 56, 5 * 4],
  ['anyres', 112, 17 * 4],
  ['s2', 56, 5 * 4],
  ['s2', 112, 21 * 4],
] as const;

/** Ramps of whole levels, which resizing keeps, but for the outermost pixels: bytes hold what floats do. */
function ramps(flip: number): Uint8Array {
  return Uint8Array.from({ length: 4 * SIDE * SIDE }, (_, i) => {
    const [x, y] = [(i >> 2) % SIDE, Math.floor(i / 4 / SIDE)];
    const values = [16 + 2 * x, 16 + 2 * y, 90].map((value) => (flip ? 255 - value : value));
    return [...values, 255][i % 4];
  });
}

test('tiled: each image of a batch has the feature that it has by itself on the host', async () => {
  using made = model();
  const samples = [0, 1].map((seed) => ({ ...sample(seed), rgba: ramps(seed) }));
  for (const [encoder, sidePx, tokens] of PLACES) {
    using scope = engine.scope();
    const image = engine.tensor(
      Uint8Array.from(samples.flatMap(({ rgba }) => [...rgba])),
      [2, SIDE, SIDE, 4],
      { scope },
    );
    const cells = Float32Array.from(samples.flatMap(({ boxes }) => [...boxCells([boxes[0]], SIDE, SIDE)]));
    const box = engine.tensor(cells, [2, SIDE, SIDE], { scope });
    const got = await tiledFeatures(made.vision, image, box, { encoder, sidePx }).data();
    const { prompt } = await made.encodeText('red', { scope });
    const want: number[] = [];
    for (const { rgba, boxes } of samples) {
      const asked = { image: { rgba, width: SIDE, height: SIDE }, boxes: [boxes[0]], prompt };
      const maxTiles = (sidePx / 28) ** 2;
      const alone = await regionFeature(engine, made, encoder, {
        ...asked,
        maxTiles,
        random: new Random(1, 0),
      });
      assert.is(alone.tokens, tokens, encoder);
      want.push(...alone.feature);
    }
    assert.is(tiledTokens(made.vision, { encoder, sidePx }), tokens);
    compare(`${encoder} at ${sidePx}`, got, want, { abs: 0, rel: encoder === 'low-res' ? 2e-5 : 1e-3 });
  }
  throws(
    () => tiledTokens(made.vision, { encoder: 's2', sidePx: 100 }),
    /^tiledFeatures: sidePx must be a multiple of 28, got 100\.$/,
  );
});

test('tiled: gradients reach every weight of the image tower', async () => {
  for (const encoder of TILED_ENCODERS) {
    using made = model();
    made.parameters.enableGradients();
    using scope = engine.scope();
    const { rgba, boxes } = sample(3);
    const image = engine.tensor(rgba, [1, SIDE, SIDE, 4], { scope });
    const box = engine.tensor(Float32Array.from(boxCells([boxes[0]], SIDE, SIDE)), [1, SIDE, SIDE], {
      scope,
    });
    const feature = tiledFeatures(made.vision, image, box, { encoder, sidePx: 112 });
    const weights = Float32Array.from({ length: feature.size }, (_, i) => Math.sin(i + 1));
    backward(sum(mul(feature, engine.tensor(weights, feature.shape, { scope }))).reshape([1]));
    for (const name of made.parameters.names.filter((name) => partOf(name) === 'vision'))
      assert.ok(
        (await made.parameters.get(name).grad!.data()).some((value) => value !== 0),
        `${encoder}: ${name}`,
      );
  }
});

test('tiled: a baseline is trained by the second stage, by the contrast of boxes and captions alone', async () => {
  const path = await mkdtemp(join(tmpdir(), 'ps3-tiled-'));
  try {
    for (const encoder of ['anyres', 's2'] as const) {
      const asked = config(
        ...['towers.steps=0', 'ps3.steps=12', 'ps3.lr=3e-3', 'ps3.batch=8'],
        ...[`baseline.encoder=${encoder}`, 'baseline.sidePx=56'],
      );
      const need = planTraining(engine, presetConfig(asked, 8), asked).ps3!;
      assert.equal(Object.keys(need.flops), ['tiles', 'text', 'backward', 'optimizer']);
      using made = model();
      const run = await RunFolder.create(join(path, encoder), asked);
      const samples = Array.from({ length: 16 }, (_, i) => sample(i));
      await trainPS3(engine, made, samples, asked, { run });
      const metrics = await run.metrics();
      const losses = metrics.map(({ loss }) => Number(loss));
      assert.ok(losses[11] < 0.8 * losses[0], `${encoder}: ${losses[0]} to ${losses[11]}`);
      assert.is(metrics[0].bottomUp, undefined, 'nothing supervises maps');
    }
  } finally {
    await rm(path, { recursive: true });
  }
});

test('tiled: sides that do not go with the scales are refused', () => {
  throws(
    () => config('baseline.encoder=s2', 'baseline.sidePx=224'),
    /^config: baseline\.sidePx must be a multiple of the low-res side, 28, up to the largest scale, 112, got 224\.$/,
  );
  throws(() => config('baseline.encoder=native', 'baseline.sidePx=56'), /^config: baseline\.encoder must be/);
  assert.is(config().baseline, null);
});

test.run();
