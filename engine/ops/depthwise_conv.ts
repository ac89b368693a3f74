import source from '../../shaders/depthwise_conv.wgsl' with { type: 'text' };
import { expect, expectDType, expectKeys } from '../gpu/errors.ts';
import { type Define, kernel } from '../gpu/kernel.ts';
import type { Target } from '../gpu/target.ts';
import { record } from '../tensor/autograd.ts';
import { output, run } from '../tensor/dispatch.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { columnSum } from './column_sum.ts';
import { vectorOf } from './rows.ts';

const pack = kernel(source, 'depthwise_conv_pack');
const convolve = kernel(source, 'depthwise_conv');
const convolveColumns = kernel(source, 'depthwise_conv_columns');
const partialSums = kernel(source, 'depthwise_conv_dweight');
const addPartials = kernel(source, 'depthwise_conv_dweight_sum');

/** Enough for the weight gradient to fill a large GPU; a few cores gain nothing from more partial sums. */
const DWEIGHT_INVOCATIONS = { gpu: 131_072, cpu: 2048 } as const;
/** The second stage adds up this many partial sums at most. */
const MOST_SPLITS = 256;
/** On CPUs: enough for the cores; and images are cut into splits of no fewer rows, since each reads the rows beside it too. */
const COLUMNS_INVOCATIONS = 2048;
const COLUMNS_ROWS = 8;

interface Geometry {
  readonly B: number;
  readonly Y: number;
  readonly X: number;
  readonly C: number;
  readonly side: number;
}

/**
 * Depthwise convolution of channels-last feature maps: stride 1, zero padding (k - 1) / 2, one kernel per channel.
 *
 * y[b, v, u, c] = bias[c] + sum_ij x[b, v + i - h, u + j - h, c] weight[c, 0, i, j] with h = (k - 1) / 2. Differentiable.
 *
 * @param x       [B, Y * X, C] f32
 * @param weight  [C, 1, k, k] f32, k odd
 * @param grid    Y, X
 * @param options.bias  [C] f32
 * @returns       [B, Y * X, C]
 * @throws ShapeError when x does not have Y * X rows, or weight or bias does not fit to C
 * Source: ConvNeXt's token mixer, Liu et al. 2022, arXiv:2201.03545.
 */
export function depthwiseConv(
  x: Tensor,
  weight: Tensor,
  grid: readonly [number, number],
  options: { readonly bias?: Tensor } = {},
): Tensor<'f32'> {
  expectKeys('depthwiseConv', options, { bias: true });
  const { bias } = options;
  const plan = geometry(x, weight, bias, grid);
  const y = convolution(x, weight, bias, plan, false);
  return record('depthwiseConv', {
    inputs: bias ? [x, weight, bias] : [x, weight],
    output: y,
    saved: { x, weight },
    activations: ['x'],
    backward: (dy, { x, weight }, needs) => {
      const dx = needs[0] ? convolution(dy, weight, undefined, plan, true) : undefined;
      if (!needs[1] && !needs[2]) return bias ? [dx, undefined, undefined] : [dx, undefined];
      const [dweight, dbias] = weightGradients(x, dy, weight.shape, plan);
      return bias ? [dx, dweight, dbias] : [dx, dweight];
    },
  });
}

function geometry(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | undefined,
  [Y, X]: readonly [number, number],
): Geometry {
  const op = 'depthwiseConv';
  expectDType(op, 'x', x, 'f32');
  expectDType(op, 'weight', weight, 'f32');
  if (bias) expectDType(op, 'bias', bias, 'f32');
  const rows = `x [${x.shape.join(', ')}] and grid [${Y}, ${X}]`;
  expect(x.shape.length === 3 && x.shape[1] === Y * X, op, 'x must be [B, Y * X, C]', rows);
  const [B, , C] = x.shape;
  const side = weight.shape[2];
  const isKernel = weight.shape.length === 4 && weight.shape[1] === 1 && weight.shape[3] === side;
  const kernels = `weight [${weight.shape.join(', ')}] and C = ${C}`;
  expect(isKernel && weight.shape[0] === C, op, 'weight must be [C, 1, k, k]', kernels);
  expect(side % 2 === 1, op, 'the kernel side must be odd', `k = ${side}`);
  const fits = !bias || (bias.shape.length === 1 && bias.shape[0] === C);
  expect(fits, op, 'bias must be [C]', `bias [${bias?.shape.join(', ')}] and C = ${C}`);
  return { B, Y, X, C, side };
}

