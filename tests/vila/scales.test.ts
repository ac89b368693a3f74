// In how many scales an image is looked at, by its size.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { LanguageModel } from '../../ps3/language/language_model.ts';
import { presetConfig, trainConfig } from '../../ps3/train/presets.ts';
import { parseVilaConfig, toProjectorHub, toVilaHub } from '../../ps3/vila/config.ts';
import { highResScalesOf } from '../../ps3/vila/ps3_encoder.ts';
import { VilaModel } from '../../ps3/vila/vila.ts';
import { tinyTokenizer } from '../app/tiny_vila.ts';
import { compare, engine, TOLERANCE } from '../harness.ts';

test('highResScalesOf: all above the middle of the last two scales, and always up to 2000 pixels', () => {
  // Of 756, 1512 and 3780 the middle of the last two is 2646; C-RADIO's has 1024, 2048 and 4096 behind 512, and 3072.
  for (const [scalesPx, longSidePx, count] of [
    [[378, 756, 1512, 3780], 378, 2],
    [[378, 756, 1512, 3780], 2646, 2],
    [[378, 756, 1512, 3780], 2647, 3],
    [[512, 1024, 2048, 4096], 3072, 2],
    [[512, 1024, 2048, 4096], 3073, 3],
    [[378, 756, 1512], 10, 2],
    [[378, 756, 2000], 10, 2],
    [[378, 756, 2001], 1378.5, 1],
    [[378, 756, 2001], 1379, 2],
  ] as const)
    assert.is(highResScalesOf(longSidePx, scalesPx), count, `${longSidePx} of ${scalesPx}`);
  for (const scalesPx of [
    [378, 3780],
    [1, 2, 3, 4, 5000],
  ])
    assert.throws(() => highResScalesOf(100, scalesPx), /must have two or three high-res scales .*, got \[/);
});

test('VilaModel.see: a small image is looked at in all scales but the last, where the configuration says so', async () => {
  // The middle of 1008 and 2016 is 1512; of 20 patches 4 are of the first 72 x 72, 16 of the last 144 x 144.
  const set = ['model.scalesPx=[28,1008,2016]', 'model.maxSelect=20', 'model.auxImagePx=56'];
  const { vision, image } = presetConfig(trainConfig({ preset: 'smoke', set }), 20);
  const config = {
    encoder: { kind: 'ps3' },
    lookMode: 'after_prompt',
    looks: 1,
    tokens: null,
    promptHead: 'linear',
    hasPositions: true,
    dynamicScales: true,
    ratio: 2,
  } as const;
  const hub = JSON.parse(JSON.stringify(toVilaHub(config, vision, 16)));
  assert.is(hub.ps3_dynamic_aspect_ratio, true);
  assert.equal(parseVilaConfig(hub, toProjectorHub(config)), config);
  const tokenizer = await tinyTokenizer();
  const make = (dynamicScales: boolean): VilaModel => {
    const language = LanguageModel.create(engine, { width: 16, layers: 1, heads: 2 }, 1, { tokenizer });
    return VilaModel.create(engine, { config: { ...config, dynamicScales }, vision, image }, language, 1);
  };
  using model = make(true);
  const look = async (of: VilaModel, width: number, height: number, options = {}) => {
    const rgba = Uint8Array.from({ length: 4 * width * height }, (_, i) => (i * 31) % 256);
    using seen = of.see({ rgba, width, height });
    using look = await of.lookFor('Hello', seen, options);
    return { counts: look.vision!.selectionCounts, table: await look.table.data() };
  };
  const small = await look(model, 1512, 20);
  assert.equal(small.counts, [20, 0]);
  assert.equal((await look(model, 20, 1513)).counts, [4, 16]);
  // A look may say otherwise, and it is what a look at so many scales gives where the size plays no part.
  assert.equal((await look(model, 1512, 20, { onlyFirstScales: 2 })).counts, [4, 16]);
  using fixed = make(false);
  assert.equal((await look(fixed, 1512, 20)).counts, [4, 16]);
  const want = await look(fixed, 1512, 20, { onlyFirstScales: 1 });
  compare('tokens', small.table, want.table, TOLERANCE.exact);
});

test.run();
