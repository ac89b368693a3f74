import { readFileSync } from 'node:fs';
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Box, cropBoxes, type Rect } from '../../ps3/data/boxes.ts';
import { decodeCrop, randomResizedCrop } from '../../ps3/data/decode.ts';
import { fixtureUrl, torchCases } from '../harness.ts';

interface Fixture {
  draws: {
    width: number;
    height: number;
    scale: [number, number];
    ratio: [number, number];
    /** Multiples of 2^-24, in the order of their use. */
    uniforms: number[];
    crop: Rect;
  }[];
  boxes: { side: number; crop: Rect; boxes: Box[]; want: Box[] }[];
}

const torchvision = JSON.parse(readFileSync(fixtureUrl('torch/random_resized_crop.json'), 'utf8')) as Fixture;

test("randomResizedCrop: torchvision's rectangle from torchvision's random numbers, in float32 as there", () => {
  let fallbacks = 0;
  for (const { width, height, scale, ratio, uniforms, crop } of torchvision.draws) {
    const left = [...uniforms];
    const uniform = (): number => left.shift()! / 2 ** 24;
    const random = { uniform, integer: (n: number) => Math.floor(uniform() * n) };
    const isDefault = scale[0] === 0.9 && ratio[0] === 0.75; // pre-training's
    const got = randomResizedCrop(width, height, random, isDefault ? {} : { scale, ratio });
    assert.equal(got, crop, `${width}x${height}, ${scale}, ${ratio}`);
    assert.is(left.length, 0, 'all numbers are used');
    if (uniforms.length === 20) fallbacks++;
  }
  assert.ok(fallbacks >= 10, 'central crops are among the cases');
});

test('cropBoxes: the boxes of torchvision, of images that are not square, some cropped away', () => {
  for (const { side, crop, boxes, want } of torchvision.boxes) {
    cropBoxes(boxes, crop, side).forEach((box, i) => {
      box.forEach((edge, k) => {
        assert.ok(Math.abs(edge - want[i][k]) < 1e-9 * side, `${boxes[i]}: ${box}, want ${want[i]}`);
      });
    });
  }
});

type Pattern = (x: number, y: number, c: number, width: number) => number;

/** The images of tests/fixtures/torch/random_resized_crop.py. */
const PATTERNS: Readonly<Record<string, Pattern>> = {
  photo: (x, y, c) => {
    const [across, down] = [((x + 7 * c) % 64) - 32, ((y + 5 * c) % 72) - 36];
    const edge = 24 * ((Math.floor(x / 32) + Math.floor(y / 24)) & 1);
    return 20 + ((across * across) >> 3) + ((down * down) >> 4) + edge;
  },
  noise: (x, y, c, width) => {
    const k = Math.imul((y * width + x) * 3 + c, 2654435761) >>> 0;
    return Math.imul(k ^ (k >>> 15), 2246822519) >>> 24;
  },
  edges: (x, y, c) => 255 * (((x >> 2) + (y >> 2) + c) & 1),
};

/** An image as PNG, so that decoding is exact. */
function encoded(pattern: string, width: number, height: number): Promise<Buffer> {
  const rgb = Uint8Array.from({ length: 3 * width * height }, (_, i) =>
    PATTERNS[pattern](Math.floor(i / 3) % width, Math.floor(i / 3 / width), i % 3, width),
  );
  return sharp(rgb, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}

/** Largest and mean difference that decodeCrop's docstring states, of 255. */
const BOUNDS = {
  photo: { near: [2, 0.35], far: [7, 1.1] },
  pattern: { near: [18, 3.6], far: [18, 3.6] },
};

test('decodeCrop: the pixels of torchvision within the bounds that its docstring states', async () => {
  for (const [name, vectors] of await torchCases('random_resized_crop')) {
    const [, pattern, ...numbers] = /^(\w+) (\d+)x(\d+) (\d+),(\d+),(\d+),(\d+) to (\d+)$/.exec(name)!;
    const [imageWidth, imageHeight, x, y, width, height, side] = numbers.map(Number);
    const image = await encoded(pattern, imageWidth, imageHeight);
    const rgba = await decodeCrop(image, { x, y, width, height }, side);
    assert.is(rgba.length, 4 * side * side);
    const rgb = rgba.filter((_, i) => i % 4 !== 3);
    assert.ok(
      rgba.every((byte, i) => i % 4 !== 3 || byte === 255),
      'opaque',
    );
    const kind = pattern === 'photo' ? BOUNDS.photo : BOUNDS.pattern;
    const [largest, mean] = Math.max(width, height) > 4 * side ? kind.far : kind.near;
    for (const [oracle, { data }] of vectors) {
      const differences = Array.from(rgb, (byte, i) => Math.abs(byte - data[i]));
      const got = [Math.max(...differences), differences.reduce((sum, d) => sum + d) / differences.length];
      assert.ok(got[0] <= largest && got[1] <= mean, `${name}, ${oracle}: ${got}, bound ${[largest, mean]}`);
    }
  }
});

test('decodeCrop: an image of the wanted size keeps its pixels, a broken one is named', async () => {
  const image = await encoded('noise', 20, 20);
  const rgba = await decodeCrop(image, undefined, 20);
  rgba.forEach((byte, i) => {
    const [x, y, c] = [Math.floor(i / 4) % 20, Math.floor(i / 80), i % 4];
    assert.is(byte, c === 3 ? 255 : PATTERNS.noise(x, y, c, 20));
  });
  try {
    await decodeCrop(image.subarray(0, image.length >> 1), undefined, 20, 'shard 3: a.png');
    assert.unreachable('nothing was thrown');
  } catch (error) {
    assert.match(
      (error as Error).message,
      /shard 3: a\.png must decode as an image, got: .*Replace or remove/,
    );
  }
});

test.run();
