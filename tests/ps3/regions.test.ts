// What encoders make of the boxes of an image, against the public encoding where there is one, and by laws where not.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { l2Normalize, noGrad, Random, slice } from '../../engine/index.ts';
import { cropBoxes, type Edges, randomSelection } from '../../ps3/model/baselines/controls.ts';
import { type RegionEncoder, regionFeature, touchedTokens } from '../../ps3/model/baselines/regions.ts';
import { dynamicTiles } from '../../ps3/model/baselines/tiles.ts';
import { resizeToSquare } from '../../ps3/model/image.ts';
import { PS3 } from '../../ps3/model/ps3.ts';
import { buildWordTokenizer } from '../../ps3/model/text/tokenizer.ts';
import { PRESETS, presetConfig } from '../../ps3/train/presets.ts';
import { compare, engine } from '../harness.ts';

const tokenizer = buildWordTokenizer(['a red cap blue dog'], { contextLength: 8 });
const model = PS3.create(engine, presetConfig(PRESETS.smoke, tokenizer.vocabSize), 7, { tokenizer });
const { gridSides, scalesPx, budgets } = model.config.vision;

/** Waves of colour. */
function waves(width: number, height: number) {
  const rgba = Uint8Array.from({ length: 4 * width * height }, (_, i) => {
    const [x, y, c] = [Math.floor(i / 4) % width, Math.floor(i / 4 / width), i % 4];
    return c === 3 ? 255 : 127 + 120 * Math.sin((3 * x + 5 * y) / 15 + 2 * c);
  });
  return { rgba, width, height };
}
const image = waves(130, 100);

async function feature(
  encoder: RegionEncoder,
  boxes: readonly Edges[] = [],
): Promise<[Float32Array, number]> {
  using scope = engine.scope();
  const { prompt } = await model.encodeText('red cap', { scope });
  const query = { image, boxes, prompt, random: new Random(3, 0) };
  const { feature, tokens } = await regionFeature(engine, model, encoder, query);
  return [feature, tokens];
}

test('regions: low-res and PS3 are what the public encoding pools in the box', async () => {
  using scope = engine.scope();
  const square = resizeToSquare(engine, image, model.config.image.imagePx, { scope });
  // Edges that no cell's edge is near to by rounding.
  const box = [14, 11, 75, 63] as const;
  const region = { box: [14 / 130, 11 / 100, 75 / 130, 63 / 100] } as const;
  for (const [encoder, tokens, prompt] of [
    ['low-res', 'low', undefined],
    ['ps3-top-down', 'high', 'red cap'],
    ['ps3-bottom-up', 'high', undefined],
  ] as const) {
    using encoding = await model.encode(square, { prompt, looks: 1 });
    using want = model.imageFeatures(encoding, { tokens, region });
    const [got, count] = await feature(encoder, [box]);
    compare(encoder, got, await want.data(), { abs: 0, rel: 1e-4 });
    const low = gridSides[0] ** 2;
    assert.is(count, low + (tokens === 'low' ? 0 : budgets.reduce((a, b) => a + b)), encoder);
  }
});

test('regions: a native ViT is a look at all patches of the largest scale by a PS3 that keeps nothing of the low-res pass', async () => {
  using scope = engine.scope();
  const { config } = model;
  const vision = { ...config.vision, lowResCache: false };
  const alone = PS3.create(engine, { ...config, vision }, 7, { tokenizer });
  const square = resizeToSquare(engine, image, config.image.imagePx, { scope });
  const last = gridSides.length - 1;
  const selection = gridSides.slice(1).map((side, i) => ({
    map: engine.full([1, side * side], i === last - 1 ? 1 : 0, { scope }),
    count: i === last - 1 ? side * side : 0,
  }));
  const box: Edges = [14, 11, 75, 63];
  const { lastHiddenState } = noGrad(() => alone.vision.forward(square, { selection }));
  const tokens = slice(lastHiddenState, { axis: 1, start: gridSides[0] ** 2, length: gridSides[last] ** 2 });
  const mask = touchedTokens([box], image, [1, 1], gridSides[last]);
  const inBox = engine.tensor(mask, [1, mask.length], { scope });
  const want = noGrad(() => l2Normalize(alone.vision.pool(tokens, inBox)));
  const [got, count] = await feature('native', [box]);
  compare('native', got, await want.data(), { abs: 0, rel: 1e-4 });
  assert.is(count, gridSides[last] ** 2);
});

test('regions: a crop of the whole image, and no box at all, are the low-res feature', async () => {
  const [whole] = await feature('low-res');
  compare('crop of all', (await feature('oracle-crop', [[0, 0, 130, 100]]))[0], whole, { abs: 0, rel: 1e-5 });
  compare('no box', (await feature('oracle-crop'))[0], whole, { abs: 0, rel: 1e-5 });
  const [part] = await feature('oracle-crop', [[20, 10, 60, 50]]);
  assert.ok(
    part.some((value, e) => Math.abs(value - whole[e]) > 1e-3),
    'a part is another image',
  );
});

