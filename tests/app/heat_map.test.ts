import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { BOX_COLOURS, colourOf } from '../../ps3/app/colours.ts';
import { encodePng, extent, heatMap, outlined } from '../../ps3/app/heat_map.ts';
import type { DecodedImage } from '../../ps3/model/image.ts';

function grey(width: number, height: number): DecodedImage {
  return { rgba: new Uint8Array(4 * width * height).fill(128), width, height };
}

function pixel({ rgba, width }: DecodedImage, x: number, y: number): number[] {
  return [...rgba.subarray(4 * (y * width + x), 4 * (y * width + x) + 3)];
}

/** Relative luminance of sRGB, IEC 61966-2-1. */
function luminance(colour: readonly number[]): number {
  const [r, g, b] = colour.map((c) => (c <= 10.3 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

test('heat_map: the colour scale grows lighter with every step', () => {
  const steps = Array.from({ length: 101 }, (_, i) => luminance(colourOf(i / 100)));
  for (let i = 1; i < steps.length; i++)
    assert.ok(steps[i] > steps[i - 1], `step ${i}: ${steps[i - 1]} to ${steps[i]}`);
  assert.equal(colourOf(-1), colourOf(0));
  assert.equal(colourOf(2), colourOf(1));
});

test('heat_map: the largest value is brightest, in its own cell and nowhere else, when cells are no whole pixels', () => {
  const [Y, X] = [3, 7];
  const map = new Float32Array(Y * X);
  map[1 * X + 5] = 0.25;
  const drawn = heatMap(grey(50, 31), map, [Y, X]);
  for (let y = 0; y < 31; y++)
    for (let x = 0; x < 50; x++) {
      const inCell = Math.floor((y * Y) / 31) === 1 && Math.floor((x * X) / 50) === 5;
      const want = colourOf(inCell ? 1 : 0).map((c) => Math.floor(0.4 * 128 + 0.6 * c + 0.5));
      pixel(drawn, x, y).forEach((got, c) => {
        assert.ok(
          Math.abs(got - want[c]) <= 1,
          `pixel ${x},${y}[${c}]: got ${got}, want ${want[c]}, tolerance 1`,
        );
      });
    }
});

test('heat_map: a constant map is dark everywhere, and a given range scales the colours', () => {
  const flat = heatMap(grey(8, 8), new Float32Array(4).fill(0.5), [2, 2], { opacity: 1 });
  assert.equal(pixel(flat, 3, 3), colourOf(0).map(Math.round));
  const ranged = heatMap(grey(8, 8), new Float32Array(4).fill(0.5), [2, 2], { opacity: 1, range: [0, 1] });
  assert.equal(pixel(ranged, 3, 3), colourOf(0.5).map(Math.round));
  assert.equal(extent([3, -1, 2]), [-1, 3]);
});

test('heat_map: a selected patch is outlined within its cell, and each scale has its own line', () => {
  const map = [0, 0, 0, 1];
  const corner = (selected: { map: number[]; grid: [number, number] }[]): DecodedImage =>
    outlined(grey(40, 40), { selected });
  const coarse = corner([{ map, grid: [2, 2] }]);
  const fine = corner([
    { map: [0, 0, 0, 0], grid: [2, 2] },
    { map: [0, 0, 0, 0], grid: [2, 2] },
    { map, grid: [2, 2] },
  ]);
  const changed = (image: DecodedImage, x: number, y: number): boolean =>
    pixel(image, x, y).some((c) => c !== 128);
  for (const image of [coarse, fine]) {
    assert.ok(changed(image, 20, 20));
    assert.ok(changed(image, 39, 39));
    assert.not(changed(image, 19, 20));
    assert.not(changed(image, 30, 30));
  }
  assert.ok(changed(coarse, 30, 22), 'the coarse line is 3 px wide');
  assert.not(changed(fine, 30, 21), 'the fine line is 1 px wide');
  assert.is.not(String(pixel(coarse, 20, 20)), String(pixel(fine, 20, 20)));
});

test('heat_map: small patches are outlined together, so that their image stays visible', () => {
  const drawn = outlined(grey(40, 40), { selected: [{ map: new Uint8Array(400).fill(1), grid: [20, 20] }] });
  assert.is.not(pixel(drawn, 0, 20)[0], 128);
  assert.equal(pixel(drawn, 20, 20), [128, 128, 128]);
});

test('heat_map: a box is framed around its pixels and clipped at the edge', () => {
  const image = grey(60, 60);
  const drawn = outlined(image, {
    boxes: [
      [20, 20, 40, 40],
      [50, 50, 80, 80],
    ],
  });
  assert.equal(pixel(drawn, 20, 30), [128, 128, 128]);
  assert.equal(pixel(drawn, 39, 30), [128, 128, 128]);
  assert.equal(pixel(drawn, 19, 30), [0, 0, 0], 'a dark rim sets the line off');
  assert.equal(pixel(drawn, 18, 30), BOX_COLOURS[0]);
  assert.equal(pixel(drawn, 41, 30), BOX_COLOURS[0]);
  assert.equal(pixel(drawn, 48, 55), BOX_COLOURS[1]);
  assert.equal(pixel(image, 19, 30), [128, 128, 128], 'the image given stays as it was');
});

test('heat_map: a map or an image that does not fit is refused with its numbers', () => {
  assert.throws(() => heatMap(grey(8, 8), new Float32Array(5), [2, 2]), /grid 2x2 must have 4 values, got 5/);
  assert.throws(
    () => heatMap({ ...grey(8, 8), width: 9 }, new Float32Array(4), [2, 2]),
    /9x8 must have 288 bytes, got 256/,
  );
  assert.throws(
    () => outlined(grey(8, 8), { selected: [{ map: [1], grid: [2, 2] }] }),
    /must have 4 values, got 1/,
  );
});

test('heat_map: a PNG gives the pixels back', async () => {
  const drawn = heatMap(grey(13, 5), Float32Array.from([0, 1, 2, 3]), [2, 2]);
  const { data, info } = await sharp(await encodePng(drawn))
    .ensureAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  assert.equal([info.width, info.height], [13, 5]);
  assert.equal([...data], [...drawn.rgba]);
});

test.run();
