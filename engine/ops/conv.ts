// Convolution as a matmul (im2col): the windows of the kernel are a strided view of x, which is copied once.
import { expect, expectDType, expectKeys, expectTensor } from '../gpu/errors.ts';
import { record } from '../tensor/autograd.ts';
import { output, tidy } from '../tensor/dispatch.ts';
import { show, size } from '../tensor/shape.ts';
import { contiguousStrides } from '../tensor/strided.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { permute, stridedCopy, stridedPlace } from './copy.ts';
import { fill } from './fill.ts';
import { matmul } from './matmul/matmul.ts';
import { pad } from './pad.ts';
import { add } from './pointwise.ts';
import { broadcastTo } from './reduce.ts';

type Pair = readonly [number, number];

/** How the kernel moves over the image, as in ONNX's Conv. */
export interface ConvOptions {
  /** [O] f32, added to every output. Default: none. */
  readonly bias?: Tensor;
  /** Rows and columns from one output to the next. Default 1. */
  readonly strides?: Pair;
  /** Zeros before the first row, before the first column, after the last row, after the last column. Default 0. */
  readonly pads?: readonly [number, number, number, number];
  /** Rows and columns from one tap of the kernel to the next. Default 1. */
  readonly dilations?: Pair;
  /** Number of groups of channels that are convolved separately. Default 1. */
  readonly groups?: number;
}

/**
 * Two-dimensional cross-correlation of planar images:
 * y[b, o, v, u] = bias[o] + sum_cij x[b, c, v stride + i dilation - pad, ...] weight[o, c, i, j]. Differentiable.
 *
 * Copies x once per tap of the kernel; for one kernel per channel at stride 1 `depthwiseConv` needs no such
 * copy.
 *
 * @param x       [B, C, H, W] f32
 * @param weight  [O, C / groups, kH, kW] f32
 * @returns       [B, O, outH, outW] with outH = floor((H + pads - (kH - 1) dilation - 1) / stride) + 1
 * @throws ShapeError when the channels do not fit the groups, or the kernel is larger than the padded image
 */
export function conv2d(x: Tensor, weight: Tensor, options: ConvOptions = {}): Tensor<'f32'> {
  expectKeys('conv2d', options, { bias: true, strides: true, pads: true, dilations: true, groups: true });
  const { bias, strides = [1, 1], pads = [0, 0, 0, 0], dilations = [1, 1], groups = 1 } = options;
  const op = 'conv2d';
  expectDType(op, 'x', x, 'f32');
  expectDType(op, 'weight', weight, 'f32');
  const both = `x ${show(x.shape)}, weight ${show(weight.shape)} and groups ${groups}`;
  expect(x.shape.length === 4 && weight.shape.length === 4, op, 'x and weight must have four axes', both);
  const [B, C] = x.shape;
  const [O, perGroup, kH, kW] = weight.shape;
  expect(C === perGroup * groups && O % groups === 0, op, 'the channels must fit the groups', both);
  if (bias !== undefined) expectDType(op, 'bias', bias, 'f32');
  if (bias) expect(bias.size === O, op, `bias must be [${O}]`, show(bias.shape));

  const [top, left, bottom, right] = pads;
  const K = perGroup * kH * kW;
  // [B, groups, O / groups, K] x [B, groups, K, outH outW]; one group shares its weights with the whole batch.
  const lead = groups === 1 ? [] : [B, groups];
  return tidy([x, weight, bias], (x, weight, bias) => {
    const zeros = [0, 0] as const;
    const cut = unfold(pad(x, [zeros, zeros, [top, bottom], [left, right]]), [kH, kW], {
      strides,
      dilations,
    });
    const [outH, outW] = cut.shape.slice(4);
    const kernels = weight.reshape([...lead.slice(1), O / groups, K]);
    const rows = groups === 1 ? kernels : broadcastTo(kernels, [...lead, O / groups, K]);
    const y = matmul(rows, cut.reshape(groups === 1 ? [B, K, outH * outW] : [B, groups, K, outH * outW]));
    const planes = y.reshape([B, O, outH, outW]);
    return bias ? add(planes, bias.reshape([O, 1, 1])) : planes;
  });
}

/**
 * The inputs of a kernel of kH x kW taps at every position:
 * y[b, c, i, j, v, u] = x[b, c, v stride + i dilation, ...]. Reshaped to [B, C kH kW, outH outW] it is
 * PyTorch's `F.unfold`; pad x before. Differentiable.
 *
 * @param x  [B, C, H, W] f32
 * @returns  [B, C, kH, kW, outH, outW]
 * @throws ShapeError when the kernel is larger than the image
 */
export function unfold(
  x: Tensor,
  [kH, kW]: Pair,
  options: Pick<ConvOptions, 'strides' | 'dilations'> = {},
): Tensor {
  const op = 'unfold';
  expectTensor(op, 'x', x);
  expectKeys(op, options, { strides: true, dilations: true });
  const { strides = [1, 1], dilations = [1, 1] } = options;
  const [B, C, H, W] = x.shape;
  const reach = [(kH - 1) * dilations[0] + 1, (kW - 1) * dilations[1] + 1];
  const got = `a kernel over ${show(reach)} for x ${show(x.shape)}`;
  expect(
    x.shape.length === 4 && reach[0] <= H && reach[1] <= W,
    op,
    'the kernel must fit into the image',
    got,
  );
  const outH = Math.floor((H - reach[0]) / strides[0]) + 1;
  const outW = Math.floor((W - reach[1]) / strides[1]) + 1;
  const [image, plane, row] = contiguousStrides(x.shape);
  const at = [row * dilations[0], dilations[1], row * strides[0], strides[1]];
  const y = stridedCopy(op, x, [B, C, kH, kW, outH, outW], [image, plane, ...at]);
  const from = x.shape;
  return record(op, {
    inputs: [x],
    output: y,
    saved: {},
    backward: (dy) => {
      // Tap by tap: the windows overlap, the positions of one tap do not.
      const dx = fill(output([dy], from), 0);
      const taps = permute(dy, [2, 3, 0, 1, 4, 5]);
      const shape = [B, C, outH, outW];
      for (let tap = 0; tap < kH * kW; tap++) {
        const start = Math.floor(tap / kW) * at[0] + (tap % kW) * at[1];
        const begin = tap * size(shape);
        stridedPlace(op, taps, dx, shape, [image, plane, at[2], at[3]], { start, begin, add: true });
      }
      return [dx];
    },
  });
}
