// Configurations of training: how they are put together, what is refused, and what each part of the method changes.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { Tensor } from '../../engine/index.ts';
import { Sampler } from '../../ps3/data/sampler.ts';
import { parseHubConfig } from '../../ps3/model/config/hub_config.ts';
import { toHubConfig } from '../../ps3/model/config/hub_config_writer.ts';
import { PS3 } from '../../ps3/model/ps3.ts';
import type { TrainConfig } from '../../ps3/train/config.ts';
import { parseTrainConfig } from '../../ps3/train/config.ts';
import { PRESETS, presetConfig, trainConfig } from '../../ps3/train/presets.ts';
import { compare, engine, random, TOLERANCE, throws } from '../harness.ts';

const smoke = (...set: string[]): TrainConfig => trainConfig({ preset: 'smoke', set });

test('config: every preset is whole, and stays what it is when it is read again', () => {
  for (const [name, preset] of Object.entries(PRESETS)) {
    assert.is(preset.preset, name);
    assert.equal(trainConfig({ preset: name }), preset);
    assert.equal(parseTrainConfig(JSON.parse(JSON.stringify(preset))), preset);
  }
});

test('config: a file changes the preset, and single keys the file; lists are replaced', () => {
  const file = { recipe: 'released', ps3: { lr: 1e-4 }, model: { scalesPx: [28, 112] }, seed: 5 };
  const config = trainConfig({
    preset: 'smoke',
    file,
    set: ['seed=6', 'data.folder=/images', 'ps3.steps=7'],
  });
  assert.equal(config.ps3, { steps: 7, batch: 32, lr: 1e-4, warmup: 1500, accumulate: 1 });
  assert.equal([config.seed, config.data.folder, config.model.scalesPx], [6, '/images', [28, 112]]);
  assert.is(config.model.width, PRESETS.smoke.model.width);
});

test('config: the recipes hold the constants of the paper and of its code', () => {
  // spec: AdamW 5e-6, (0.9, 0.95), 1e-8, decay 3e-4, no clipping, warm-up 1500, batch 32 a GPU, 75 million samples.
  for (const recipe of ['paper', 'released'] as const) {
    const { optimizer, ps3, sampling, init, loss } = trainConfig({ preset: 'medium', recipe });
    assert.equal(optimizer, {
      betas: [0.9, 0.95],
      eps: 1e-8,
      weightDecay: 3e-4,
      maxNorm: 0,
      averageDecay: null,
    });
    assert.equal([ps3.lr, ps3.warmup, ps3.batch, ps3.batch * ps3.steps], [5e-6, 1500, 32, 75e6]);
    const captions = { clean: true, sentenceMasking: true };
    assert.equal(sampling, { globalShare: 0.25, crop: 'pretraining', sameCaptionPositives: false, captions });
    assert.equal(init, {
      from: null,
      layerScale: 1e-6,
      positionResidualStd: 0,
      logitScale: Math.log(10),
      logitBias: -10,
    });
    assert.equal([loss.bottomUp, loss.topDown, loss.maxLogitScale], [1, 1, 100]);
    assert.equal([loss.dice, loss.bottomUpBoxes], recipe === 'paper' ? [1, 'all'] : [0, 'sampled']);
  }
});

test('config: what is wrong is refused by its path', () => {
  const mistakes: [string, RegExp][] = [
    [
      'optimizer.lr=1',
      /^config: optimizer\.lr must be absent: the keys are betas, eps, weightDecay, maxNorm, averageDecay, got "lr"\.$/,
    ],
    ['learning_rate=1', /^config: learning_rate must be absent: the keys are preset, recipe, seed, /],
    ['ps3.steps=1.5', /^config: ps3\.steps must be a non-negative integer, got 1\.5\.$/],
    ['ps3.lr=fast', /^config: ps3\.lr must be a positive number, got "fast"\.$/],
    ['seed=-1', /^config: seed must be a non-negative integer, got -1\.$/],
    ['ps3=5', /^config: ps3 must be an object, got 5\.$/],
    ['recipe=new', /^config: recipe must be "demo", "paper" or "released", got "new"\.$/],
    ['sampling.globalShare=1.5', /^config: sampling\.globalShare must be in \[0, 1\], got 1\.5\.$/],
    ['optimizer.betas=[0.9]', /^config: optimizer\.betas/],
    [
      'model.scalesPx=[28,50]',
      /^config: model\.scalesPx must be two or more multiples of 14, ascending, got \[28,50\]\.$/,
    ],
    ['model.maxSelect=1000', /^config: model\.maxSelect must be within the 80 high-res patches, got 1000\.$/],
    ['model.width=33', /^config: model\.width must be a multiple of model\.heads, 2, got 33\.$/],
    [
      'ps3.accumulate=3',
      /^config: ps3\.accumulate must divide ps3\.batch, 4, into parts of equal size, got 3\.$/,
    ],
    ['data.objects=[3,2]', /^config: data\.objects must be the lowest, then the highest, got \[3,2\]\.$/],
    ['ps3.lr', /^config: --set must be KEY=VALUE, such as ps3\.lr=5e-6, got ps3\.lr\.$/],
  ];
  for (const [set, message] of mistakes) throws(() => smoke(set), message);
  throws(
    () => smoke('data.folder=a', 'data.photos=b'),
    /^config: data\.photos must be null beside data\.folder/,
  );
  throws(() => smoke('method.oneSamplePerImage=false', 'ps3.batch=3'), /^config: ps3\.batch must be even/);
  throws(
    () => trainConfig({ preset: 'huge' }),
    /^config: preset must be one of small, medium, nano-4k, nano-4k-look, nano-4k-screens, nano-4k-screens-look, vila-s, vila-4k, so400m, smoke, got huge\.$/,
  );
  throws(
    () => trainConfig({ preset: 'smoke', file: [1] }),
    /^config: the file must hold an object, got \[1\]\.$/,
  );
  const { method: _, ...rest } = PRESETS.smoke;
  throws(() => parseTrainConfig(rest), /^config: method must be an object, got nothing\.$/);
});

