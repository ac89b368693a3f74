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

// Source: timm 1.0.15, models/vision_transformer.py. The first three are the published PS3 backbones; the others are
// of the same kind and small enough to train.
const so400m = { patchPx: 14, width: 1152, depth: 27, heads: 16, mlpRatio: 3.7362, hasClassToken: false };
const vit16 = { patchPx: 16, imagePx: 224, mlpRatio: 4, hasClassToken: true };
const BACKBONES: ReadonlyMap<string, Backbone> = new Map([
  ['vit_so400m_patch14_siglip_384', { ...so400m, imagePx: 384 }],
  ['vit_so400m_patch14_siglip_378', { ...so400m, imagePx: 378 }],
  ['vit_large_patch16_224', { ...vit16, width: 1024, depth: 24, heads: 16 }],
  ['vit_base_patch16_224', { ...vit16, width: 768, depth: 12, heads: 12 }],
  ['vit_small_patch16_224', { ...vit16, width: 384, depth: 12, heads: 6 }],
  ['vit_tiny_patch16_224', { ...vit16, width: 192, depth: 12, heads: 3 }],
]);

/** Looks up a timm model name; a tag such as `.webli` names weights and does not count. undefined when unknown. */
export function resolveBackbone(modelName: string): Backbone | undefined {
  return BACKBONES.get(modelName.split('.')[0]);
}
