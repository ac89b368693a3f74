// The transformer block that the image and the text tower share, and the parts of the image tower around it.
// Dosovitskiy et al. 2020, arXiv:2010.11929; attention pooling and sizes: Zhai et al. 2023, arXiv:2303.15343.
import {
  attention,
  cast,
  checkpoint,
  gelu,
  layerNormLayer,
  linear,
  linearLayer,
  slice,
  type Tensor,
  tidy,
  unpackHeads,
  Weights,
} from '../../../engine/index.ts';

/** The six layers of a pre-norm block, whatever a checkpoint calls them. */
export interface BlockWeights {
  readonly norm1: Weights;
  readonly qkv: Weights;
  readonly proj: Weights;
  readonly norm2: Weights;
  readonly fc1: Weights;
  readonly fc2: Weights;
}

/** Which blocks keep only their inputs for backward, and run again there: memory for time, the same bits. */
export interface CheckpointBlocks {
  /** Those of the low-res pass. */
  readonly lowRes: boolean;
  /** Those over selected patches. */
  readonly highRes: boolean;
  /** Those of the text tower. */
  readonly text: boolean;
}

export interface BlockOptions {
  readonly heads: number;
  /** Of both layer norms. */
  readonly eps: number;
  readonly gelu: 'erf' | 'tanh';
  /** Packed q, k, v of an earlier pass of this block; its keys and values are put before this pass's own. */
  readonly cached?: Tensor<'f32'>;
  /** Keeps only its inputs for backward and runs the block again there: memory for time, the same bits. */
  readonly checkpointed?: boolean;
}

/** timm's names, `blocks.0.attn.qkv.weight`. */
export function visionBlock(weights: Weights): BlockWeights {
  return {
    norm1: weights.in('norm1'),
    qkv: weights.in('attn.qkv'),
    proj: weights.in('attn.proj'),
    norm2: weights.in('norm2'),
    fc1: weights.in('mlp.fc1'),
    fc2: weights.in('mlp.fc2'),
  };
}

/** open_clip's names, `resblocks.0.attn.in_proj_weight`. */
export function textBlock(weights: Weights): BlockWeights {
  return {
    norm1: weights.in('ln_1'),
    // Called in_proj_weight and in_proj_bias: no dot before the parameter.
    qkv: new Weights(weights, 'attn.in_proj_'),
    proj: weights.in('attn.out_proj'),
    norm2: weights.in('ln_2'),
    fc1: weights.in('mlp.c_fc'),
    fc2: weights.in('mlp.c_proj'),
  };
}

/**
 * x + Attention(LN(x)), then x + MLP(LN(x)).
 *
 * @param x  [B, T, C]
 * @returns  the block's output [B, T, C] and its packed queries, keys and values [B, T, 3C], for use as a cache
 */
export function transformerBlock(
  x: Tensor<'f32'>,
  block: BlockWeights,
  options: BlockOptions,
): [x: Tensor<'f32'>, qkv: Tensor<'f32'>] {
  const { heads, eps, gelu, cached, checkpointed } = options;
  if (checkpointed) return checkpointedBlock(x, block, { heads, eps, gelu, cached });
  return tidy([x, cached], (x, cached) => {
    const qkv = linearLayer(layerNormLayer(x, block.norm1, { eps }), block.qkv);
    const [q, k, v] = unpackHeads(qkv, { parts: 3, heads });
    const [, cachedK, cachedV] = cached ? unpackHeads(cached, { parts: 3, heads }) : [];
    const kept = cachedK && cachedV && { k: cachedK, v: cachedV };
    const heard = attention(q, k, v, { cached: kept }).reshape(x.shape);
    const attended = linearLayer(heard, block.proj, { residual: x });
    const hidden = linearLayer(layerNormLayer(attended, block.norm2, { eps }), block.fc1, { gelu });
    return [linearLayer(hidden, block.fc2, { residual: attended }), qkv] as [Tensor<'f32'>, Tensor<'f32'>];
  });
}

