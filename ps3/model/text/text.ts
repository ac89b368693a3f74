// The text tower and the head that turns its output into a selection prompt.
import {
  add,
  cast,
  embedding,
  l2Normalize,
  layerNormLayer,
  linearLayer,
  slice,
  type Tensor,
  tidy,
  type Weights,
} from '../../../engine/index.ts';
import type { TextConfig } from '../config/config.ts';
import { normedMlp, textBlock, transformerBlock } from '../vision/vit.ts';

/** What the text tower says about captions. */
export interface TextOutput {
  /** [B, E], not normalised. */
  readonly pooled: Tensor<'f32'>;
  /** [B, E], normalised: what images are compared with. */
  readonly features: Tensor<'f32'>;
  /** [B, C], what the image side selects patches by. */
  readonly prompt: Tensor<'f32'>;
}

/**
 * Encodes token ids. No attention mask: padding is attended, and the last position is pooled, as SigLIP was trained.
 *
 * @param ids      [B, L] u32 or i32, L <= contextLength
 * @param weights  the official names below `text_model.`
 * @param checkpointed  keep only the inputs of blocks for backward, and run them again there
 */
export function encodeText(
  ids: Tensor,
  weights: Weights,
  config: TextConfig,
  checkpointed = false,
): TextOutput {
  const [pooled, features, prompt] = tidy([ids], (ids) => {
    const [B, L] = ids.shape;
    const positions = cast(weights.get('positional_embedding').in(ids.scope), 'f32');
    let x: Tensor<'f32'> = add(
      embedding(weights.get('token_embedding.weight'), ids),
      slice(positions, { axis: 0, length: L }),
    );
    const { heads, lnEps: eps, gelu } = config;
    const options = { heads, eps, gelu, checkpointed };
    for (let i = 0; i < config.layers; i++) {
      const [next, qkv] = transformerBlock(x, textBlock(weights.in(`transformer.resblocks.${i}`)), options);
      qkv.dispose();
      x.dispose();
      x = next;
    }
    x = layerNormLayer(x, weights.in('ln_final'), { eps });
    const last = slice(x, { axis: 1, start: L - 1, length: 1 }).reshape([B, x.shape[2]]);
    const pooled = linearLayer(last, weights.in('text_projection'));
    const features = l2Normalize(pooled);
    return [pooled, features, normedMlp(features, weights.in('prompt_proj'))];
  });
  return { pooled, features, prompt };
}