test('method: each part changes the model’s configuration where it should, and nowhere else', () => {
  const whole = presetConfig(PRESETS.smoke, 8);
  const without = (part: string) => presetConfig(smoke(`method.${part}=false`), 8);
  const differing = (part: string): string[] => {
    const other = without(part).vision;
    return Object.entries(whole.vision).flatMap(([key, value]) =>
      key === 'hub' || JSON.stringify(value) === JSON.stringify(Reflect.get(other, key)) ? [] : [key],
    );
  };
  assert.equal(differing('lowResCache'), ['lowResCache']);
  assert.equal(differing('scalePositions'), ['separatePosEmb']);
  assert.equal(differing('auxEncoder'), ['auxEncoder']);
  assert.equal(without('multiScale').vision.scalesPx, [28, 112]);
  for (const part of ['oneSamplePerImage', 'teacherForcing', 'inBoxPooling', 'globalMix'])
    assert.equal(differing(part), [], part);
  // A checkpoint keeps it.
  const written = toHubConfig(without('lowResCache'));
  assert.is(parseHubConfig(JSON.parse(JSON.stringify(written))).vision.lowResCache, false);
  assert.is(Reflect.get(Object(toHubConfig(whole).vision_config), 'low_res_cache'), undefined);
});

test('method: without the cache the low-res pass decides where to look, and not what is seen there', async () => {
  const make = (...set: string[]) =>
    PS3.create(engine, presetConfig(smoke(...set), 8), 3, { layerScale: 0.1, positionResidualStd: 0.02 });
  using whole = make();
  using without = make('method.lowResCache=false');
  const side = 112;
  const noise = (seed: number) =>
    engine.tensor(Float32Array.from(random(3 * side * side, seed)), [1, 3, side, side], { scope });
  using scope = engine.scope();
  const [image, other] = [noise(1), noise(2)];
  const seen = async (model: PS3, lowOf: Tensor): Promise<ArrayLike<number>> => {
    const { vision } = model;
    const grids = vision.grids(image);
    const lowRes = vision.lowRes(image);
    const maps = vision.maps(vision.selectionFeatures(image, lowRes), grids);
    const [counts] = vision.plan(grids, { looks: 1 });
    const [tokens] = vision.encodePatches(image, vision.lowRes(lowOf), vision.choose(maps, counts), grids);
    return tokens.data();
  };
  compare('no cache', await seen(without, other), await seen(without, image), TOLERANCE.exact);
  assert.not.equal(Array.from(await seen(whole, other)), Array.from(await seen(whole, image)));
  const [a, b] = await Promise.all(
    [whole, without].map(({ vision }) => vision.lowRes(image).hidden[0].data()),
  );
  compare('low-res', b, a, TOLERANCE.exact);
});

test('sampler: two samples of an image have different captions, and a batch half as many images', () => {
  const image = (i: number) => ({
    side: 10,
    captions: [`a${i}`, `b${i}`],
    globalCaption: `all of ${i}`,
    boxes: [
      [0, 0, 5, 5] as [number, number, number, number],
      [5, 5, 9, 9] as [number, number, number, number],
    ],
  });
  const images = Array.from({ length: 6 }, (_, i) => ({ key: `${i}`, ...image(i) }));
  const one = new Sampler(images, { batchSize: 6, seed: 3 });
  const two = new Sampler(images, { batchSize: 4, seed: 3, samplesPerImage: 2 });
  assert.equal([one.batchesPerEpoch, two.batchesPerEpoch], [1, 3]);
  for (let step = 0; step < 9; step++) {
    const batch = two.batch(step);
    assert.equal(
      batch.map(({ image }) => image),
      [0, 0, 1, 1].map((i) => batch[2 * i].image),
    );
    assert.is(new Set(batch.map(({ caption }) => caption)).size, 4);
  }
  // The first sample of each is that of a run with one.
  const first = (sampler: Sampler, steps: number): string[] =>
    Array.from({ length: steps }, (_, step) => sampler.batch(step))
      .flat()
      .filter((_draw, i) => steps === 1 || i % 2 === 0)
      .map(({ caption }) => caption);
  assert.equal(first(two, 3), first(one, 1));
  throws(
    () => new Sampler(images, { batchSize: 3, seed: 1, samplesPerImage: 2 }),
    /a multiple of the samples per image, 2, got 3/,
  );
});

test.run();
