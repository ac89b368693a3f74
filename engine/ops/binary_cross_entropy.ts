import source from '../../shaders/binary_cross_entropy.wgsl' with { type: 'text' };
import { expect, expectDType, expectKeys } from '../gpu/errors.ts';
import { kernel } from '../gpu/kernel.ts';
import { record } from '../tensor/autograd.ts';
import { output, run } from '../tensor/dispatch.ts';
import { sameShape, show } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';

const forward = kernel(source, 'binary_cross_entropy');
const sum = kernel(source, 'binary_cross_entropy_sum');
const backward = kernel(source, 'binary_cross_entropy_dp');

/** Cells per workgroup of the forward pass. */
const SPLIT_CELLS = 2048;

/**
 * Binary cross-entropy of probabilities: the mean of -(y log p + (1 - y) log(1 - p)) over the cells of the rows that
 * count. Logarithms are bounded below by -100. A NaN in a row that counts makes the loss NaN.
 *
 * @param p          [B, N] f32 in [0, 1]
 * @param y          [B, N] f32 in [0, 1]; gets no gradient
 * @param options.rowWeight  f32 [B]: only rows with a nonzero weight count; if none does, loss and gradient are 0
 * @returns          [1]
 * @throws ShapeError when p and y are not both [B, N] or rowWeight is not [B]
 * Source: torch.nn.functional.binary_cross_entropy, whose bounds it keeps.
 */
export function binaryCrossEntropy(
  p: Tensor,
  y: Tensor,
  options: { readonly rowWeight?: Tensor } = {},
): Tensor<'f32'> {
  expectKeys('binaryCrossEntropy', options, { rowWeight: true });
  const { rowWeight } = options;
  const [B, N] = checkMaps('binaryCrossEntropy', p, y, rowWeight);
  const splits = Math.max(1, Math.ceil(N / SPLIT_CELLS));
  const params = { B, N, split_cells: SPLIT_CELLS, splits };
  const define = { HAS_WEIGHT: rowWeight !== undefined };
  using partial = output([p, y], [B, splits]);
  const loss = output([p, y], [1]);
  using share = output([p, y], [1]);
  run(forward, { bind: { p, y, partial }, params, groups: B * splits, flops: 6 * p.size });
  run(sum, { bind: { partials: partial, row_weight: rowWeight, loss, share }, params, define, groups: 1 });
  return record('binaryCrossEntropy', {
    inputs: [p],
    output: loss,
    saved: { p, y, row_weight: rowWeight, cell_share: share },
    backward: (dloss, saved) => {
      const dp = output([dloss], [B, N]);
      const groups = Math.ceil((B * N) / p.gpu.target.rowWorkgroup);
      run(backward, { bind: { ...saved, dloss, dp }, params, define, groups, flops: 6 * p.size });
      return [dp];
    },
  });
}

/** What the losses on probability maps ask of their operands. @throws ShapeError, DTypeError */
export function checkMaps(op: string, p: Tensor, y: Tensor, rowWeight: Tensor | undefined): [number, number] {
  expectDType(op, 'p', p, 'f32');
  expectDType(op, 'y', y, 'f32');
  expect(
    p.shape.length === 2 && sameShape(p.shape, y.shape),
    op,
    'p and y must both be [B, N]',
    `p ${show(p.shape)} and y ${show(y.shape)}`,
  );
  const [B, N] = p.shape;
  if (rowWeight) {
    expectDType(op, 'rowWeight', rowWeight, 'f32');
    const fits = rowWeight.shape.length === 1 && rowWeight.size === B;
    expect(fits, op, `rowWeight must be [B] = [${B}]`, show(rowWeight.shape));
  }
  return [B, N];
}
