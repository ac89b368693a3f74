import source from '../../shaders/cumulative_sum.wgsl' with { type: 'text' };
import { type Define, kernel } from '../gpu/kernel.ts';
import type { Target } from '../gpu/target.ts';
import { record } from '../tensor/autograd.ts';
import { output, run } from '../tensor/dispatch.ts';
import type { AxisOptions } from '../tensor/shape.ts';
import type { DType, Tensor } from '../tensor/tensor.ts';
import { overLastAxis } from './last_axis.ts';

const scan = kernel(source, 'cumulative_sum');

/** A CPU adds a row by one invocation, which waits for no other, in about as many runs as a run has elements. */
function planScan({ kind }: Target, C: number): Define {
  if (kind === 'gpu') return { SIDE: 16, RUN: 4 };
  return { SIDE: 1, RUN: 2 ** Math.max(4, Math.ceil(Math.log2(Math.sqrt(C)))) };
}

/**
 * Sums up to each element along an axis: y[c] = sum over d <= c of x[d]. Differentiable in an x of f32.
 *
 * @param x             f32, i32 or u32
 * @param options.axis  default: the last one
 * @returns             the shape and dtype of x
 * @throws ShapeError when the axis does not exist
 */
export function cumulativeSum<D extends DType = 'f32'>(x: Tensor<D>, options: AxisOptions = {}): Tensor<D> {
  return overLastAxis('cumulativeSum', x, options, scanned<D>, ['f32', 'i32', 'u32']);
}

function scanned<D extends DType>(x: Tensor): Tensor<D> {
  return record('cumulativeSum', {
    inputs: [x],
    output: scanRows(x as Tensor<D>, false),
    saved: {},
    backward: (dy) => [scanRows(dy, true)],
  });
}

function scanRows<D extends DType>(x: Tensor<D>, REVERSE: boolean): Tensor<D> {
  const y = output([x], x.shape, x.dtype);
  const C = x.shape.at(-1)!;
  const R = C === 0 ? 0 : x.size / C;
  run(scan, {
    bind: { x, y },
    define: { REVERSE, Scalar: x.dtype, ...planScan(x.gpu.target, C) },
    params: { R, C },
    groups: R,
    flops: x.size,
  });
  return y;
}
