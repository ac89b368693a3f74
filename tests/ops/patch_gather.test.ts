import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { MemoryError } from '../../engine/index.ts';
import { patchGather, patchify } from '../../engine/ops/patch_gather.ts';
import { resize } from '../../engine/ops/resize.ts';
import { compare, random, TOLERANCE, tensor, throws, torchCases, withBindingLimit } from '../harness.ts';
import { planes, patchGather as twin } from '../reference/patch_gather.ts';

const ALL = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

function randomBytes(count: number, seed: number): Uint8Array {
  return Uint8Array.from(random(count, seed), (value) => Math.floor(((value + 1) / 2) * 255.99));
}

test('patch_gather: chosen patches match float64 for shrinking, growing, equal and indivisible sizes', async () => {
  const cases: readonly [number, number, number, number, number][] = [
    // H, W, scaled H, scaled W, patch
    [12, 8, 12, 8, 4],
    [20, 15, 8, 12, 4],
    [7, 11, 23, 17, 5],
    [30, 45, 6, 9, 3],
    [5, 5, 3, 3, 3],
    [1, 1, 4, 4, 2],
    [56, 56, 54, 54, 14],
  ];
  for (const [H, W, Hs, Ws, P] of cases) {
    const image = random(2 * 3 * H * W, H);
    const count = Math.floor(Hs / P) * Math.floor(Ws / P);
    // In no order, the last patch first, one of them twice.
    const cells = [0, 1].map((b) => [count - 1, b % count, 0, Math.floor(count / 2), 0]);
    using indices = tensor(Uint32Array.from(cells.flat()), [2, 5], { dtype: 'u32' });
    using rows = patchGather(tensor(image, [2, 3, H, W]), indices, { imagePx: [Hs, Ws], patchPx: P });
    assert.equal(rows.shape, [2, 5, 3 * P * P]);
    const want = twin(image, [H, W], [Hs, Ws], P, cells);
    compare(`${H}x${W} at ${Hs}x${Ws}, patch ${P}`, await rows.data(), want, TOLERANCE.f32);
  }
});

test('patch_gather: all patches equal F.unfold of F.interpolate', async () => {
  for (const [name, vectors] of await torchCases('patch_gather')) {
    const [, H, W, P] = /at (\d+)x(\d+) in patches of (\d+)/.exec(name)!.map(Number);
    const image = vectors.get('image')!;
    using rows = patchify(tensor(image.data, image.shape), P, { imagePx: [H, W] });
    assert.equal(rows.shape, vectors.get('rows')!.shape);
    compare(name, await rows.data(), vectors.get('rows')!.data, TOLERANCE.f32);
  }
});

test('patch_gather: all patches equal resize, then unfold', async () => {
  for (const [H, W, side] of [
    [112, 112, 28],
    [31, 47, 84],
    [90, 90, 36],
  ]) {
    using image = tensor(random(3 * H * W, side), [1, 3, H, W]);
    using resized = resize(image, [side, side], 'bicubic');
    using direct = patchify(image, 14, { imagePx: [side, side] });
    using twoSteps = patchify(resized, 14);
    compare(`${H}x${W} at ${side}`, await direct.data(), await twoSteps.data(), { abs: 1e-5, rel: 0 });
  }
});

test('patch_gather: at the size of the image its pixels are exact', async () => {
  const image = random(3 * 28 * 42, 3);
  using rows = patchify(tensor(image, [1, 3, 28, 42]), 14);
  const want = twin(image, [28, 42], [28, 42], 14, [ALL(6)]);
  compare('rows', await rows.data(), want, { abs: 0, rel: 0 });
});

test('patch_gather: a reduction by 5 reads exactly the pixels 5 o + 2', async () => {
  const image = random(3 * 140 * 70, 4);
  using rows = patchify(tensor(image, [1, 3, 140, 70]), 14, { imagePx: [28, 14] });
  const sampled = Float64Array.from({ length: 3 * 28 * 14 }, (_, i) => {
    const [c, v, u] = [Math.floor(i / 392), Math.floor(i / 14) % 28, i % 14];
    return image[(c * 140 + 5 * v + 2) * 70 + 5 * u + 2];
  });
  compare('rows', await rows.data(), twin(sampled, [28, 14], [28, 14], 14, [ALL(2)]), { abs: 0, rel: 0 });
});

