// Where the official parameters of PS3's towers stand in a SigLIP checkpoint.
import { size } from '../../../engine/index.ts';
import type { SiglipNaming } from '../config/siglip_config.ts';

/** A run of a stored tensor's numbers that is a run of a parameter's. */
export interface Segment {
  /** The parameter, by its official name. */
  readonly name: string;
  /** Its first element here. */
  readonly start: number;
  /** Elements. */
  readonly length: number;
  /** The stored tensor. */
  readonly stored: string;
  /** Its first element here. */
  readonly storedStart: number;
  /** Its shape. */
  readonly storedShape: readonly number[];
}

/** Rules from official names to transformers'; `q|k|v` stands for three tensors, one after the other. */
const TRANSFORMERS: readonly (readonly [RegExp, string])[] = [
  [/^vision_model\.trunk\.patch_embed\.proj/, 'vision_model.embeddings.patch_embedding'],
  [/^vision_model\.trunk\.pos_embed$/, 'vision_model.embeddings.position_embedding.weight'],
  [/^vision_model\.trunk\.norm/, 'vision_model.post_layernorm'],
  [/^vision_model\.trunk\.attn_pool\.latent$/, 'vision_model.head.probe'],
  [/^vision_model\.trunk\.attn_pool\.(?:q|kv)\./, 'vision_model.head.attention.in_proj_'],
  [/^vision_model\.trunk\.attn_pool\.proj/, 'vision_model.head.attention.out_proj'],
  [/^vision_model\.trunk\.attn_pool\.norm/, 'vision_model.head.layernorm'],
  [/^vision_model\.trunk\.attn_pool\.mlp/, 'vision_model.head.mlp'],
  [/^vision_model\.trunk\.blocks/, 'vision_model.encoder.layers'],
  [/^text_model\.token_embedding/, 'text_model.embeddings.token_embedding'],
  [/^text_model\.positional_embedding$/, 'text_model.embeddings.position_embedding.weight'],
  [/^text_model\.ln_final/, 'text_model.final_layer_norm'],
  [/^text_model\.text_projection/, 'text_model.head'],
  [/^text_model\.transformer\.resblocks/, 'text_model.encoder.layers'],
  [/\.(?:norm1|ln_1)\./, '.layer_norm1.'],
  [/\.(?:norm2|ln_2)\./, '.layer_norm2.'],
  [/\.attn\.(?:qkv\.|in_proj_)/, '.self_attn.q|k|v_proj.'],
  [/\.attn\.(?:out_)?proj\./, '.self_attn.out_proj.'],
  [/\.mlp\.c_fc\./, '.mlp.fc1.'],
  [/\.mlp\.c_proj\./, '.mlp.fc2.'],
];

/**
 * Where a parameter of one of the towers, or a logit scalar, is stored.
 *
 * @param shape  of the parameter
 */
export function segmentsOf(name: string, shape: readonly number[], naming: SiglipNaming): Segment[] {
  const length = size(shape);
  const whole = { name, start: 0, length, storedStart: 0, storedShape: shape };
  if (naming === 'open_clip') {
    const stored = name.replace(/^vision_model\./, 'visual.').replace(/^text_model\./, 'text.');
    return [{ ...whole, stored }];
  }
  const stored = TRANSFORMERS.reduce((name, [official, theirs]) => name.replace(official, theirs), name);
  const [rows, ...rest] = shape;
  // PyTorch packs q, k and v of the pooling head in one tensor, timm in two.
  const pooled = /\.attn_pool\.(q|kv)\./.exec(name)?.[1];
  if (pooled === 'q') return [{ ...whole, stored, storedShape: [3 * rows, ...rest] }];
  if (pooled === 'kv')
    return [{ ...whole, stored, storedStart: length / 2, storedShape: [1.5 * rows, ...rest] }];
  if (name.endsWith('.pos_embed')) return [{ ...whole, stored, storedShape: rest }];
  if (!stored.includes('q|k|v')) return [{ ...whole, stored }];
  return ['q', 'k', 'v'].map((part, i) => ({
    ...whole,
    start: (i * length) / 3,
    length: length / 3,
    stored: stored.replace('q|k|v', part),
    storedShape: [rows / 3, ...rest],
  }));
}
