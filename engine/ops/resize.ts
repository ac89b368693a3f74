import source from '../../shaders/resize.wgsl' with { type: 'text' };
import { expect, expectDType } from '../gpu/errors.ts';
import { type Kernel, kernel } from '../gpu/kernel.ts';
import { record } from '../tensor/autograd.ts';
import { output, run } from '../tensor/dispatch.ts';
import { isBindable, part, partWords } from '../tensor/part.ts';
import { size } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { add } from './pointwise.ts';
import { type AxisTaps, axisTaps, checkResizeOptions, type ResizeOptions } from './resize_taps.ts';
import { vectorOf } from './rows.ts';

export type { ResizeOptions };

const tapsKernel = kernel(source, 'resize_taps');
const bothAxes = kernel(source, 'resize');
const bothAxesQuads = kernel(source, 'resize_quads');
const oneAxis = kernel(source, 'resize_axis');
const oneAxisDx = kernel(source, 'resize_axis_dx');

/** The numbers are those of MODE in the shader. */
const MODES = { nearest: 0, area: 1, bicubic: 2, 'bicubic-antialias': 3 } as const;

/** How an output pixel is made from input pixels; the shader has the formulas. */
export type ResizeMode = keyof typeof MODES;

type Axes = readonly [AxisTaps, AxisTaps];

/** Rows and columns, in pixels or cells. */
type Pair = readonly [number, number];

/** x seen as [outer, n, n, inner]. */
interface Geometry {
  readonly outer: number;
  readonly n: Pair;
  readonly m: Pair;
  readonly inner: number;
  readonly mode: ResizeMode | ResizeOptions;
  readonly taps: Pair;
  /** Made on the host for a mode with options; otherwise a kernel makes the table. */
  readonly table?: Axes;
}

/** Up to this many taps per output one kernel does both axes; beyond, an intermediate image costs less. */
const MAX_DIRECT_TAPS = 16;

/** Planes that an invocation makes together where they divide by it. */
const PLANES = [4, 3, 2, 1];

/** Positions are computed as u32 products of both sizes of an axis. */
const MAX_SIZE_PRODUCT = 2 ** 29;

/**
 * Resizes planar images, as PyTorch's `F.interpolate` without `align_corners` does.
 *
 * 'nearest', 'area' (adaptive average pooling), 'bicubic' (a = -0.75, edges replicated, no antialiasing) and
 * 'bicubic-antialias' (a = -0.5, stretched when shrinking, taps outside the image dropped). Options instead of a mode choose
 * among the conventions of ONNX's Resize: coordinates, rounding, cubic coefficient, edges. Differentiable; for
 * `tf_crop_and_resize` where the roi is not reversed. A NaN reaches the pixels that it has a weight in, and
 * no others; what weighs an infinity is infinite or NaN.
 *
 * @param x      [B, C, H, W] f32
 * @param outPx  rows and columns of the result
 * @returns      [B, C, outH, outW]
 * @throws ShapeError when x has other than 4 axes, a size is not a positive integer, or an axis' sizes multiply to 2^29
 */
export function resize(x: Tensor, outPx: Pair, mode: ResizeMode | ResizeOptions): Tensor<'f32'> {
  expectDType('resize', 'x', x, 'f32');
  expect(x.shape.length === 4, 'resize', 'x must be [B, C, H, W]', `x [${x.shape.join(', ')}]`);
  const [B, C, H, W] = x.shape;
  const plan = geometry('resize', B * C, [H, W], outPx, 1, mode);
  const y = apply('resize', x, plan, [B, C, ...outPx]);
  const { extrapolation = 0 } = typeof mode === 'string' ? {} : mode;
  if (!plan.table || extrapolation === 0) return y;
  const [rows, columns] = plan.table;
  using outside = output([x], outPx);
  outside.write(
    Float32Array.from(
      rows.inside.flatMap((row) => columns.inside.map((column) => (row && column ? 0 : extrapolation))),
    ),
  );
  const filled = add(y, outside);
  y.dispose();
  return filled;
}

/**
 * Resizes a table of channels-last rows over its grid, such as learned position embeddings. Differentiable.
 *
 * @param x_RC     [h * w, C] or [B, h * w, C] f32, raster order
 * @param grid     h, w
 * @param outGrid  rows and columns of the result
 * @returns        [outH * outW, C] or [B, outH * outW, C]
 * @throws ShapeError when x does not have h * w rows, and as `resize`
 */