/** How images are cut. */
interface DepthwisePlan {
  /** Splits of rows of an image, where an invocation walks down columns; undefined where each takes a window of pixels. */
  readonly columnSplits: number | undefined;
  /** Splits of rows whose weight gradients are summed apart. */
  readonly dweightSplits: number;
  /** Partial sums are added by columnSum first: a GPU would wait for every load of one invocation for each sum. */
  readonly sumsFirst: boolean;
}

/** Measured on lavapipe and an H200. */
export function planDepthwiseConv({ kind }: Target, geometry: Geometry): DepthwisePlan {
  const { B, Y, X, C } = geometry;
  const wanted = Math.ceil(
    COLUMNS_INVOCATIONS / (B * Math.ceil(X / convolveColumns.constant('THREAD_X')) * C),
  );
  const partials = Math.ceil(DWEIGHT_INVOCATIONS[kind] / dweightInvocations(geometry));
  return {
    columnSplits: kind === 'cpu' ? Math.max(1, Math.min(Math.floor(Y / COLUMNS_ROWS), wanted)) : undefined,
    dweightSplits: Math.max(1, Math.min(B * Y, MOST_SPLITS, partials)),
    sumsFirst: kind === 'gpu',
  };
}

/** Invocations that sum the weight gradients of one split. */
const dweightInvocations = ({ side, C }: Geometry): number =>
  (side * Math.ceil(side / partialSums.constant('WINDOW')) * C) / vectorOf(C);

/** The forward pass, or with the kernel rotated by 180 degrees the gradient to x. */
function convolution(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | undefined,
  plan: Geometry,
  rotated: boolean,
): Tensor<'f32'> {
  const { B, Y, X, C, side } = plan;
  const taps = side * side;
  using packedWeight = output([weight], [taps, C]);
  run(pack, {
    bind: { weight, packed_out: packedWeight },
    params: { C, rotated: rotated ? 1 : 0 },
    define: { SIDE: side },
    groups: Math.ceil((taps * C) / pack.workgroupSize),
  });
  const y = output([x, weight, bias], x.shape);
  const call = { bind: { x, packed_weight: packedWeight, bias, y }, flops: 2 * y.size * taps };
  const HAS_BIAS = bias !== undefined;
  const { columnSplits: splits } = planDepthwiseConv(x.gpu.target, plan);
  if (splits !== undefined) {
    const windows = B * Math.ceil(X / convolveColumns.constant('THREAD_X'));
    run(convolveColumns, {
      ...call,
      params: { B, Y, X, C, splits },
      define: { ...specialisation(plan, 1), HAS_BIAS },
      groups: Math.ceil((windows * splits * C) / convolveColumns.workgroupSize),
    });
    return y;
  }
  const vec = vectorOf(C);
  run(convolve, {
    ...call,
    params: { B, Y, X, C: C / vec },
    define: { ...specialisation(plan, vec), HAS_BIAS },
    groups: Math.ceil(
      (B * Y * Math.ceil(X / convolve.constant('WINDOW')) * C) / vec / convolve.workgroupSize,
    ),
  });
  return y;
}

function weightGradients(
  x: Tensor,
  dy: Tensor,
  weightShape: readonly number[],
  plan: Geometry,
): [Tensor, Tensor] {
  const { B, Y, X, C, side } = plan;
  const taps = side * side;
  const vec = vectorOf(C);
  const perSplit = dweightInvocations(plan);
  const { dweightSplits: splits, sumsFirst } = planDepthwiseConv(x.gpu.target, plan);
  using partials = output([x, dy], [splits, taps + 1, C]);
  run(partialSums, {
    bind: { x, dy, partials },
    params: { B, Y, X, C: C / vec, splits },
    define: specialisation(plan, vec),
    groups: Math.ceil((splits * perSplit) / partialSums.workgroupSize),
    flops: 2 * x.size * taps,
  });
  using sums = sumsFirst ? columnSum(partials, { shape: [taps + 1, C] }) : undefined;
  const dweight = output([x, dy], weightShape);
  const dbias = output([x, dy], [C]);
  run(addPartials, {
    bind: { split_sums: sums ?? partials, dweight, dbias },
    params: { C, splits: sums ? 1 : splits },
    define: { SIDE: side },
    groups: Math.ceil(((taps + 1) * C) / addPartials.workgroupSize),
    flops: partials.size,
  });
  return [dweight, dbias];
}

function specialisation(plan: Geometry, vec: number): Define {
  return { SIDE: plan.side, Vec: vec === 4 ? 'vec4f' : 'f32', UNROLLED: true };
}
