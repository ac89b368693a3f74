import source from '../../shaders/contrastive.wgsl' with { type: 'text' };
import { expect, expectDType, expectKeys } from '../gpu/errors.ts';
import { kernel } from '../gpu/kernel.ts';
import type { Target } from '../gpu/target.ts';
import { record } from '../tensor/autograd.ts';
import { output, run } from '../tensor/dispatch.ts';
import { show } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { multiply } from './matmul/product.ts';

const pairs = kernel(source, 'contrastive_pairs');
const sum = kernel(source, 'contrastive_sum');

/**
 * Image rows whose inner products with all texts are in memory at a time: on CPUs they fit into the cache; on
 * GPUs fewer are too little work.
 */
const BLOCK_ROWS = 256;
/** Inner products in memory on GPUs, 32 MiB, where BLOCK_ROWS rows are fewer. */
const BLOCK_PRODUCTS = 2 ** 23;

/**
 * Sigmoid contrastive loss: -1/B sum_ij log sigmoid(z_ij (e^logitScale <u_i, v_j> + logitBias)), z = +1 for positive
 * pairs, else -1.
 *
 * @param images_BD   unit image features [B, D]
 * @param texts_BD    unit text features [B, D]
 * @param logitScale  [1], the logarithm of the scale; its gradient is that of the logarithm
 * @param logitBias   [1]
 * @param options.positives  u32 [B] class ids: pairs of equal class are positive too (default: the diagonal only)
 * @returns           [1]
 * @throws ShapeError when the features differ in shape or a scalar is not [1]
 * Source: Zhai et al. 2023, arXiv:2303.15343. Memory beside the operands: 1 KiB per text or, on GPUs, 32 MiB if
 * that is more, whatever the batch.
 */
export function sigmoidContrastive(
  images_BD: Tensor,
  texts_BD: Tensor,
  logitScale: Tensor,
  logitBias: Tensor,
  options: { readonly positives?: Tensor } = {},
): Tensor<'f32'> {
  expectKeys('sigmoidContrastive', options, { positives: true });
  const { positives } = options;
  checkOperands(images_BD, texts_BD, logitScale, logitBias, positives);
  const inputs = [images_BD, texts_BD, logitScale, logitBias];
  const operands = {
    images: images_BD,
    texts: texts_BD,
    log_scale: logitScale,
    bias: logitBias,
    classes: positives,
  };
  const B = images_BD.shape[0];
  using partial = output(inputs, [B, 2]);
  for (const { rows, first, block } of blocks(operands)) {
    runPairs(operands, block, first, partial);
    block.dispose();
    rows.dispose();
  }
  const loss = output(inputs, [1]);
  run(sum, { bind: { partials: partial, sums: loss }, params: { B }, groups: 1 });
  return record('sigmoidContrastive', {
    inputs,
    output: loss,
    saved: operands,
    backward: contrastiveBackward,
  });
}

type Operands = Readonly<Record<'images' | 'texts' | 'log_scale' | 'bias', Tensor>> & {
  readonly classes: Tensor | undefined;
};

function contrastiveBackward(dloss: Tensor, operands: Operands): Tensor[] {
  const { images, texts } = operands;
  const [B, D] = images.shape;
  using partial = output([dloss], [B, 2]);
  const dimages = output([dloss], [B, D]);
  let dtexts: Tensor | undefined;
  for (const { rows, first, block } of blocks(operands)) {
    runPairs(operands, block, first, partial, dloss);
    using share = multiply(block, texts, { exact: true });
    using part = dimages.view(first * D, share.shape);
    dloss.gpu.copy(share.range, part.range);
    const before = dtexts;
    dtexts = multiply(block, rows, { transposeA: true, residual: before, exact: true });
    before?.dispose();
    block.dispose();
    rows.dispose();
  }
  const dlogScale = output([dloss], [1]);
  const dlogitBias = output([dloss], [1]);
  run(sum, {
    bind: { partials: partial, sums: dlogScale, more_sums: dlogitBias },
    params: { B },
    define: { GRADIENT: true },
    groups: 1,
  });
  return [dimages, dtexts!, dlogScale, dlogitBias];
}

/** Rows of a block in a batch of B. Measured on lavapipe and an H200. */
export function planContrastive({ kind }: Target, B: number): number {
  return kind === 'cpu' ? BLOCK_ROWS : Math.max(BLOCK_ROWS, Math.floor(BLOCK_PRODUCTS / B));
}

/** Blocks of image rows with their inner products with all texts; the caller disposes both. */
function* blocks({ images, texts }: Operands): Generator<{ rows: Tensor; first: number; block: Tensor }> {
  const [B, D] = images.shape;
  const most = planContrastive(images.gpu.target, B);
  for (let first = 0; first < B; first += most) {
    const rows = images.view(first * D, [Math.min(most, B - first), D]);
    yield { rows, first, block: multiply(rows, texts, { transposeB: true, exact: true }) };
  }
}

/**
 * Makes of a block's inner products partial sums of the loss or, with `dloss`, slopes and their partial sums.
 */
function runPairs(operands: Operands, block: Tensor, first: number, partial: Tensor, dloss?: Tensor): void {
  const { log_scale, bias, classes } = operands;
  const [rows, B] = block.shape;
  run(pairs, {
    bind: { log_scale, bias, classes, dloss, pairs: block, partial },
    params: { B, first, rows },
    define: { HAS_CLASSES: classes !== undefined, GRADIENT: dloss !== undefined },
    groups: rows,
    flops: 30 * block.size,
  });
}

function checkOperands(
  images: Tensor,
  texts: Tensor,
  logitScale: Tensor,
  logitBias: Tensor,
  positives?: Tensor,
): void {
  const op = 'sigmoidContrastive';
  for (const [name, operand] of Object.entries({ images, texts, logitScale, logitBias }))
    expectDType(op, name, operand, 'f32');
  const B = images.shape[0];
  expect(
    images.shape.length === 2 &&
      texts.shape.length === 2 &&
      texts.shape[0] === B &&
      texts.shape[1] === images.shape[1],
    op,
    'images and texts must both be [B, D]',
    `images ${show(images.shape)} and texts ${show(texts.shape)}`,
  );
  expect(B > 0, op, 'the batch must not be empty', `images ${show(images.shape)}`);
  for (const [name, scalar] of Object.entries({ logitScale, logitBias }))
    expect(scalar.shape.length === 1 && scalar.size === 1, op, `${name} must be [1]`, show(scalar.shape));
  if (!positives) return;
  expectDType(op, 'positives', positives, 'u32');
  expect(
    positives.shape.length === 1 && positives.size === B,
    op,
    `positives must be [B] = [${B}]`,
    show(positives.shape),
  );
}
