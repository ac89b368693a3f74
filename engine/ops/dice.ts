import source from '../../shaders/dice.wgsl' with { type: 'text' };
import { expectKeys } from '../gpu/errors.ts';
import { kernel } from '../gpu/kernel.ts';
import { record } from '../tensor/autograd.ts';
import { output, run } from '../tensor/dispatch.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { checkMaps } from './binary_cross_entropy.ts';

const forward = kernel(source, 'dice');
const sum = kernel(source, 'dice_sum');
const backward = kernel(source, 'dice_dp');

/** Cells per workgroup of the forward pass. */
const SPLIT_CELLS = 2048;

/**
 * DICE loss: the mean over counted rows of 1 - (2 sum p/100 y + eps) / (sum p/100 + sum y/100 + eps).
 *
 * @param p          [B, N] f32 in [0, 1]
 * @param y          [B, N] f32 in [0, 1]; gets no gradient
 * @param options.rowWeight  f32 [B]: only rows with a nonzero weight count; if none does, loss and gradient are 0
 * @returns          [1]
 * @throws ShapeError when p and y are not both [B, N] or rowWeight is not [B]
 * Source: Milletari, Navab & Ahmadi 2016, arXiv:1606.04797; scaled by 1/100 as in VILA-HD's trainer.
 */
export function diceLoss(
  p: Tensor,
  y: Tensor,
  options: { readonly rowWeight?: Tensor; readonly eps?: number } = {},
): Tensor<'f32'> {
  expectKeys('diceLoss', options, { rowWeight: true, eps: true });
  const { rowWeight, eps = 1e-6 } = options;
  const [B, N] = checkMaps('diceLoss', p, y, rowWeight);
  const splits = Math.max(1, Math.ceil(N / SPLIT_CELLS));
  const params = { B, N, split_cells: SPLIT_CELLS, splits, eps };
  const define = { HAS_WEIGHT: rowWeight !== undefined };
  using partial = output([p, y], [B, splits, 2]);
  const loss = output([p, y], [1]);
  using rows = output([p, y], [B, 2]);
  using share = output([p, y], [1]);
  run(forward, { bind: { p, y, partial }, params, groups: B * splits, flops: 4 * p.size });
  run(sum, {
    bind: { partials: partial, row_weight: rowWeight, loss, rows, share },
    params,
    define,
    groups: 1,
  });
  return record('diceLoss', {
    inputs: [p],
    output: loss,
    saved: { y, row_weight: rowWeight, row_sums: rows, row_share: share },
    backward: (dloss, saved) => {
      const dp = output([dloss], [B, N]);
      const groups = Math.ceil((B * N) / p.gpu.target.rowWorkgroup);
      run(backward, { bind: { ...saved, dloss, dp }, params, define, groups, flops: 4 * p.size });
      return [dp];
    },
  });
}
