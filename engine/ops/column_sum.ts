import source from '../../shaders/column_sum.wgsl' with { type: 'text' };
import { expect } from '../gpu/errors.ts';
import { kernel } from '../gpu/kernel.ts';
import { output, run } from '../tensor/dispatch.ts';
import { show } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';

const forward = kernel(source, 'column_sum');

/** Rows that one invocation adds: the square root of a few thousand, so that both stages are short. */
const BLOCK_ROWS = 64;
/** Up to so many rows one stage does: on a CPU a second dispatch costs as much as some hundred rows. */
const ROWS_AT_ONCE = { gpu: BLOCK_ROWS, software: 512 } as const;

/**
 * Sum over all axes but the last `keep`: y[c] = scale sum_r x[r,c]. Used by gradients, itself not differentiable.
 *
 * @param x      [..., C] f32
 * @param shape  the shape of the result, equal to the last extents of x; default [C]
 * @returns      `shape`; zeros when there are no rows
 * @throws ShapeError when x does not end with `shape`
 */
export function columnSum(x: Tensor, shape: readonly number[] = x.shape.slice(-1), scale = 1): Tensor {
  const tail = x.shape.slice(x.shape.length - shape.length);
  expect(
    show(tail) === show(shape),
    'column_sum',
    'x must end with the kept shape',
    `x ${show(x.shape)} and ${show(shape)}`,
  );
  const y = output([x], shape);
  const C = y.size;
  const R = C === 0 ? 0 : x.size / C;
  if (R === 0) {
    y.gpu.clear(y.range);
    return y;
  }
  const blocks = R <= ROWS_AT_ONCE[x.gpu.adapterClass] ? 1 : Math.ceil(R / BLOCK_ROWS);
  if (blocks === 1) sumBlocks(x, y, R, C, R, scale);
  else {
    using partial = output([x], [blocks, C]);
    sumBlocks(x, partial, R, C, BLOCK_ROWS, 1);
    sumBlocks(partial, y, blocks, C, blocks, scale);
  }
  return y;
}

function sumBlocks(x: Tensor, y: Tensor, R: number, C: number, blockRows: number, scale: number): void {
  const width = C % 4 === 0 ? 4 : 1;
  run(forward, {
    bind: { x, y },
    params: { R, C: C / width, block_rows: blockRows, scale },
    define: { Lane: width === 4 ? 'vec4f' : 'f32' },
    groups: Math.ceil(((C / width) * Math.ceil(R / blockRows)) / x.gpu.rowWorkgroup),
    flops: R * C,
  });
}
