import source from '../../shaders/patch_gather.wgsl' with { type: 'text' };
import { expect, expectDType, expectKeys, expectTensor, MemoryError } from '../gpu/errors.ts';
import { kernel } from '../gpu/kernel.ts';
import type { Target } from '../gpu/target.ts';
import { output, run } from '../tensor/dispatch.ts';
import { isBindable, part } from '../tensor/part.ts';
import type { Tensor } from '../tensor/tensor.ts';

const gather = kernel(source, 'patch_gather');

/** Positions are computed as u32 products of both sizes of an axis. */
const MAX_SIZE_PRODUCT = 2 ** 29;

/** One number per colour channel. */
type Rgb = readonly [number, number, number];

/** Pixels of an invocation: on a CPU the whole row of a patch. Measured on lavapipe. */
export function planPatchGather({ kind }: Target, patchPx: number): number {
  return kind === 'cpu' ? patchPx : 1;
}

/** Which grid of patches to take pixels from. */
export interface PatchGatherOptions {
  /** Rows and columns of the virtual image that is cut into patches. */
  readonly imagePx: readonly [number, number];
  /** Side of a patch. What remains at the right and bottom when it does not divide imagePx is not used. */
  readonly patchPx: number;
  /** u8 images only: rows hold (value / 255 - mean) / std. Default 0.5 and 0.5, that is [-1, 1]. */
  readonly mean?: Rgb;
  /** Divisor per channel of u8 images after the mean, in [0, 1]; default 0.5. */
  readonly std?: Rgb;
}

/**
 * Rows of pixels of the chosen patches of an image at any size, without resizing the image.
 *
 * Samples with PyTorch's plain bicubic (a = -0.75, edges replicated, no antialiasing); at the image's own size the
 * pixels are exact. Has no gradient: images are inputs.
 *
 * @param image    [B, 3, H, W] f32, already normalised, or [B, H, W, 4] u8 (RGBA; alpha is ignored)
 * @param indices  [B, k] u32 raster indices into the floor(H / P) x floor(W / P) grid of imagePx, any order, repeats
 *                 allowed; undefined takes every patch in raster order. One beyond the grid reads the last patch.
 * @returns        [B, k, 3 * P * P] f32 in the order channel, row, column
 * @throws ShapeError when image or indices have other shapes, a patch is larger than imagePx, or f32 comes with a mean
 * @throws DTypeError when image is neither f32 nor u8, or indices are not u32
 * Source: Shi et al. 2025, arXiv:2503.19903, high-resolution patches.
 */
export function patchGather(
  image: Tensor,
  indices: Tensor | undefined,
  options: PatchGatherOptions,
): Tensor<'f32'> {
  return gatherPatches('patchGather', image, indices, options);
}

function gatherPatches(
  op: string,
  image: Tensor,
  indices: Tensor | undefined,
  options: PatchGatherOptions,
): Tensor<'f32'> {
  expectKeys(op, options, { imagePx: true, patchPx: true, mean: true, std: true });
  const { imagePx, patchPx: P } = options;
  expectDType(op, 'image', image, 'f32', 'u8');
  const isRgba = image.dtype === 'u8';
  const { B, H, W } = imageSizes(op, image, isRgba);
  const [Y, X] = imagePx.map((px) => Math.floor(px / P));
  const gotSizes = `patchPx ${P} and imagePx [${imagePx.join(', ')}]`;
  expect(Number.isInteger(P) && P > 0, op, 'patchPx must be a positive integer', gotSizes);
  expect(imagePx.every(Number.isInteger), op, 'imagePx must be integers', gotSizes);
  expect(
    Y > 0 && X > 0,
    op,
    'a patch must fit into the image',
    gotSizes,
    'Use a smaller patch or a larger size.',
  );
  expect(
    Math.max(H * imagePx[0], W * imagePx[1]) < MAX_SIZE_PRODUCT,
    op,
    'source times virtual size of an axis must be below 2^29',
    `image [${image.shape.join(', ')}], ${gotSizes}`,
  );
  const isPlain = options.mean === undefined && options.std === undefined;
  expect(
    isRgba || isPlain,
    op,
    'mean and std go with u8 images',
    'an f32 image',
    'Pass f32 already normalised.',
  );
  if (indices) {
    expectDType(op, 'indices', indices, 'u32');
    const fits = indices.shape.length === 2 && indices.shape[0] === B;
    expect(fits, op, `indices must be [B, k] with B = ${B}`, `[${indices.shape.join(', ')}]`);
  }
  const k = indices ? indices.shape[1] : Y * X;
  const rows = output([image, indices], [B, k, 3 * P * P]);
  if (!isBindable(rows))
    throw new MemoryError(
      `${op}: the rows must fit into a binding, got ${rows.sizeBytes} bytes. Gather fewer at a time.`,
    );
  const isSplit = !isBindable(image);
  const together = isSplit ? 1 : B;
  const PIXELS = planPatchGather(image.gpu.target, P);
  for (let b = 0; b < B; b += together) {
    const planes = isSplit ? planesOf(image, b, isRgba, H * W) : { image: image.alias() };
    run(gather, {
      bind: { ...planes, indices, rows },
      params: {
        image: [H, W],
        scale: [...imagePx],
        P,
        X,
        cells: Y * X,
        k,
        b,
        count: together,
        ...normalisation(isRgba, options),
      },
      define: {
        Scalar: isRgba ? 'u32' : 'f32',
        RGBA: isRgba,
        SPLIT: isSplit,
        OWN_SIZE: H === imagePx[0] && W === imagePx[1],
        HAS_INDICES: indices !== undefined,
        PIXELS,
      },
      groups: Math.ceil((together * k * P * P) / PIXELS / gather.workgroupSize),
      flops: (40 * rows.size * together) / B,
    });
    for (const plane of Object.values(planes)) plane.dispose();
  }
  return rows;
}