export function resizeRows(x_RC: Tensor, grid: Pair, outGrid: Pair, mode: ResizeMode): Tensor<'f32'> {
  expectDType('resizeRows', 'x', x_RC, 'f32');
  const rank = x_RC.shape.length;
  const got = `x [${x_RC.shape.join(', ')}] and grid [${grid.join(', ')}]`;
  expect(rank === 2 || rank === 3, 'resizeRows', 'x must be [h * w, C] or [B, h * w, C]', got);
  expect(x_RC.shape[rank - 2] === grid[0] * grid[1], 'resizeRows', 'x must have one row per grid cell', got);
  const batch = x_RC.shape.slice(0, rank - 2);
  const C = x_RC.shape[rank - 1];
  const plan = geometry('resizeRows', size(batch), grid, outGrid, C, mode);
  return apply('resizeRows', x_RC, plan, [...batch, outGrid[0] * outGrid[1], C]);
}

function geometry(
  op: string,
  outer: number,
  n: Pair,
  m: Pair,
  inner: number,
  mode: ResizeMode | ResizeOptions,
): Geometry {
  expect(
    typeof mode === 'object' || mode in MODES,
    op,
    `mode must be one of ${Object.keys(MODES).join(', ')}`,
    `'${mode}'`,
  );
  for (const axis of [0, 1] as const) {
    const got = `${n[axis]} -> ${m[axis]} along ${axis === 0 ? 'rows' : 'columns'}`;
    expect(
      n[axis] > 0 && m[axis] > 0 && Number.isInteger(m[axis]),
      op,
      'sizes must be positive integers',
      got,
    );
    expect(n[axis] * m[axis] < MAX_SIZE_PRODUCT, op, 'input times output size must be below 2^29', got);
  }
  if (typeof mode === 'object') {
    checkResizeOptions(op, mode);
    const table: Axes = [axisTaps(n[0], m[0], 0, mode), axisTaps(n[1], m[1], 1, mode)];
    return { outer, n, m, inner, mode, taps: [table[0].taps, table[1].taps], table };
  }
  return { outer, n, m, inner, mode, taps: [tapCount(mode, n[0], m[0]), tapCount(mode, n[1], m[1])] };
}

/** The most inputs that one output of an axis reads. */
function tapCount(mode: ResizeMode, n: number, m: number): number {
  if (mode === 'nearest') return 1;
  if (mode === 'bicubic') return 4;
  if (mode === 'area') return n % m === 0 ? n / m : Math.min(n, Math.ceil(n / m) + 1);
  return n > m ? Math.ceil((4 * n) / m) : 4;
}

function apply(op: string, x: Tensor, plan: Geometry, shape: readonly number[]): Tensor<'f32'> {
  const table = tapTable(x, plan);
  const direct = plan.taps[0] * plan.taps[1] <= MAX_DIRECT_TAPS;
  const y = direct
    ? resizeBoth(x, table, plan, shape)
    : alongAxes(oneAxis, x, table, plan, plan.n, plan.m, shape);
  table.dispose();
  const inputShape = x.shape;
  return record(op, {
    inputs: [x],
    output: y,
    saved: {},
    backward: (dy) => {
      using rows = tapTable(dy, plan);
      return [alongAxes(oneAxisDx, dy, rows, plan, plan.m, plan.n, inputShape)];
    },
  });
}

/** First input and weights of every output, of the rows and then of the columns. */
interface TapTable extends Disposable {
  readonly first: Tensor;
  readonly weights: Tensor;
  dispose(): void;
}

function tapTable(like: Tensor, plan: Geometry): TapTable {
  const { m, taps } = plan;
  const rows = m[0] + m[1];
  const first = output([like], [rows], 'u32');
  const weights = output([like], [m[0] * taps[0] + m[1] * taps[1]]);
  if (plan.table) {
    first.write(Uint32Array.from(plan.table.flatMap((axis) => axis.first)));
    weights.write(Float32Array.from(plan.table.flatMap((axis) => axis.weights)));
  } else
    run(tapsKernel, {
      bind: { first_out: first, weights_out: weights },
      params: sizesOf(plan),
      define: { MODE: MODES[plan.mode as ResizeMode] },
      groups: Math.ceil(rows / tapsKernel.workgroupSize),
    });
  const dispose = (): void => {
    first.dispose();
    weights.dispose();
  };
  return { first, weights, dispose, [Symbol.dispose]: dispose };
}

