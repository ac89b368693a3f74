/** What a timm model name says about a vision transformer. */
export interface Backbone {
  readonly patchPx: number;
  /** side of the images its own position table is made for */
  readonly imagePx: number;
  /** D */
  readonly width: number;
  readonly depth: number;
  /** H */
  readonly heads: number;
  /** F / D, before rounding down */
  readonly mlpRatio: number;
  /** true when timm adds a class token unless told not to; PS3 has none */
  readonly hasClassToken: boolean;
}

// Source: timm 1.0.15, models/vision_transformer.py: the published PS3 backbones, SigLIP's image towers, and others of the
// same kind that are small enough to train.
const so400m = { patchPx: 14, width: 1152, depth: 27, heads: 16, mlpRatio: 3.7362, hasClassToken: false };
const siglip = { patchPx: 16, mlpRatio: 4, hasClassToken: false };
const siglipBase = { ...siglip, width: 768, depth: 12, heads: 12 };
const siglipLarge = { ...siglip, width: 1024, depth: 24, heads: 16 };
const siglipSo400m = { ...so400m, patchPx: 16 };
const vit16 = { patchPx: 16, imagePx: 224, mlpRatio: 4, hasClassToken: true };
const BACKBONES: ReadonlyMap<string, Backbone> = new Map([
  ['vit_so400m_patch14_siglip_384', { ...so400m, imagePx: 384 }],
  ['vit_so400m_patch14_siglip_378', { ...so400m, imagePx: 378 }],
  ['vit_so400m_patch14_siglip_224', { ...so400m, imagePx: 224 }],
  ['vit_so400m_patch16_siglip_256', { ...siglipSo400m, imagePx: 256 }],
  ['vit_so400m_patch16_siglip_384', { ...siglipSo400m, imagePx: 384 }],
  ['vit_so400m_patch16_siglip_512', { ...siglipSo400m, imagePx: 512 }],
  ['vit_base_patch16_siglip_224', { ...siglipBase, imagePx: 224 }],
  ['vit_base_patch16_siglip_256', { ...siglipBase, imagePx: 256 }],
  ['vit_base_patch16_siglip_384', { ...siglipBase, imagePx: 384 }],
  ['vit_base_patch16_siglip_512', { ...siglipBase, imagePx: 512 }],
  ['vit_large_patch16_siglip_256', { ...siglipLarge, imagePx: 256 }],
  ['vit_large_patch16_siglip_384', { ...siglipLarge, imagePx: 384 }],
  ['vit_large_patch16_siglip_512', { ...siglipLarge, imagePx: 512 }],
  ['vit_large_patch16_224', { ...vit16, width: 1024, depth: 24, heads: 16 }],
  ['vit_base_patch16_224', { ...vit16, width: 768, depth: 12, heads: 12 }],
  ['vit_small_patch16_224', { ...vit16, width: 384, depth: 12, heads: 6 }],
  ['vit_tiny_patch16_224', { ...vit16, width: 192, depth: 12, heads: 3 }],
]);

/** Looks up a timm model name; a tag such as `.webli` names weights and does not count. undefined when unknown. */
export function resolveBackbone(modelName: string): Backbone | undefined {
  return BACKBONES.get(modelName.split('.')[0]);
}
