import source from '../../shaders/adaptive_max_pool.wgsl' with { type: 'text' };
import { expect, expectDType } from '../gpu/errors.ts';
import { kernel } from '../gpu/kernel.ts';
import { record } from '../tensor/autograd.ts';
import { output, run } from '../tensor/dispatch.ts';
import type { Tensor } from '../tensor/tensor.ts';

const forward = kernel(source, 'adaptive_max_pool');
const backward = kernel(source, 'adaptive_max_pool_dx');

/** Rows and columns. */
type Grid = readonly [number, number];

/**
 * Adaptive max pooling of one-channel maps, as PyTorch's `adaptive_max_pool2d`.
 *
 * y[o] = max x[floor(o n / m) .. ceil((o + 1) n / m)) along both axes; windows overlap where m does not divide n. The
 * gradient goes to the first maximum of each window in raster order. A window with a NaN gives NaN, whose gradient goes to the
 * last one. Differentiable.
 *
 * @param x_BP     [B, Y * X] f32
 * @param grid     Y, X
 * @param outGrid  outY, outX; may be larger than grid
 * @returns        [B, outY * outX]
 * @throws ShapeError when x does not have Y * X columns or a side is not a positive integer
 */
export function adaptiveMaxPool(x_BP: Tensor, grid: Grid, outGrid: Grid): Tensor<'f32'> {
  const op = 'adaptiveMaxPool';
  expectDType(op, 'x', x_BP, 'f32');
  const got = `x [${x_BP.shape.join(', ')}], grid [${grid.join(', ')}] and outGrid [${outGrid.join(', ')}]`;
  expect(x_BP.shape.length === 2 && x_BP.shape[1] === grid[0] * grid[1], op, 'x must be [B, Y * X]', got);
  const isPositive = [...grid, ...outGrid].every((side) => Number.isInteger(side) && side > 0);
  expect(isPositive, op, 'grid sides must be positive integers', got);
  const B = x_BP.shape[0];
  const params = { n: [...grid], m: [...outGrid], B };

  const y = output([x_BP], [B, outGrid[0] * outGrid[1]]);
  using argmax = output([x_BP], y.shape, 'u32');
  run(forward, {
    bind: { x: x_BP, y, argmax_out: argmax },
    params,
    groups: Math.ceil(y.size / forward.workgroupSize),
  });
  return record(op, {
    inputs: [x_BP],
    output: y,
    saved: { argmax },
    backward: (dy, { argmax }) => {
      const dx = output([dy], [B, grid[0] * grid[1]]);
      run(backward, {
        bind: { dy, argmax, dx },
        params,
        groups: Math.ceil(dx.size / backward.workgroupSize),
      });
      return [dx];
    },
  });
}