test('regions: every encoder gives a feature of length 1, and counts its tokens', async () => {
  const low = gridSides[0] ** 2;
  const tiled = scalesPx.map((side) => side / scalesPx[0]).filter((k) => k * k <= 16);
  const s2 = tiled.reduce((sum, k) => sum + k * k, 0) * low;
  // 130 x 100 pixels on at most 16 tiles: 5 x 3 has no nearer shape than 4 x 3, and 12 tiles have a thumbnail.
  const want: [RegionEncoder, number][] = [
    ['anyres', 13 * low],
    // Of tiles of 28 px, 4 x 4 show 112 x 86 pixels, 4 x 3 and 5 x 3 show 109 x 84.
    ['anyres-next', 17 * low],
    ['s2', s2],
  ];
  for (const [encoder, count] of want) {
    const [values, tokens] = await feature(encoder, [[30, 30, 50, 50]]);
    assert.is(tokens, count, encoder);
    compare(encoder, [Math.hypot(...values)], [1]);
  }
  const [all] = await feature('dynamic-s2');
  const [box] = await feature('dynamic-s2', [[0, 0, 10, 10]]);
  assert.ok(
    all.some((value, e) => Math.abs(value - box[e]) > 1e-3),
    'the box has a say',
  );
});

test('regions: the mean over tiles is weighted by the tokens that the boxes touch', async () => {
  // 4 x 3 tiles of 2 x 2 tokens; the box is the left upper quarter of the first tile, one token, and one of the thumbnail.
  const options = { tilePx: scalesPx[0], maxTiles: 16, image: model.config.image };
  using scope = engine.scope();
  const { tiles } = await dynamicTiles(engine, image, { ...options, scope });
  const oneOf = async (tile: number): Promise<Float32Array> => {
    const start = tile * 3 * scalesPx[0] ** 2;
    const pixels = (await tiles.data()).slice(start, start + 3 * scalesPx[0] ** 2);
    const alone = engine.tensor(pixels, [1, 3, scalesPx[0], scalesPx[0]], { scope });
    using encoding = await model.encode(alone, { looks: 0 });
    using first = model.imageFeatures(encoding, { region: { box: [0, 0, 0.4, 0.4] } });
    return Float32Array.from(await first.data());
  };
  const [tile, thumbnail] = [await oneOf(0), await oneOf(12)];
  const both = Array.from(tile, (value, e) => value + thumbnail[e]);
  const length = Math.hypot(...both);
  const [got] = await feature('anyres', [[0, 0, 12, 12]]);
  compare(
    'anyres',
    got,
    both.map((value) => value / length),
    { abs: 0, rel: 1e-4 },
  );
});

test('regions: a random look depends on the seed alone', async () => {
  const [a] = await feature('ps3-random');
  assert.equal((await feature('ps3-random'))[0], a);
  const maps = randomSelection([3, 5], [4, 6], 2, new Random(1, 0));
  const ones = maps.flatMap((map) =>
    [0, 1].map((b) => map.subarray((b * map.length) / 2, ((b + 1) * map.length) / 2)),
  );
  assert.equal(
    ones.map((map) => map.reduce((sum, one) => sum + one, 0)),
    [3, 3, 5, 5],
  );
  assert.not.equal(ones[0], ones[1]);
});

test('regions: the tokens that a box touches, over tiles', () => {
  // 2 x 1 tiles of 2 x 2 tokens on an image of 8 x 4 pixels: a token shows 2 pixels.
  const mask = touchedTokens([[3, 0, 5, 1]], { width: 8, height: 4 }, [2, 1], 2);
  assert.equal([...mask], [0, 1, 0, 0, 1, 0, 0, 0]);
  assert.equal(
    [...touchedTokens([[2, 2, 4, 4]], { width: 8, height: 4 }, [2, 1], 2)],
    [0, 0, 0, 1, 0, 0, 0, 0],
  );
  assert.equal([...touchedTokens([], { width: 8, height: 4 }, [1, 1], 1)], [0]);
});

test('regions: a crop has the pixels from the first box to the last', () => {
  const rgba = Uint8Array.from({ length: 4 * 5 * 3 }, (_, i) => Math.floor(i / 4));
  const boxes: Edges[] = [
    [1.2, 0, 2, 1],
    [3, 1, 4, 1.5],
  ];
  const { rgba: crop, width, height } = cropBoxes({ rgba, width: 5, height: 3 }, boxes);
  assert.equal([width, height], [3, 2]);
  assert.equal(
    [...crop].filter((_, i) => i % 4 === 0),
    [1, 2, 3, 6, 7, 8],
  );
});

test.run();
