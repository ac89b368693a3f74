import source from '../../shaders/contrastive.wgsl' with { type: 'text' };
import { expect, expectDType } from '../gpu/errors.ts';
import { kernel } from '../gpu/kernel.ts';
import { record } from '../tensor/autograd.ts';
import { output, run } from '../tensor/dispatch.ts';
import { show } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { type Cells, cellsOf } from './cell.ts';

const tile = kernel(source, 'contrastive_tile');
const sum = kernel(source, 'contrastive_sum');
const backwardImages = kernel(source, 'contrastive_dimages');
const backwardTexts = kernel(source, 'contrastive_dtexts');

/** Pairs along one side of a workgroup's tile: `SIDE * BLOCK` of the shader. */
const TILE = 32;
/** Rows that an invocation of the gradient kernels owns: `BLOCK` of the shader. */
const BLOCK = 4;
/** Cells of D per workgroup of the gradient kernels: `LINE` of the shader. */
const LINE = 64;
/** Image rows whose slopes are held at a time; the memory is 4 * STRIP bytes per text. */
const STRIP = 256;

/**
 * Sigmoid contrastive loss: -1/B sum_ij log sigmoid(z_ij (e^logitScale <u_i, v_j> + logitBias)), z = +1 for positive
 * pairs, else -1.
 *
 * @param images_BD   unit image features [B, D]
 * @param texts_BD    unit text features [B, D]
 * @param logitScale  [1], the logarithm of the scale; its gradient is that of the logarithm
 * @param logitBias   [1]
 * @param positives   u32 [B] class ids: pairs of equal class are positive too (default: the diagonal only)
 * @returns           [1]
 * @throws ShapeError when the features differ in shape or a scalar is not [1]
 * Source: Zhai et al. 2023, arXiv:2303.15343. Memory beside the operands: 1 KiB per text, whatever the batch.
 */
export function sigmoidContrastive(
  images_BD: Tensor,
  texts_BD: Tensor,
  logitScale: Tensor,
  logitBias: Tensor,
  { positives }: { positives?: Tensor } = {},
): Tensor {
  checkOperands(images_BD, texts_BD, logitScale, logitBias, positives);
  const inputs = [images_BD, texts_BD, logitScale, logitBias];
  const features = {
    images: images_BD,
    texts: texts_BD,
    log_scale: logitScale,
    bias: logitBias,
    classes: positives,
  };
  const geometry = geometryOf(images_BD);
  const { B, D, across, tiles } = geometry.params;
  using partial = output(inputs, [tiles, 2]);
  const loss = output(inputs, [1]);
  run(tile, {
    bind: { ...features, partial },
    params: { ...geometry.params, first: 0, rows: B, tile: 0 },
    define: { ...geometry.define, HAS_CLASSES: positives !== undefined },
    groups: [across, across, 1],
    flops: 2 * B * B * D * geometry.lanes,
  });
  run(sum, {
    bind: { partials: partial, sums: loss },
    params: { ...geometry.params, first: 0, rows: 0, tile: 0 },
    groups: 1,
  });
  return record('contrastive', {
    inputs,
    output: loss,
    saved: features,
    backward: (dloss, saved) => contrastiveBackward(dloss, saved),
  });
}

interface Features {
  readonly images: Tensor;
  readonly texts: Tensor;
  readonly log_scale: Tensor;
  readonly bias: Tensor;
  readonly classes: Tensor | undefined;
}

function contrastiveBackward(dloss: Tensor, features: Features): [Tensor, Tensor, Tensor, Tensor] {
  const { images, texts, log_scale } = features;
  const { define, lanes, params: shape } = geometryOf(images);
  const { B, D, across } = shape;
  const dimages = output([dloss], images.shape);
  const dtexts = output([dloss], texts.shape);
  const dlogScale = output([dloss], [1]);
  const dlogitBias = output([dloss], [1]);
  const strip = output([dloss], [Math.min(B, STRIP), B]);
  const partial = output([dloss], [shape.tiles, 2]);
  const columnGroups = Math.ceil(D / LINE);
  for (let first = 0; first < B; first += STRIP) {
    const rows = Math.min(STRIP, B - first);
    const params = { ...shape, first, rows, tile: (first / TILE) * across };
    const flops = 2 * rows * B * D * lanes;
    run(tile, {
      bind: { ...features, dloss, strip, partial },
      params,
      define: { ...define, HAS_CLASSES: features.classes !== undefined, GRADIENT: true },
      groups: [across, Math.ceil(rows / TILE), 1],
      flops,
    });
    run(backwardImages, {
      bind: { g: strip, texts, log_scale, dimages },
      params,
      define,
      groups: [columnGroups, Math.ceil(rows / BLOCK), 1],
      flops,
    });
    run(backwardTexts, {
      bind: { g: strip, images_of_strip: images, log_scale, dtexts },
      params,
      define,
      groups: [columnGroups, Math.ceil(B / BLOCK), 1],
      flops,
    });
  }
  run(sum, {
    bind: { partials: partial, sums: dlogScale, more_sums: dlogitBias },
    params: { ...shape, first: 0, rows: 0, tile: 0 },
    define: { GRADIENT: true },
    groups: 1,
  });
  return [dimages, dtexts, dlogScale, dlogitBias];
}

interface Geometry extends Omit<Cells, 'perRow'> {
  /** D counts cells; tiles of TILE x TILE pairs. */
  readonly params: { B: number; D: number; across: number; tiles: number };
}

function geometryOf(images: Tensor): Geometry {
  const [B, columns] = images.shape;
  const { perRow, lanes, define } = cellsOf(columns);
  const across = Math.ceil(B / TILE);
  return { lanes, define, params: { B, D: perRow, across, tiles: across * across } };
}

function checkOperands(
  images: Tensor,
  texts: Tensor,
  logitScale: Tensor,
  logitBias: Tensor,
  positives?: Tensor,
): void {
  const op = 'contrastive';
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
