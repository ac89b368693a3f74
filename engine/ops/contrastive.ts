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

/** Which pairs are positive, and what the sum is divided by. */
export interface ContrastiveOptions {
  /** u32 [B]: pairs of equal class are positive too; default: none. */
  readonly positives?: Tensor;
  /** u32 [T], the classes of the texts; default: `positives`. */
  readonly textPositives?: Tensor;
  /** Whether image i and text i are a positive pair, which takes as many texts as images; default true. */
  readonly diagonal?: boolean;
  /** What the sum over the pairs is divided by; default B. For a block of a larger matrix: the images of the whole. */
  readonly divisor?: number;
}

const OPTIONS = { positives: true, textPositives: true, diagonal: true, divisor: true } as const;

/**
 * Sigmoid contrastive loss: -1/B sum_ij log sigmoid(z_ij (e^logitScale <u_i, v_j> + logitBias)), z = +1 for positive
 * pairs, else -1.
 *
 * @param images_BD   unit image features [B, D]
 * @param texts_TD    unit text features [T, D]; T = B unless `diagonal` is false
 * @param logitScale  [1], the logarithm of the scale; its gradient is that of the logarithm
 * @param logitBias   [1]
 * @returns           [1]
 * @throws ShapeError when the features do not fit one another or a scalar is not [1]
 * Source: Zhai et al. 2023, arXiv:2303.15343. Memory beside the operands: 1 KiB per text or, on GPUs, 32 MiB if
 * that is more, whatever the batch.
 */
export function sigmoidContrastive(
  images_BD: Tensor,
  texts_TD: Tensor,
  logitScale: Tensor,
  logitBias: Tensor,
  options: ContrastiveOptions = {},
): Tensor<'f32'> {
  expectKeys('sigmoidContrastive', options, OPTIONS);
  checkOperands(images_BD, texts_TD, logitScale, logitBias);
  const { positives, textPositives = positives, diagonal = true, divisor = images_BD.shape[0] } = options;
  checkPositives([images_BD.shape[0], texts_TD.shape[0]], { positives, textPositives, diagonal, divisor });
  const inputs = [images_BD, texts_TD, logitScale, logitBias];
  const operands = {
    images: images_BD,
    texts: texts_TD,
    log_scale: logitScale,
    bias: logitBias,
    classes: positives,
    text_classes: textPositives,
  };
  const rule = { diagonal, divisor };
  const B = images_BD.shape[0];
  using partial = output(inputs, [B, 2]);
  for (const { rows, first, block } of blocks(operands)) {
    runPairs(operands, rule, block, first, partial);
    block.dispose();
    rows.dispose();
  }
  const loss = output(inputs, [1]);
  run(sum, { bind: { partials: partial, sums: loss }, params: { B, divisor }, groups: 1 });
  return record('sigmoidContrastive', {
    inputs,
    output: loss,
    saved: operands,
    backward: (dloss, saved) => contrastiveBackward(dloss, saved, rule),
  });
}

type Operands = Readonly<Record<'images' | 'texts' | 'log_scale' | 'bias', Tensor>> &
  Readonly<Record<'classes' | 'text_classes', Tensor | undefined>>;

type PairRule = Required<Pick<ContrastiveOptions, 'diagonal' | 'divisor'>>;

function contrastiveBackward(dloss: Tensor, operands: Operands, rule: PairRule): Tensor[] {
  const { images, texts } = operands;
  const [B, D] = images.shape;
  using partial = output([dloss], [B, 2]);
  const dimages = output([dloss], [B, D]);
  let dtexts: Tensor | undefined;
  for (const { rows, first, block } of blocks(operands)) {
    runPairs(operands, rule, block, first, partial, dloss);
    using share = multiply(block, texts, { products: 'f32' });
    using part = dimages.view(first * D, share.shape);
    dloss.gpu.copy(share.range, part.range);
    const before = dtexts;
    dtexts = multiply(block, rows, { transposeA: true, residual: before, products: 'f32' });
    before?.dispose();
    block.dispose();
    rows.dispose();
  }
  const dlogScale = output([dloss], [1]);
  const dlogitBias = output([dloss], [1]);
  run(sum, {
    bind: { partials: partial, sums: dlogScale, more_sums: dlogitBias },
    params: { B, divisor: rule.divisor },
    define: { GRADIENT: true },
    groups: 1,
  });
  return [dimages, dtexts!, dlogScale, dlogitBias];
}

