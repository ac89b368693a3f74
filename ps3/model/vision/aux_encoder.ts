// The shallow ConvNeXt that looks at the whole image at high resolution, so that selection sees small things.
// Liu et al. 2022, arXiv:2201.03545; its place in PS3: arXiv:2503.19903.
import {
  add,
  cast,
  depthwiseConv,
  layerNormLayer,
  linear,
  linearLayer,
  mul,
  type PatchGatherOptions,
  patchify,
  type Tensor,
  tidy,
  type Weights,
} from '../../../engine/index.ts';
import type { AuxEncoderConfig } from '../config/config.ts';

/**
 * Feature map of the whole image.
 *
 * @param image    [B, 3, H, W] f32 normalised, or [B, H, W, 4] u8
 * @param colours  normalisation of a u8 image
 * @returns      features [B, Y * X, C], channels last, with Y = X = config.gridSide
 */
export function auxEncoder(
  image: Tensor,
  weights: Weights,
  config: AuxEncoderConfig,
  colours: Pick<PatchGatherOptions, 'mean' | 'std'>,
): Tensor<'f32'> {
  const { kernelPx, imagePx, gridSide, depth } = config;
  return tidy([image], (image) => {
    const stem = weights.in('stem.0');
    const kernel = stem.get('weight').in(image.scope);
    const patches = patchify(image, kernelPx, { imagePx: [imagePx, imagePx], ...colours });
    let x: Tensor<'f32'> = linear(patches, kernel.reshape([kernel.shape[0], -1]), { bias: stem.get('bias') });
    x = layerNormLayer(x, weights.in('stem.1'), { eps: 1e-6 });
    for (let i = 0; i < depth; i++) x = convNextBlock(x, weights.in(`blocks.${i}`), [gridSide, gridSide]);
    const out = weights.in('out_proj');
    const projection = out.get('weight').in(image.scope);
    return linear(x, projection.reshape(projection.shape.slice(0, 2)), { bias: out.get('bias') });
  });
}

/** x + scale * MLP(LN(depthwise 7x7(x))); `weight` is the per-channel LayerScale. */
function convNextBlock(x: Tensor<'f32'>, weights: Weights, grid: readonly [number, number]): Tensor<'f32'> {
  return tidy([x], (x) => {
    const conv = weights.in('conv_dw');
    const mixed = depthwiseConv(x, cast(conv.get('weight').in(x.scope), 'f32'), grid, {
      bias: conv.get('bias'),
    });
    const hidden = linearLayer(
      layerNormLayer(mixed, weights.in('norm'), { eps: 1e-6 }),
      weights.in('mlp.fc1'),
      { gelu: 'erf' },
    );
    return add(x, mul(linearLayer(hidden, weights.in('mlp.fc2')), weights.get('weight')));
  });
}
