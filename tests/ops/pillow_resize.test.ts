import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { pillowResize } from '../../engine/ops/pillow_resize.ts';
import {
  compare,
  engine,
  fixtureCases,
  random,
  TOLERANCE,
  tensor,
  throws,
  withBindingLimit,
} from '../harness.ts';
import { pillowResize as twin } from '../reference/pillow_resize.ts';

type Pattern = (i: number, y: number, x: number, c: number, H: number, W: number) => number;

/** The images of tests/fixtures/pillow/pillow_resize.py, byte by byte. */
const PATTERNS: Readonly<Record<string, Pattern>> = {
  noise: (i) => {
    const k = Math.imul(i, 2654435761) >>> 0;
    return Math.imul(k ^ (k >>> 15), 2246822519) >>> 24;
  },
  gradient: (_, y, x, c, H, W) => Math.floor(c % 2 === 0 ? (x * 255) / W : (y * 255) / H),
  edges: (_, y, x, c) => 255 * (((x >> 2) + (y >> 2) + c) & 1),
};

function patternBytes(pattern: string, H: number, W: number): Uint8Array {
  const byte = PATTERNS[pattern];
  return Uint8Array.from({ length: H * W * 4 }, (_, i) =>
    byte(i, Math.floor(i / 4 / W), Math.floor(i / 4) % W, i % 4, H, W),
  );
}

/** n reproducible bytes. */
const bytes = (n: number, seed: number): Uint8Array =>
  Uint8Array.from(random(n, seed), (u) => Math.min(255, (u + 1) * 128));

test('pillow_resize: every byte is that of Pillow: down, up, mixed, one axis kept, primes, one pixel, long strips', async () => {
  const cases = await fixtureCases('pillow/pillow_resize');
  assert.is(cases.size, 35);
  for (const [name, vectors] of cases) {
    const [pattern, from] = name.split(' ');
    const [H, W] = from.split('x').map(Number);
    const want = vectors.get('y')!;
    const [h, w] = want.shape;
    using image = tensor(patternBytes(pattern, H, W), [1, H, W, 4]);
    using y = pillowResize(image, [h, w]);
    assert.equal([y.shape, y.dtype], [[1, h, w, 4], 'u8']);
    compare(name, await y.data(), want.data, TOLERANCE.exact);
  }
});

test('pillow_resize: every byte is that of the twin for batches, and odd ratios', async () => {
  for (const [H, W, h, w] of [
    [1, 1, 1, 1],
    [7, 5, 4, 9],
    [64, 65, 63, 66],
    [100, 3, 9, 64],
    [31, 127, 32, 10],
  ]) {
    const image = bytes(2 * H * W * 4, H + w);
    using y = pillowResize(tensor(image, [2, H, W, 4]), [h, w]);
    compare(`${H}x${W} to ${h}x${w}`, await y.data(), twin(image, 2, [H, W], [h, w]), TOLERANCE.exact);
  }
});

test('pillow_resize: the tap counts of a 4K row: 3840 and 12000 pixels to 3780 and 1512, and 3780 to itself', async () => {
  for (const [n, m] of [
    [3840, 3780],
    [12000, 3780],
    [3840, 1512],
    [640, 3780],
    [3780, 3780],
  ]) {
    const row = bytes(n * 4, m);
    using across = pillowResize(tensor(row, [1, 1, n, 4]), [1, m]);
    const want = twin(row, 1, [1, n], [1, m]);
    compare(`${n} to ${m} columns`, await across.data(), want, TOLERANCE.exact);
    using down = pillowResize(tensor(row, [1, n, 1, 4]), [m, 1]);
    compare(`${n} to ${m} rows`, await down.data(), want, TOLERANCE.exact);
  }
});

test('pillow_resize: one colour stays that colour, and alpha 255 stays 255', async () => {
  const image = Uint8Array.from({ length: 23 * 41 * 4 }, (_, i) => [0, 255, 77, 255][i % 4]);
  for (const outPx of [
    [7, 100],
    [64, 5],
  ] as const) {
    using y = pillowResize(tensor(image, [1, 23, 41, 4]), outPx);
    const want = Array.from({ length: y.size }, (_, i) => [0, 255, 77, 255][i % 4]);
    compare(outPx.join('x'), await y.data(), want, TOLERANCE.exact);
  }
});

test('pillow_resize: images beyond the binding limit are resized in parts', async () => {
  const image = bytes(2 * 61 * 40 * 4, 3);
  for (const [h, w] of [
    [20, 31],
    [67, 90],
    [61, 25],
    [19, 40],
    [100, 40],
    [61, 40],
  ] as const) {
    using whole = tensor(image, [2, 61, 40, 4]);
    using y = withBindingLimit(4096, () => pillowResize(whole, [h, w]));
    compare(`to ${h}x${w}`, await y.data(), twin(image, 2, [61, 40], [h, w]), TOLERANCE.exact);
  }
  throws(
    () => withBindingLimit(1024, () => pillowResize(tensor(image, [2, 61, 40, 4]), [61, 200])),
    /^pillowResize: a row and the rows it is made of must fit into a binding of 768 bytes, got 800 and 160 bytes\./,
  );
});

test('pillow_resize: an empty batch gives an empty result, and the result lives where the image lives', () => {
  using scope = engine.scope();
  for (const outPx of [
    [2, 2],
    [4, 2],
    [2, 3],
    [4, 3],
  ] as const) {
    assert.equal(pillowResize(tensor(new Uint8Array(0), [0, 4, 3, 4], { scope }), outPx).shape, [
      0,
      ...outPx,
      4,
    ]);
    assert.is(pillowResize(tensor(new Uint8Array(48), [1, 4, 3, 4], { scope }), outPx).scope, scope);
  }
});

test('pillow_resize: wrong shapes, sizes and dtypes are named', () => {
  const image = tensor(new Uint8Array(48), [1, 3, 4, 4]);
  throws(
    () => pillowResize(tensor(new Uint8Array(36), [1, 3, 4, 3]), [2, 2]),
    /^pillowResize: image must be \[B, H, W, 4\], got \[1, 3, 4, 3\]\. Add an alpha byte\.$/,
  );
  throws(
    () => pillowResize(tensor(new Uint8Array(0), [1, 0, 4, 4]), [2, 2]),
    /^pillowResize: the image must have pixels, got \[1, 0, 4, 4\]\.$/,
  );
  throws(
    () => pillowResize(image, [2, 0]),
    /^pillowResize: outPx must be positive integers, got \[2, 0\]\.$/,
  );
  throws(
    () => pillowResize(image, [2.5, 2]),
    /^pillowResize: outPx must be positive integers, got \[2\.5, 2\]\.$/,
  );
  throws(
    () => pillowResize(tensor(new Float32Array(48), [1, 3, 4, 4]), [2, 2]),
    /^pillowResize: image must be u8, got f32/,
  );
});

test.run();
