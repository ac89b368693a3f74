import source from '../../shaders/pillow_resize.wgsl' with { type: 'text' };
import { expect, expectDType } from '../gpu/errors.ts';
import { kernel } from '../gpu/kernel.ts';
import { output, run } from '../tensor/dispatch.ts';
import { part, partWords } from '../tensor/part.ts';
import type { Tensor } from '../tensor/tensor.ts';

const alongAxis = kernel(source, 'pillow_resize');

/** One of weight 1, as Pillow scales them: what is left of 32 bits beside 8 of the pixel and 2 of overshoot. */
const UNIT = 2 ** 22;

/**
 * Resizes 8-bit images as Pillow's `resize(size, BICUBIC)` does, bit for bit: antialiased (a = -0.5, stretched when
 * shrinking), integer weights, first the columns into 8 bits, then the rows; an axis that keeps its size is left alone.
 *
 * The four channels go independently, as Pillow's of RGB and CMYK do; where alpha is 255, it stays so. Has no gradient, and
 * cannot be captured: its weights come from the host, in float64.
 *
 * @param image  [B, H, W, 4] u8
 * @param outPx  rows and columns of the result, h and w
 * @returns      [B, h, w, 4] u8
 * @throws ShapeError when image has another shape or a size is not a positive integer, or a row exceeds a binding
 * @throws DTypeError when image is not u8
 * Source: Pillow, src/libImaging/Resample.c.
 */
export function pillowResize(image: Tensor, outPx: readonly [number, number]): Tensor<'u8'> {
  const op = 'pillowResize';
  expectDType(op, 'image', image, 'u8');
  const { shape } = image;
  const got = `[${shape.join(', ')}]`;
  expect(shape.length === 4 && shape[3] === 4, op, 'image must be [B, H, W, 4]', got, 'Add an alpha byte.');
  const [B, H, W] = shape;
  const [h, w] = outPx;
  expect(H > 0 && W > 0, op, 'the image must have pixels', got);
  const isSize = (px: number): boolean => Number.isInteger(px) && px > 0;
  expect(isSize(h) && isSize(w), op, 'outPx must be positive integers', `[${outPx.join(', ')}]`);

  if (H === h && W === w) {
    const y = output([image], shape, 'u8'); // a new tensor even when nothing changes
    y.write(image);
    return y;
  }
  if (H === h) return resizeAxis(image, [B * H, W, 1], w, [B, H, w, 4]);
  if (W === w) return resizeAxis(image, [B, H, W], h, [B, h, W, 4]);
  using columns = resizeAxis(image, [B * H, W, 1], w, [B, H, w, 4]);
  return resizeAxis(columns, [B, H, w], h, [B, h, w, 4]);
}

/**
 * Resizes the middle axis of x [outer, n, inner] pixels to m, in as many dispatches as the binding limit
 * requires.
 */
function resizeAxis(
  x: Tensor,
  [outer, n, inner]: readonly [number, number, number],
  m: number,
  shape: readonly number[],
): Tensor<'u8'> {
  const { windows, weights, taps } = pillowTaps(n, m);
  const y = output([x], shape, 'u8');
  using windowTable = output([x], [m, 2], 'u32');
  using weightTable = output([x], [m, taps], 'i32');
  windowTable.write(windows);
  weightTable.write(weights);
  for (const { begin, end, from, to } of parts(partWords(x), outer, n, m, inner, windows)) {
    const operand = part(x, from, to);
    const result = part(y, begin, end);
    run(alongAxis, {
      bind: { windows: windowTable, weights: weightTable, x: operand.view, y: result.view },
      params: { n, m, taps, inner, begin, end, in_base: operand.base, out_base: result.base },
      groups: Math.ceil((end - begin) / alongAxis.workgroupSize),
      flops: 8 * (end - begin) * taps,
    });
    operand.view.dispose();
    result.view.dispose();
  }
  return y;
}

/** Pixels [begin, end) of a result, which read pixels [from, to). */
interface Part {
  readonly begin: number;
  readonly end: number;
  readonly from: number;
  readonly to: number;
}

/**
 * Cuts the result into parts of whole rows, as large as a binding allows for them and for what they read.
 *
 * @throws ShapeError when one row, or what it reads, exceeds a binding
 */
function parts(
  fits: number,
  outer: number,
  n: number,
  m: number,
  inner: number,
  windows: Uint32Array,
): Part[] {
  // Where inner is 1 an image row is a whole line of the axis; otherwise it is one output of it.
  const perPlane = inner === 1 ? 1 : m;
  const rowWords = inner === 1 ? m : inner;
  const reads = (row: number): readonly [from: number, to: number] => {
    const plane = Math.floor(row / perPlane);
    if (inner === 1) return [plane * n, (plane + 1) * n];
    const [first, count] = windows.subarray(2 * (row % m), 2 * (row % m) + 2);
    return [(plane * n + first) * inner, (plane * n + first + count) * inner];
  };
  const found: Part[] = [];
  const rows = outer * perPlane;
  for (let row = 0; row < rows; ) {
    const [from] = reads(row);
    let end = row;
    while (end < rows && (end + 1 - row) * rowWords <= fits && reads(end)[1] - from <= fits) end++;
    expect(
      end > row,
      'pillowResize',
      `a row and the rows it is made of must fit into a binding of ${4 * fits} bytes`,
      `${4 * rowWords} and ${4 * (reads(row)[1] - from)} bytes`,
    );
    found.push({ begin: row * rowWords, end: end * rowWords, from, to: reads(end - 1)[1] });
    row = end;
  }
  return found;
}

/** Keys' kernel of a = -0.5, in Pillow's order of operations. */
function keys(distance: number): number {
  const t = Math.abs(distance);
  if (t < 1) return (1.5 * t - 2.5) * t * t + 1;
  return t < 2 ? (((t - 5) * t + 8) * t - 4) * -0.5 : 0;
}

/** Windows [m, 2] (first input, how many) and integer weights [m, taps] of Pillow's bicubic from n pixels to m. */
function pillowTaps(n: number, m: number): { windows: Uint32Array; weights: Int32Array; taps: number } {
  const scale = n / m;
  const stretch = Math.max(scale, 1);
  const support = 2 * stretch;
  const taps = Math.min(n, 2 * Math.ceil(support) + 1);
  const windows = new Uint32Array(2 * m);
  const weights = new Int32Array(m * taps);
  const row = new Float64Array(taps);
  for (let o = 0; o < m; o++) {
    const center = (o + 0.5) * scale;
    const first = Math.max(Math.trunc(center - support + 0.5), 0);
    const count = Math.min(Math.trunc(center + support + 0.5), n) - first;
    let sum = 0;
    for (let j = 0; j < count; j++) {
      row[j] = keys((j + first - center + 0.5) * (1 / stretch));
      sum += row[j];
    }
    windows.set([first, count], 2 * o);
    for (let j = 0; j < count; j++) {
      const scaled = (row[j] / sum) * UNIT;
      weights[o * taps + j] = Math.trunc(scaled + (scaled < 0 ? -0.5 : 0.5));
    }
  }
  return { windows, weights, taps };
}