function resizeBoth(x: Tensor, table: TapTable, plan: Geometry, shape: readonly number[]): Tensor<'f32'> {
  const y = output([x], shape);
  const flops = 2 * y.size * plan.taps[0] * (plan.taps[1] + 1);
  if (readsQuads(plan) && isBindable(x) && isBindable(y)) {
    const rows = plan.outer * plan.m[0];
    run(bothAxesQuads, {
      bind: { first: table.first, weight_quads: table.weights, x_quads: x, y_pixels: y },
      params: { ...sizesOf(plan), end: rows },
      groups: rows,
      flops,
    });
  } else launch(bothAxes, x, y, table, plan, { outer: plan.outer, inner: plan.inner, axis: 0, flops });
  return y;
}

/**
 * One pass per axis whose size changes (with a table from the host, an axis may change without that), first
 * the one that leaves less for the other.
 */
function alongAxes(
  step: Kernel,
  x: Tensor,
  table: TapTable,
  plan: Geometry,
  before: Pair,
  after: Pair,
  shape: readonly number[],
): Tensor<'f32'> {
  const columnsFirst = before[0] * after[1] <= after[0] * before[1];
  const axes = (columnsFirst ? [1, 0] : [0, 1]).filter((axis) => plan.table || before[axis] !== after[axis]);
  if (axes.length === 0) axes.push(1); // the result is a new tensor even when nothing changes
  const sizes: [number, number] = [...before];
  let current: Tensor<'f32'> | undefined;
  for (const axis of axes) {
    const outer = axis === 0 ? plan.outer : plan.outer * sizes[0];
    const inner = axis === 0 ? sizes[1] * plan.inner : plan.inner;
    sizes[axis] = after[axis];
    const isLast = axis === axes[axes.length - 1];
    const next = output([x], isLast ? shape : [plan.outer, ...sizes, plan.inner]);
    const operand: Tensor = current ?? x;
    const flops = 2 * Math.max(next.size, operand.size) * plan.taps[axis];
    launch(step, operand, next, table, plan, { outer, inner, axis, flops });
    current?.dispose();
    current = next;
  }
  return current!;
}

/** Whether an output's four inputs in a row begin at a multiple of four: n / m = 4, 12, 20, ... */
const readsQuads = ({ n, m, inner, mode }: Geometry): boolean =>
  mode === 'bicubic' && inner === 1 && (n[1] / m[1]) % 8 === 4;

interface Pass {
  /** The operand and the result consist of this many planes; one plane of the operand makes one of the result. */
  readonly outer: number;
  readonly inner: number;
  readonly axis: number;
  readonly flops: number;
}

/**
 * Runs a kernel over all planes: in one dispatch or, where a tensor exceeds a binding, for parts of the
 * result.
 */
function launch(step: Kernel, x: Tensor, y: Tensor, table: TapTable, plan: Geometry, pass: Pass): void {
  const { outer, inner, axis } = pass;
  const vec = vectorOf(inner);
  const planes = { x: x.size / outer, y: y.size / outer };
  const fits = partWords(x);
  const got = `${x.sizeBytes / outer} bytes`;
  expect(outer === 0 || planes.x <= fits, 'resize', 'an image plane must fit into a binding', got);
  const together = Math.max(1, Math.floor(fits / Math.max(planes.x, planes.y)));
  const isDirect = step === bothAxes;
  const planesAtOnce = isDirect && together >= outer ? PLANES.find((count) => outer % count === 0)! : 1;
  for (let plane = 0; plane < outer; plane += together) {
    const planesEnd = Math.min(plane + together, outer);
    for (let begin = plane * planes.y; begin < planesEnd * planes.y; begin += fits) {
      const end = Math.min(begin + fits, planesEnd * planes.y);
      const operand = part(x, plane * planes.x, planesEnd * planes.x);
      const result = part(y, begin, end);
      run(step, {
        bind: {
          first: table.first,
          weights: table.weights,
          ...(step === oneAxisDx
            ? { dy: operand.view, dx: result.view }
            : { x: operand.view, y: result.view }),
        },
        params: {
          ...sizesOf(plan),
          inner: inner / vec,
          axis,
          begin: begin / vec,
          end: end / vec / planesAtOnce,
          in_base: operand.base / vec,
          out_base: result.base / vec,
        },
        define: {
          Vec: vec === 4 ? 'vec4f' : 'f32',
          ...(isDirect ? { TAPS_Y: plan.taps[0], TAPS_X: plan.taps[1], PLANES: planesAtOnce } : {}),
        },
        groups: Math.ceil((end - begin) / vec / planesAtOnce / step.workgroupSize),
        flops: (pass.flops * (end - begin)) / y.size,
      });
      operand.view.dispose();
      result.view.dispose();
    }
  }
}

const sizesOf = ({ n, m, taps }: Geometry): Record<'n' | 'm' | 'taps', number[]> => ({
  n: [...n],
  m: [...m],
  taps: [...taps],
});