test('patch_gather: u8 pixels equal the normalised f32 image, alpha is ignored', async () => {
  const [H, W, P] = [30, 22, 7];
  const rgba = randomBytes(2 * H * W * 4, 8);
  const cells = [
    [3, 0, 5],
    [1, 2, 4],
  ];
  using indices = tensor(Uint32Array.from(cells.flat()), [2, 3], { dtype: 'u32' });
  using image = tensor(rgba, [2, H, W, 4], { dtype: 'u8' });
  for (const [mean, std] of [
    [undefined, undefined],
    [
      [0.48145467, 0.45782751, 0.40821072],
      [0.26862955, 0.26130259, 0.2757771],
    ],
  ] as const) {
    const normalised = planes(rgba, 2, H * W, mean ?? [0.5, 0.5, 0.5], std ?? [0.5, 0.5, 0.5]);
    for (const imagePx of [
      [30, 22],
      [16, 21],
      [49, 61],
    ] as const) {
      using fromBytes = patchGather(image, indices, { imagePx, patchPx: P, mean, std });
      using fromFloats = patchGather(tensor(normalised, [2, 3, H, W]), indices, { imagePx, patchPx: P });
      const where = `${imagePx.join('x')}, mean ${mean ?? 'default'}`;
      compare(
        `${where}: twin`,
        await fromBytes.data(),
        twin(normalised, [H, W], imagePx, P, cells),
        TOLERANCE.f32,
      );
      compare(`${where}: f32 path`, await fromBytes.data(), await fromFloats.data(), { abs: 1e-5, rel: 0 });
    }
  }
});

test('patch_gather: an image beyond the binding limit is read plane by plane', async () => {
  const [H, W, P] = [31, 29, 7]; // planes that begin at no multiple of 256 bytes
  const rgba = randomBytes(2 * H * W * 4, 12);
  const floats = planes(rgba, 2, H * W, [0.5, 0.5, 0.5], [0.5, 0.5, 0.5]);
  const cells = [
    [5, 0],
    [3, 8],
  ];
  using indices = tensor(Uint32Array.from(cells.flat()), [2, 2], { dtype: 'u32' });
  for (const image of [tensor(floats, [2, 3, H, W]), tensor(rgba, [2, H, W, 4], { dtype: 'u8' })]) {
    using rows = withBindingLimit(4096, () => patchGather(image, indices, { imagePx: [25, 22], patchPx: P }));
    compare(image.dtype, await rows.data(), twin(floats, [H, W], [25, 22], P, cells), TOLERANCE.f32);
  }
  const tooMany = (): unknown => withBindingLimit(4096, () => patchify(tensor(floats, [2, 3, H, W]), P));
  assert.throws(tooMany, (error: unknown) => error instanceof MemoryError);
  throws(tooMany, /^patchify: the rows must fit into a binding, got 18816 bytes\. Gather fewer at a time\.$/);
});

test('patch_gather: no chosen patches give no rows', () => {
  using rows = patchGather(
    tensor(new Float32Array(48), [1, 3, 4, 4]),
    tensor(new Uint32Array(0), [1, 0], { dtype: 'u32' }),
    { imagePx: [4, 4], patchPx: 2 },
  );
  assert.equal(rows.shape, [1, 0, 12]);
});

test('patch_gather: an index beyond the grid reads the last patch', async () => {
  const image = random(3 * 16, 2);
  using indices = tensor(Uint32Array.of(4, 4294967295), [1, 2], { dtype: 'u32' });
  using rows = patchGather(tensor(image, [1, 3, 4, 4]), indices, { imagePx: [4, 4], patchPx: 2 });
  compare('rows', await rows.data(), twin(image, [4, 4], [4, 4], 2, [[3, 3]]), TOLERANCE.f32);
});

test('patch_gather: wrong shapes, dtypes and sizes are named', () => {
  const image = tensor(new Float32Array(48), [1, 3, 4, 4]);
  const at = { imagePx: [4, 4], patchPx: 2 } as const;
  throws(
    () => patchify(tensor(new Uint8Array(48), [1, 4, 4, 3], { dtype: 'u8' }), 2),
    /^patchify: a u8 image must be \[B, H, W, 4\], got \[1, 4, 4, 3\]\. Add an alpha byte\.$/,
  );
  throws(
    () => patchify(tensor(new Float32Array(32), [1, 2, 4, 4]), 2),
    /^patchify: an f32 image must be \[B, 3, H, W\], got \[1, 2, 4, 4\]\.$/,
  );
  throws(
    () => patchGather(image, tensor(new Float32Array(2), [1, 2]), at),
    /^patchGather: indices must be u32, got f32/,
  );
  throws(
    () => patchGather(image, tensor(new Uint32Array(2), [2, 1], { dtype: 'u32' }), at),
    /^patchGather: indices must be \[B, k\] with B = 1, got \[2, 1\]\.$/,
  );
  throws(
    () => patchify(image, 5),
    /^patchify: a patch must fit into the image, got patchPx 5 and imagePx \[4, 4\]\. Use a smaller patch or a larger size\.$/,
  );
  throws(
    () => patchGather(image, undefined, { ...at, mean: [0.5, 0.5, 0.5] }),
    /^patchGather: mean and std go with u8 images, got an f32 image\. Pass f32 already normalised\.$/,
  );
  throws(
    () => patchify(tensor(new Uint32Array(48), [1, 3, 4, 4], { dtype: 'u32' }), 2),
    /^patchify: image must be f32 or u8, got u32/,
  );
});

test.run();
