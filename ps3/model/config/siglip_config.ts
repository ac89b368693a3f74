// What a SigLIP or SigLIP 2 checkpoint is made of, as open_clip's and as transformers' configuration files have it.
//
//   open_clip     open_clip_config.json: a timm model as image tower, whose GELU is erf, and open_clip's text tower
//   transformers  config.json of model_type siglip: both towers by their sizes, GELU by tanh unless it says otherwise
import * as v from 'valibot';
import { resolveBackbone } from './backbone.ts';
import { expectConfig, type ModelConfig } from './config.ts';
import { parseHubConfig } from './hub_config.ts';
import { hubLook, type LookSizes, mlpRatioOf } from './look_sizes.ts';
import { check, count, positive, text } from './schema.ts';

/** Whose names the weights have. */
export type SiglipNaming = 'open_clip' | 'transformers';

/** Both towers of a SigLIP checkpoint. */
export interface SiglipConfig {
  /** Whose names the weights have. */
  readonly naming: SiglipNaming;
  /** timm's name of the image tower, where it is known here. */
  readonly modelName: string | null;
  /** D of the image tower. */
  readonly width: number;
  /** Blocks of the image tower. */
  readonly depth: number;
  /** H of the image tower. */
  readonly heads: number;
  /** F of the image tower. */
  readonly mlpHidden: number;
  /** Activation of the image tower. */
  readonly gelu: 'erf' | 'tanh';
  /** Side of a patch that the embedding reads. */
  readonly patchPx: number;
  /** The position table has this number of rows squared. */
  readonly gridSide: number;
  /** `text_config`, but for `prompt_proj_dim`. */
  readonly text: Readonly<Record<string, unknown>>;
  /** Of the images. */
  readonly colours: { readonly mean?: unknown; readonly std?: unknown };
}

/** Shape of a tensor of the checkpoint by its name there. */
export type ShapeOf = (name: string) => readonly number[] | undefined;

const openClipSchema = v.looseObject({
  model_cfg: v.looseObject({
    embed_dim: count,
    vision_cfg: v.looseObject({
      image_size: count,
      timm_model_name: text,
      timm_pool: v.literal('map', '"map", the pooling that SigLIP has'),
      timm_proj: v.nullish(v.picklist(['none', ''], '"none", SigLIP projects no image features'), 'none'),
      head_width: v.optional(count),
    }),
    text_cfg: v.looseObject({ hf_tokenizer_name: v.nullish(v.string()) }),
  }),
  preprocess_cfg: v.optional(v.looseObject({}), {}),
});

/**
 * Reads a parsed `open_clip_config.json`.
 *
 * @throws ConfigError naming the path of the first field that is wrong
 */
export function parseOpenClip(json: unknown, shapeOf: ShapeOf): SiglipConfig {
  const { model_cfg, preprocess_cfg } = check(openClipSchema, json, 'open_clip_config.json');
  const { vision_cfg, text_cfg, embed_dim } = model_cfg;
  const modelName = vision_cfg.timm_model_name.split('.')[0];
  const named = resolveBackbone(modelName);
  const trunk = 'visual.trunk';
  const kernel = shapeOf(`${trunk}.patch_embed.proj.weight`);
  expectConfig(kernel?.length === 4, `${trunk}.patch_embed.proj.weight must be [D, 3, patch, patch]`, kernel);
  const [width, , patchPx] = kernel;
  let depth = 0;
  while (shapeOf(`${trunk}.blocks.${depth}.norm1.weight`)) depth++;
  const { head_width } = vision_cfg;
  const path = 'open_clip_config.json.model_cfg.vision_cfg.timm_model_name';
  const todo = 'Or give vision_cfg.head_width; the other sizes are those of the tensors.';
  expectConfig(
    named !== undefined || head_width !== undefined,
    `${path} must be known here`,
    modelName,
    todo,
  );
  return {
    naming: 'open_clip',
    modelName: named ? modelName : null,
    width,
    depth,
    heads: named?.heads ?? width / Number(head_width),
    mlpHidden: shapeOf(`${trunk}.blocks.0.mlp.fc1.weight`)?.[0] ?? 0,
    gelu: 'erf',
    patchPx,
    gridSide: sideOf(`${trunk}.pos_embed`, shapeOf(`${trunk}.pos_embed`)?.[1]),
    text: { ...text_cfg, output_dim: embed_dim, hf_tokenizer_name: text_cfg.hf_tokenizer_name || null },
    colours: preprocess_cfg,
  };
}

