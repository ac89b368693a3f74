import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { backward } from '../../engine/ops/backward.ts';
import { type ResizeMode, resize, resizeRows } from '../../engine/ops/resize.ts';
import {
  checkGradients,
  compare,
  random,
  TOLERANCE,
  tensor,
  throws,
  torchCases,
  withBindingLimit,
} from '../harness.ts';
import { resizeWeights, resize as twin } from '../reference/resize.ts';

const MODES: readonly ResizeMode[] = ['nearest', 'area', 'bicubic', 'bicubic-antialias'];
const SIZES: readonly (readonly [number, number, number, number])[] = [
  [1, 1, 1, 1],
  [1, 1, 3, 2],
  [7, 5, 4, 9],
  [13, 31, 5, 3],
  [3, 4, 17, 10],
  [6, 8, 6, 8],
  [9, 16, 5, 4],
  [2, 24, 7, 2],
  [64, 65, 63, 66],
];

for (const mode of MODES) {
  test(`resize: ${mode} matches float64 for single pixels, primes, growing, shrinking and unchanged axes`, async () => {
    for (const [H, W, outH, outW] of SIZES) {
      const x = random(6 * H * W, H + W);
      using y = resize(tensor(x, [2, 3, H, W]), [outH, outW], mode);
      assert.equal(y.shape, [2, 3, outH, outW]);
      compare(
        `${H}x${W} to ${outH}x${outW}`,
        await y.data(),
        twin(x, 6, [H, W], [outH, outW], 1, mode),
        TOLERANCE.f32,
      );
    }
  });

  test(`resize: ${mode} rows match float64 with and without a channel count divisible by 4, batched or not`, async () => {
    for (const C of [1, 3, 8]) {
      const x = random(2 * 35 * C, C);
      using batched = resizeRows(tensor(x, [2, 35, C]), [5, 7], [8, 3], mode);
      assert.equal(batched.shape, [2, 24, C]);
      compare(
        `batch of 2, C = ${C}`,
        await batched.data(),
        twin(x, 2, [5, 7], [8, 3], C, mode),
        TOLERANCE.f32,
      );
      const table = x.slice(0, 35 * C);
      using single = resizeRows(tensor(table, [35, C]), [5, 7], [8, 3], mode);
      assert.equal(single.shape, [24, C]);
      compare(`table, C = ${C}`, await single.data(), twin(table, 1, [5, 7], [8, 3], C, mode), TOLERANCE.f32);
    }
  });

  test(`resize: ${mode} dx matches central differences`, async () => {
    for (const [H, W, outH, outW] of SIZES.slice(0, -1)) {
      await checkGradients({
        inputs: { x: { data: random(2 * H * W, 5), shape: [1, 2, H, W] } },
        op: ({ x }) => resize(x, [outH, outW], mode),
        twin: ({ x }) => twin(x, 2, [H, W], [outH, outW], 1, mode),
      });
    }
  });

  test(`resize: ${mode} dx of rows matches central differences`, async () => {
    for (const C of [3, 4]) {
      await checkGradients({
        inputs: { x: { data: random(20 * C, 7), shape: [20, C] } },
        op: ({ x }) => resizeRows(x, [4, 5], [9, 7], mode),
        twin: ({ x }) => twin(x, 1, [4, 5], [9, 7], C, mode),
      });
    }
  });
}

test('resize: every mode and its gradient equal PyTorch', async () => {
  for (const [name, vectors] of await torchCases('resize')) {
    const mode = MODES.find((candidate) => name.startsWith(`${candidate} `))!;
    const x = vectors.get('x')!;
    const dy = vectors.get('dy')!;
    const [, , outH, outW] = vectors.get('y')!.shape;
    using input = tensor(x.data, x.shape, { requiresGrad: true });
    using y = resize(input, [outH, outW], mode);
    compare(`${name}: y`, await y.data(), vectors.get('y')!.data, TOLERANCE.f32);
    using upstream = tensor(dy.data, dy.shape);
    backward(y, { seed: upstream });
    compare(`${name}: dx`, await input.grad!.data(), vectors.get('dx')!.data, TOLERANCE.f32);
  }
});

test('resize: bicubic taps are the exact binary fractions of PS3 reductions of a 4K image', async () => {
  // Of one-hot inputs the result is the weight itself. 3780 -> 378, 756 and 1512 in the middle of the image.
  const expected: readonly [number, number, number, readonly number[]][] = [
    [378, 100, 1003, [-0.09375, 0.59375, 0.59375, -0.09375]],
    [756, 100, 501, [0, 1, 0, 0]],
    [1512, 100, 249, [-0.03515625, 0.26171875, 0.87890625, -0.10546875]],
    [1512, 101, 252, [-0.10546875, 0.87890625, 0.26171875, -0.03515625]],
  ];
  for (const [outPx, o, firstTap, weights] of expected) {
    const oneHot = new Float32Array(4 * 3780);
    for (let t = 0; t < 4; t++) oneHot[t * 3780 + firstTap + t] = 1;
    using y = resize(tensor(oneHot, [1, 4, 1, 3780]), [1, outPx], 'bicubic');
    const values = await y.data();
    const got = weights.map((_, t) => values[t * outPx + o]);
    assert.equal(got, [...weights], `3780 -> ${outPx}, output ${o}`);
  }
});