/** Image rows of a block beside T texts. Measured on lavapipe and an H200. */
export function planContrastive({ kind }: Target, T: number): number {
  return kind === 'cpu' ? BLOCK_ROWS : Math.max(BLOCK_ROWS, Math.floor(BLOCK_PRODUCTS / T));
}

/** Blocks of image rows with their inner products with all texts; the caller disposes both. */
function* blocks({ images, texts }: Operands): Generator<{ rows: Tensor; first: number; block: Tensor }> {
  const [B, D] = images.shape;
  const most = planContrastive(images.gpu.target, texts.shape[0]);
  for (let first = 0; first < B; first += most) {
    const rows = images.view(first * D, [Math.min(most, B - first), D]);
    yield { rows, first, block: multiply(rows, texts, { transposeB: true, products: 'f32' }) };
  }
}

/**
 * Makes of a block's inner products partial sums of the loss or, with `dloss`, slopes and their partial sums.
 */
function runPairs(
  operands: Operands,
  { diagonal, divisor }: PairRule,
  block: Tensor,
  first: number,
  partial: Tensor,
  dloss?: Tensor,
): void {
  const { log_scale, bias, classes, text_classes } = operands;
  const [rows, T] = block.shape;
  run(pairs, {
    bind: { log_scale, bias, classes, text_classes, dloss, pairs: block, partial },
    params: { T, first, rows, divisor },
    define: { HAS_DIAGONAL: diagonal, HAS_CLASSES: classes !== undefined, GRADIENT: dloss !== undefined },
    groups: rows,
    flops: 30 * block.size,
  });
}

function checkOperands(images: Tensor, texts: Tensor, logitScale: Tensor, logitBias: Tensor): void {
  const op = 'sigmoidContrastive';
  for (const [name, operand] of Object.entries({ images, texts, logitScale, logitBias }))
    expectDType(op, name, operand, 'f32');
  const B = images.shape[0];
  expect(
    images.shape.length === 2 && texts.shape.length === 2 && texts.shape[1] === images.shape[1],
    op,
    'images and texts must be [B, D] and [T, D]',
    `images ${show(images.shape)} and texts ${show(texts.shape)}`,
  );
  expect(B > 0, op, 'the batch must not be empty', `images ${show(images.shape)}`);
  expect(texts.shape[0] > 0, op, 'there must be texts', `texts ${show(texts.shape)}`);
  for (const [name, scalar] of Object.entries({ logitScale, logitBias }))
    expect(scalar.shape.length === 1 && scalar.size === 1, op, `${name} must be [1]`, show(scalar.shape));
}

function checkPositives(
  [B, T]: readonly [number, number],
  { positives, textPositives, diagonal, divisor }: ContrastiveOptions & PairRule,
): void {
  const op = 'sigmoidContrastive';
  expect(
    !diagonal || B === T,
    op,
    'there must be one text for each image where the diagonal is positive',
    `${B} images and ${T} texts`,
    'Pass diagonal: false.',
  );
  expect(divisor > 0, op, 'the divisor must be positive', `${divisor}`);
  const isPair = (positives === undefined) === (textPositives === undefined);
  expect(isPair, op, 'textPositives need positives', 'none');
  for (const [name, classes, count] of [
    ['positives', positives, B],
    ['textPositives', textPositives, T],
  ] as const) {
    if (!classes) continue;
    expectDType(op, name, classes, 'u32');
    const fits = classes.shape.length === 1 && classes.size === count;
    expect(fits, op, `${name} must be [${count}]`, show(classes.shape));
  }
}