const act = v.optional(v.picklist(['gelu', 'gelu_pytorch_tanh'], '"gelu" or "gelu_pytorch_tanh"'));
const tower = {
  hidden_size: v.optional(count, 768),
  intermediate_size: v.optional(count, 3072),
  num_hidden_layers: v.optional(count, 12),
  num_attention_heads: v.optional(count, 12),
  hidden_act: act,
  layer_norm_eps: v.optional(positive, 1e-6),
};
const transformersSchema = v.looseObject({
  vision_config: v.looseObject({
    ...tower,
    image_size: v.optional(count, 224),
    patch_size: v.optional(count, 16),
    num_channels: v.optional(v.literal(3, '3'), 3),
    layer_norm_eps: v.optional(v.literal(1e-6, '1e-6, that of PS3'), 1e-6),
    num_patches: v.optional(
      v.never('absent: images of any shape (NaFlex) are not for PS3, which has square scales'),
    ),
  }),
  text_config: v.looseObject({
    ...tower,
    vocab_size: v.optional(count, 32000),
    max_position_embeddings: v.optional(count, 64),
    projection_size: v.optional(count),
  }),
});

/**
 * Reads a parsed `config.json` of transformers' SiglipModel.
 *
 * @param preprocessor  the parsed `preprocessor_config.json`, where there is one
 * @param isLower       texts are written in lower case and keep their punctuation, as for SigLIP 2
 * @throws ConfigError naming the path of the first field that is wrong
 */
export function parseTransformers(json: unknown, preprocessor: unknown, isLower: boolean): SiglipConfig {
  const { vision_config: vision, text_config } = check(transformersSchema, json, 'config.json');
  const { image_mean, image_std } = Object(preprocessor) as Record<string, unknown>;
  const { hidden_size: width, hidden_act = 'gelu_pytorch_tanh' } = text_config;
  return {
    naming: 'transformers',
    modelName: null,
    width: vision.hidden_size,
    depth: vision.num_hidden_layers,
    heads: vision.num_attention_heads,
    mlpHidden: vision.intermediate_size,
    gelu: vision.hidden_act === 'gelu' ? 'erf' : 'tanh',
    patchPx: vision.patch_size,
    gridSide: Math.floor(vision.image_size / vision.patch_size),
    text: {
      output_dim: text_config.projection_size ?? width,
      context_length: text_config.max_position_embeddings,
      vocab_size: text_config.vocab_size,
      width,
      heads: text_config.num_attention_heads,
      layers: text_config.num_hidden_layers,
      mlp_ratio: mlpRatioOf(text_config.intermediate_size, width),
      no_causal_mask: true,
      pool_type: 'last',
      proj_bias: true,
      tokenizer_kwargs: { clean: isLower ? 'lower' : 'canonicalize' },
      act_kwargs: hidden_act === 'gelu' ? {} : { approximate: 'tanh' },
      norm_kwargs: { eps: text_config.layer_norm_eps },
    },
    colours: { mean: image_mean, std: image_std },
  };
}

function sideOf(name: string, rows: number | undefined): number {
  const side = Math.sqrt(rows ?? 0);
  expectConfig(Number.isInteger(side) && side > 0, `${name} must be [1, side², D]`, rows ?? 'no such tensor');
  return side;
}

/**
 * The PS3 that these towers become.
 *
 * @throws ConfigError for scales and patches that do not go together
 */
export function ps3Config(siglip: SiglipConfig, look: LookSizes): ModelConfig {
  const { width, depth, heads, mlpHidden, gelu } = siglip;
  const [lowPx] = look.scalesPx;
  const named = siglip.modelName === null ? undefined : resolveBackbone(siglip.modelName);
  const isNamed = named?.patchPx === look.patchPx;
  const gridSide = Math.floor(lowPx / look.patchPx);
  const sizes = {
    hidden_size: width,
    patch_size_px: look.patchPx,
    depth,
    num_heads: heads,
    mlp_ratio: mlpRatioOf(mlpHidden, width),
    pos_grid_side: gridSide,
  };
  const isUsualGrid = isNamed && Math.floor(named.imagePx / named.patchPx) === gridSide;
  const { mean, std } = siglip.colours;
  return parseHubConfig(
    {
      architectures: ['PS3Model'],
      model_type: 'ps3',
      vision_config: {
        ...hubLook(look, depth),
        model_name: isNamed ? siglip.modelName : null,
        ...(isNamed ? { hidden_size: width, ...(!isUsualGrid && { img_size: lowPx }) } : sizes),
        ...(gelu === 'tanh' && { act_kwargs: { approximate: 'tanh' } }),
      },
      text_config: { ...siglip.text, prompt_proj_dim: width },
    },
    mean || std ? { image_size: look.scalesPx.at(-1), mean, std } : undefined,
  );
}