test('resize: bicubic keeps every position of a 4K row, where float32 positions are off by 1e-4', async () => {
  for (const outPx of [378, 756, 1512, 1511]) {
    const x = random(3780, outPx);
    using y = resize(tensor(x, [1, 1, 1, 3780]), [1, outPx], 'bicubic');
    compare(
      `3780 -> ${outPx}`,
      await y.data(),
      twin(x, 1, [1, 3780], [1, outPx], 1, 'bicubic'),
      TOLERANCE.f32,
    );
  }
});

test('resize: nearest is integer division for the grids of PS3', async () => {
  for (const side of [54, 108, 270]) {
    const x = random(27 * 27, 1);
    using y = resize(tensor(x, [1, 1, 27, 27]), [side, side], 'nearest');
    const factor = side / 27;
    const want = Float64Array.from({ length: side * side }, (_, i) => {
      return x[Math.floor(Math.floor(i / side) / factor) * 27 + Math.floor((i % side) / factor)];
    });
    compare(`27 -> ${side}`, await y.data(), want, { abs: 0, rel: 0 });
  }
});

test('resize: weights of every output sum to 1 in every mode', async () => {
  const ones = new Float64Array(2 * 23 * 17).fill(1);
  for (const mode of MODES) {
    using y = resize(tensor(ones, [1, 2, 23, 17]), [9, 40], mode);
    compare(mode, await y.data(), new Float64Array(2 * 9 * 40).fill(1), TOLERANCE.f32);
    for (const row of resizeWeights(mode, 23, 9))
      compare(`${mode}: twin`, [row.reduce((a, b) => a + b)], [1], TOLERANCE.f32);
  }
});

test('resize: images beyond the binding limit are resized in parts, and so are their gradients', async () => {
  // 29 x 31 x 4 bytes a plane, three planes: one plane of input or half a plane of output per part.
  for (const mode of ['bicubic', 'bicubic-antialias'] as const)
    for (const [m, limit] of [
      [[13, 17], 4096],
      [[41, 37], 4096],
    ] as const) {
      const x = random(3 * 29 * 31, 9);
      const w = random(3 * m[0] * m[1], 10);
      using input = tensor(x, [1, 3, 29, 31], { requiresGrad: true });
      using y = withBindingLimit(limit, () => resize(input, m, mode));
      compare(`${mode} to ${m.join('x')}`, await y.data(), twin(x, 3, [29, 31], m, 1, mode), TOLERANCE.f32);
      using upstream = tensor(w, [1, 3, ...m]);
      withBindingLimit(2 * 4096, () => backward(y, { seed: upstream }));
      using whole = tensor(x, [1, 3, 29, 31], { requiresGrad: true });
      using reference = resize(whole, m, mode);
      backward(reference, { seed: upstream });
      compare(`${mode}: dx`, await input.grad!.data(), await whole.grad!.data(), TOLERANCE.exact);
    }
  const table = random(6 * 8, 11);
  using rows = withBindingLimit(1024, () =>
    resizeRows(tensor(table, [6, 8]), [2, 3], [19, 17], 'bicubic-antialias'),
  );
  compare(
    'table',
    await rows.data(),
    twin(table, 1, [2, 3], [19, 17], 8, 'bicubic-antialias'),
    TOLERANCE.f32,
  );
});

test('resize: rows whose taps are quads are resized in parts beyond the binding limit', async () => {
  const x = random(3 * 28 * 32, 12);
  const image = tensor(x, [1, 3, 28, 32]);
  using y = withBindingLimit(4096, () => resize(image, [141, 8], 'bicubic'));
  compare('28x32 to 141x8', await y.data(), twin(x, 3, [28, 32], [141, 8], 1, 'bicubic'), TOLERANCE.f32);
});

test('resize: an empty batch gives an empty result', async () => {
  using y = resize(tensor(new Float32Array(0), [0, 3, 4, 4]), [2, 2], 'bicubic');
  assert.equal(y.shape, [0, 3, 2, 2]);
});

test('resize: wrong ranks, row counts, sizes and dtypes are named', () => {
  const flat = tensor(new Float32Array(12), [3, 4]);
  throws(() => resize(flat, [2, 2], 'area'), /resize: x must be \[B, C, H, W\], got x \[3, 4\]\.$/);
  throws(
    () => resizeRows(flat, [2, 2], [4, 4], 'area'),
    /resizeRows: x must have one row per grid cell, got x \[3, 4\] and grid \[2, 2\]\.$/,
  );
  const image = tensor(new Float32Array(4), [1, 1, 2, 2]);
  throws(
    () => resize(image, [0, 2], 'nearest'),
    /resize: sizes must be positive integers, got 2 -> 0 along rows\.$/,
  );
  throws(
    () => resize(image, [2, 2 ** 28], 'nearest'),
    /resize: input times output size must be below 2\^29, got 2 -> 268435456 along columns\.$/,
  );
  throws(
    () =>
      withBindingLimit(512, () => resize(tensor(new Float32Array(400), [1, 1, 20, 20]), [2, 2], 'bicubic')),
    /resize: an image plane must fit into a binding, got 1600 bytes\.$/,
  );
  const bytes = tensor(new Uint8Array(4), [1, 1, 2, 2], { dtype: 'u8' });
  throws(() => resize(bytes, [1, 1], 'area'), /resize: x must be f32, got u8/);
});

test.run();
