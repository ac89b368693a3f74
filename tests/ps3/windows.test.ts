// Windows and crops have the pixels and positions that they have in the whole image.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { noGrad, type Tensor } from '../../engine/index.ts';
import { PS3 } from '../../ps3/model/ps3.ts';
import { positionsAt, windowPositionsAt } from '../../ps3/model/vision/positions.ts';
import { windowConfig } from '../../ps3/model/vision/windows.ts';
import { presetConfig, trainConfig } from '../../ps3/train/presets.ts';
import { compare, engine, random, TOLERANCE } from '../harness.ts';

/** Grids 4, 8 and 16; the auxiliary encoder's is 16. Without the cache, patches of a look see each other alone. */
const set = ['model.scalesPx=[56,112,224]', 'method.lowResCache=false', 'model.tiedPositions=true'];
const model = PS3.create(engine, presetConfig(trainConfig({ preset: 'smoke', set }), 8), 3, {
  layerScale: 0.1,
  positionResidualStd: 0.2,
});
const { vision } = model;
const SIDE = 224;
const pixels = Uint8Array.from(random(SIDE * SIDE * 4, 1), (value) => 127 * (value + 1));

/** A square of the image, [1, side, side, 4]. */
function squareOf(x: number, y: number, side: number): Tensor {
  const rgba = new Uint8Array(side * side * 4);
  for (let row = 0; row < side; row++) {
    const start = 4 * ((y + row) * SIDE + x);
    rgba.set(pixels.subarray(start, start + 4 * side), 4 * row * side);
  }
  return engine.tensor(rgba, [1, side, side, 4]);
}

const placesOf = (places: number[]): Tensor<'u32'> =>
  engine.tensor(Uint32Array.from(places), [1, places.length]);

test('patches of a window have the positions of their places in the image', async () => {
  const origin = engine.tensor(Uint32Array.of(1, 2), [1, 2]); // row 1, column 2 of 4
  for (const [scale, whole, window] of [
    [1, 8, 4],
    [2, 16, 8],
  ]) {
    const ratio = whole / 4;
    const own = [0, window + 1, window * window - 1];
    const inImage = own.map((p) => (ratio + Math.floor(p / window)) * whole + 2 * ratio + (p % window));
    const got = windowPositionsAt(
      vision.weights,
      vision.config,
      scale,
      [window, window],
      placesOf(own),
      origin,
    );
    const want = positionsAt(vision.weights, vision.config, scale, [whole, whole], placesOf(inImage));
    assert.equal(await got.data(), await want.data(), `scale ${scale}`);
  }
  const table = (await model.parameters.get('vision_model.trunk.pos_embed').data()) as Float32Array;
  const low = windowPositionsAt(vision.weights, vision.config, 0, [2, 2], undefined, origin);
  const rows = [6, 7, 10, 11].flatMap((place) => [...table.subarray(place * 32, (place + 1) * 32)]);
  assert.equal([...(await low.data())], rows);
});

test('a look at a window, and a crop, give the tokens of the same patches of the image', async () => {
  const whole = squareOf(0, 0, SIDE);
  const none = { indices: undefined, map: engine.zeros([1, 1]) };
  // Four patches of the finest scale: rows 8 and 9, columns 10 and 11 of 16.
  const inImage = [8, 9].flatMap((row) => [row * 16 + 10, row * 16 + 11]);
  const tokensOf = (of: typeof vision, image: Tensor, places: number[], origin?: Tensor): Tensor<'f32'> =>
    noGrad(() => {
      const lowRes = of.lowRes(image, 1, origin);
      const choices = [none, { ...none, indices: placesOf(places) }];
      return of.encodePatches(image, lowRes, choices, of.grids(image))[0];
    });
  const want = await tokensOf(vision, whole, inImage).data();
  // A window of 2 x 2 low-res patches that begins at row 2, column 2: pixel 112, patch 8 of the finest scale.
  const window = vision.window(2, 16);
  const origin = engine.tensor(Uint32Array.of(2, 2), [1, 2]);
  const inWindow = [0, 1].flatMap((row) => [row * 8 + 2, row * 8 + 3]);
  const seen = tokensOf(window, squareOf(112, 112, 112), inWindow, origin);
  compare('window', await seen.data(), want, TOLERANCE.f32);
  const crop = noGrad(() => vision.encodeCrops(squareOf(140, 112, 28), 2, placesOf(inImage)));
  compare('crop', await crop.data(), want, TOLERANCE.f32);
});

test('windows are whole patches at every scale and smaller than the image', () => {
  const { scalesPx, gridSides, auxEncoder, budgets } = windowConfig(vision.config, 3, 20);
  assert.equal(scalesPx, [42, 84, 168]);
  assert.equal(gridSides, [3, 6, 12]);
  assert.equal([auxEncoder?.imagePx, auxEncoder?.gridSide], [168, 12]);
  assert.equal(budgets, [4, 16]);
  assert.throws(() => windowConfig(vision.config, 4, 20), /1 to 3 low-res patches wide/);
  assert.throws(() => windowConfig(vision.config, 2, 81), /must take 1 to 80 patches, got 81/);
});

test.run();