/** Where no input needs a gradient, as behind locked blocks, what the gradients of the weights need is kept, if they need it. */
function checkpointedBlock(
  x: Tensor<'f32'>,
  block: BlockWeights,
  options: BlockOptions,
): [x: Tensor<'f32'>, qkv: Tensor<'f32'>] {
  const { cached } = options;
  if (!x.requiresGrad && !cached?.requiresGrad) return transformerBlock(x, block, options);
  if (!cached) return checkpoint((x) => transformerBlock(x, block, options), x);
  return checkpoint((x, cached) => transformerBlock(x, block, { ...options, cached }), x, cached);
}

/**
 * Attention pooling: one learned query over all tokens, then y + MLP(LN(y)).
 *
 * @param tokens           [B, T, C], after the final norm
 * @param options.keyMask  [B, T], nonzero = attend; a row of zeros attends to everything
 * @returns                [B, C], not normalised
 */
export function attentionPool(
  tokens: Tensor,
  weights: Weights,
  options: Omit<BlockOptions, 'cached'> & { readonly keyMask?: Tensor },
): Tensor<'f32'> {
  const { heads, eps, gelu, keyMask } = options;
  return tidy([tokens, keyMask], (tokens, keyMask) => {
    const [B, , C] = tokens.shape;
    const query = linearLayer(cast(weights.get('latent').in(tokens.scope), 'f32'), weights.in('q'));
    const kv = linearLayer(tokens, weights.in('kv'));
    const [k, v] = unpackHeads(kv, { parts: 2, heads });
    const pooled = attention(query.reshape([1, 1, heads, C / heads]), k, v, { keyMask });
    const y = linearLayer(pooled.reshape([B, 1, C]), weights.in('proj'));
    const hidden = linearLayer(layerNormLayer(y, weights.in('norm'), { eps }), weights.in('mlp.fc1'), {
      gelu,
    });
    return linearLayer(hidden, weights.in('mlp.fc2'), { residual: y }).reshape([B, C]);
  });
}

/**
 * C-RADIO's adapter from the tower's width to that of the pooling head: Linear, residual blocks
 * x + Linear(GELU(LN(x))), then Linear(GELU(LN(x))).
 */
export function radioAdapter(tokens: Tensor, weights: Weights): Tensor<'f32'> {
  return tidy([tokens], (tokens) => {
    let x: Tensor<'f32'> = linearLayer(tokens, weights.in('fc1'));
    for (let i = 0; weights.has(`blocks.${i}.0.weight`); i++)
      x = adapterStep(x, weights.in(`blocks.${i}`), x);
    return adapterStep(x, weights.in('final'));
  });
}

function adapterStep(x: Tensor<'f32'>, weights: Weights, residual?: Tensor<'f32'>): Tensor<'f32'> {
  return linearLayer(
    gelu(layerNormLayer(x, weights.in('0'), { eps: 1e-5 }), { form: 'erf' }),
    weights.in('2'),
    { residual },
  );
}

/**
 * timm's MLP with a norm: Linear, GELU, LN(1e-5), Linear.
 *
 * @param rows  take only the first rows of the second layer, that is so many outputs
 */
export function normedMlp(x: Tensor, weights: Weights, rows?: number): Tensor<'f32'> {
  return tidy([x], (x) => {
    const hidden = linearLayer(x, weights.in('fc1'), { gelu: 'erf' });
    return firstRows(layerNormLayer(hidden, weights.in('norm'), { eps: 1e-5 }), weights.in('fc2'), rows);
  });
}

/** A linear layer of which only the first `rows` outputs are computed. */
export function firstRows(x: Tensor, weights: Weights, rows?: number): Tensor<'f32'> {
  const weight = weights.get('weight');
  if (rows === undefined || rows === weight.shape[0]) return linearLayer(x, weights);
  return tidy([x], (x) => {
    const [first, bias] = [weight.in(x.scope), weights.get('bias').in(x.scope)];
    // A view has no gradient, which half precision does not need, and a slice no half precision.
    const kept =
      first.dtype === 'f32'
        ? slice(first, { axis: 0, length: rows })
        : first.view(0, [rows, weight.shape[1]]).moveTo(x.scope);
    return linear(x, kept, { bias: slice(bias, { axis: 0, length: rows }) });
  });
}
