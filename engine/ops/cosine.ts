import source from '../../shaders/cosine.wgsl' with { type: 'text' };
import { expect, expectDType, expectKeys } from '../gpu/errors.ts';
import { kernel } from '../gpu/kernel.ts';
import { record } from '../tensor/autograd.ts';
import { output, run } from '../tensor/dispatch.ts';
import { show } from '../tensor/shape.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { l2Normalize } from './l2_normalize.ts';
import { planRows, vectorsOf } from './rows.ts';

const forward = kernel(source, 'cosine');
const forwardHeld = kernel(source, 'cosine_held');
const backward = kernel(source, 'cosine_backward');
const sumShares = kernel(source, 'cosine_dunit');

/** Tokens per split of the backward pass: enough splits to fill a GPU, few enough that adding them costs nothing. */
const SPLIT_TOKENS = 32;

/**
 * Cosine of every token's feature with the query: map[b, n] = <f / max(|f|, eps), q / max(|q|, eps)>. Features and queries
 * longer than 1.8e19, whose squares overflow in f32, give 0.
 *
 * @param features_BNC  [B, N, C] f32
 * @param query_BC      [B, C], or [1, C] for one query shared by the batch
 * @param options.eps   divides what is shorter; default 1e-12
 * @returns             [B, N], in [-1, 1]
 * @throws ShapeError when the widths differ or there is neither one query nor one per batch element
 * Source: Shi et al. 2025, arXiv:2503.19903, selection scores.
 */
export function cosineMap(
  features_BNC: Tensor,
  query_BC: Tensor,
  options: { readonly eps?: number } = {},
): Tensor<'f32'> {
  expectDType('cosineMap', 'features', features_BNC, 'f32');
  expectKeys('cosineMap', options, { eps: true });
  const { eps = 1e-12 } = options;
  expectDType('cosineMap', 'query', query_BC, 'f32');
  const [B, N, columns] = features_BNC.shape;
  const queries = query_BC.shape[0];
  expect(
    features_BNC.shape.length === 3 &&
      query_BC.shape.length === 2 &&
      query_BC.shape[1] === columns &&
      (queries === B || queries === 1),
    'cosineMap',
    'features must be [B, N, C] and query [B, C] or [1, C]',
    `features ${show(features_BNC.shape)} and query ${show(query_BC.shape)}`,
  );
  const vectors = vectorsOf(columns);
  const { perRow, define } = vectors;
  const splits = Math.max(1, Math.ceil(N / SPLIT_TOKENS));
  const params = { B, N, C: perRow, queries, split_tokens: SPLIT_TOKENS, splits, eps };
  // One row beside N tokens: normalising the query in its own op costs nothing and brings its gradient along.
  const unit = l2Normalize(query_BC, { eps });
  const cosines = output([features_BNC, query_BC], [B, N]);
  using lengths = output([features_BNC], [B, N]);
  const plan = planRows(features_BNC.gpu.target, B * N, vectors);
  run(plan.held ? forwardHeld : forward, {
    bind: { features: features_BNC, unit, cosines, lengths },
    params,
    define: { ...define, ...plan.define },
    groups: plan.groups,
    flops: 4 * features_BNC.size,
  });
  const map = record('cosineMap', {
    inputs: [features_BNC, unit],
    output: cosines,
    saved: { features: features_BNC, unit, cosines, lengths },
    backward: (dcosines, saved) => {
      const dfeatures = output([dcosines], features_BNC.shape);
      const partial = output([dcosines], [B, splits, columns]);
      const dunit = output([dcosines], [queries, columns]);
      const columnGroups = Math.ceil(perRow / backward.constant('COLUMN_WG'));
      run(backward, {
        bind: {
          features: saved.features,
          unit: saved.unit,
          token_cosines: saved.cosines,
          token_lengths: saved.lengths,
          dcosines,
          dfeatures,
          partial,
        },
        params,
        define,
        groups: [columnGroups, splits, B],
        flops: 5 * features_BNC.size,
      });
      run(sumShares, {
        bind: { partials: partial, dunit },
        params,
        define,
        groups: [columnGroups, queries, 1],
      });
      return [dfeatures, dunit];
    },
  });
  unit.dispose();
  return map;
}