/**
 * Every patch of an image in raster order, ready for a linear layer: a convolution whose stride is its kernel side.
 *
 * @param image    as for `patchGather`
 * @param patchPx  P, kernel side and stride
 * @param options  imagePx: size to which the image is resized on the way, its own by default; mean and std of u8 images
 * @returns        [B, Y * X, 3 * P * P]
 * @throws as patchGather
 */
export function patchify(
  image: Tensor,
  patchPx: number,
  options: Partial<Omit<PatchGatherOptions, 'patchPx'>> = {},
): Tensor<'f32'> {
  expectTensor('patchify', 'image', image);
  expectKeys('patchify', options, { imagePx: true, mean: true, std: true });
  const [rowAxis, columnAxis] = image.dtype === 'u8' ? [1, 2] : [2, 3];
  return gatherPatches('patchify', image, undefined, {
    imagePx: [image.shape[rowAxis], image.shape[columnAxis]],
    ...options,
    patchPx,
  });
}

/**
 * The planes of one image as separate bindings: a 4K float image exceeds the 128 MiB that every device binds.
 */
function planesOf(image: Tensor, b: number, isRgba: boolean, pixels: number): Record<string, Tensor> {
  const plane = (p: number): Tensor => part(image, p * pixels, (p + 1) * pixels).view;
  return isRgba
    ? { image: plane(b) }
    : { image: plane(3 * b), green: plane(3 * b + 1), blue: plane(3 * b + 2) };
}

function imageSizes(op: string, image: Tensor, isRgba: boolean): { B: number; H: number; W: number } {
  const { shape } = image;
  const got = `[${shape.join(', ')}]`;
  if (isRgba) {
    expect(
      shape.length === 4 && shape[3] === 4,
      op,
      'a u8 image must be [B, H, W, 4]',
      got,
      'Add an alpha byte.',
    );
  } else {
    expect(shape.length === 4 && shape[1] === 3, op, 'an f32 image must be [B, 3, H, W]', got);
  }
  const [H, W] = isRgba ? [shape[1], shape[2]] : [shape[2], shape[3]];
  expect(H > 0 && W > 0, op, 'the image must have pixels', got);
  return { B: shape[0], H, W };
}

/** value -> value * gain + offset; the identity for f32 images. */
function normalisation(
  isRgba: boolean,
  { mean, std }: PatchGatherOptions,
): { gain: number[]; offset: number[] } {
  if (!isRgba) return { gain: [1, 1, 1], offset: [0, 0, 0] };
  const center = mean ?? [0.5, 0.5, 0.5];
  const spread = std ?? [0.5, 0.5, 0.5];
  return { gain: spread.map((s) => 1 / (255 * s)), offset: center.map((m, c) => -m / spread[c]) };
}
