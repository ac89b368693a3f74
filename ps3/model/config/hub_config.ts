// A model's configuration as the hub's `config.json` has it, checked. hub_config_writer.ts writes it back.
//
// The file names a timm backbone instead of its sizes; backbone.ts knows them. A model of ours that no timm name
// describes adds keys to `vision_config`, which the reference implementation ignores:
//
//   ps3_webgpu true · patch_size_px · depth · num_heads · mlp_ratio · pos_grid_side
//   attn_pool_heads · attn_pool_mlp_ratio · aux_image_px · low_res_cache · tied_pos_emb_residual · act_kwargs
//
// Its width is `hidden_size`, which for timm names is not read.
import * as v from 'valibot';
import { type Backbone, resolveBackbone } from './backbone.ts';
import {
  type AdapterConfig,
  AUX_IMAGE_PX,
  type AuxEncoderConfig,
  expectConfig,
  type ModelConfig,
  RADIO_POOL,
  selectionBudgets,
  TEXT_CLEANING,
  type TextConfig,
  type VisionConfig,
} from './config.ts';
import { parsePreprocessor } from './preprocessor.ts';
import { check, count, flag, list, natural, onlyThese, positive, rate, text } from './schema.ts';

const actKwargs = v.nullish(
  onlyThese({ approximate: v.optional(v.picklist(['none', 'tanh'], '"none" or "tanh"'), 'none') }),
  {},
);

const visionSchema = v.looseObject(
  {
    model_name: v.nullish(text, null),
    hidden_size: v.optional(count, 1152),
    pool: v.optional(v.literal('map', '"map", the only pooling PS3 has'), 'avg' as 'map'),
    drop_path: v.nullish(rate, 0),
    dynamic_img_size: v.optional(v.literal(true, 'true, PS3 resamples its positions'), true),
    patch_drop: v.nullish(v.literal(0, '0, PS3 needs all low-res patches'), 0),
    ps3_scales: v.optional(list(count), [378, 756, 1512]),
    select_based_on_layer: v.optional(list(natural), [0, 9, 18, 26]),
    max_select_num: v.optional(count, 1280),
    max_select_num_each_scale: v.nullish(list(natural), null),
    separate_pos_emb: v.optional(flag, true),
    tied_pos_emb_residual: v.optional(flag, false),
    low_res_cache: v.optional(flag, true),
    highres_selection_feature: v.optional(flag, true),
    highres_selection_module_hidden_dim: v.optional(count, 512),
    highres_selection_module_out_dim: v.optional(count, 512),
    highres_selection_module_depth: v.optional(count, 3),
    highres_selection_module_kernel_size: v.optional(count, 28),
    radio: v.optional(flag, false),
    radio_adapter_mlp_version: v.nullish(text, null),
    radio_adapter_mlp_input_dim: v.nullish(count, null),
    radio_adapter_mlp_hidden_dim: v.nullish(count, null),
    radio_adapter_mlp_output_dim: v.nullish(count, null),
    radio_adapter_mlp_num_inner: v.nullish(natural, null),
    img_size: v.nullish(count, null),
    class_token: v.nullish(v.literal(false, 'false, PS3 has no prefix tokens'), null),
    final_norm: v.optional(flag, false),
    patch_size_px: v.optional(count),
    depth: v.optional(count),
    num_heads: v.optional(count),
    mlp_ratio: v.optional(positive),
    pos_grid_side: v.optional(count),
    attn_pool_heads: v.optional(count),
    attn_pool_mlp_ratio: v.optional(positive),
    aux_image_px: v.optional(count, AUX_IMAGE_PX),
    act_kwargs: actKwargs,
  },
  'an object',
);

const textSchema = v.looseObject(
  {
    output_dim: v.optional(count, 1152),
    prompt_proj_dim: v.optional(count, 1152),
    context_length: v.optional(count, 77),
    vocab_size: v.optional(count, 49408),
    hf_tokenizer_name: v.nullish(text, null),
    width: v.optional(count, 512),
    heads: v.optional(count, 8),
    layers: v.optional(count, 12),
    mlp_ratio: v.optional(positive, 4),
    ls_init_value: v.nullish(v.null('null, PS3 has no LayerScale in the text model'), null),
    embed_cls: v.optional(v.literal(false, 'false, PS3 has no class embedding'), false),
    // Of these three the reference's defaults are what PS3 does not have.
    no_causal_mask: v.optional(v.literal(true, 'true, PS3 attends to every token'), false as true),
    pool_type: v.optional(v.literal('last', '"last", PS3 pools the last token'), 'argmax' as 'last'),
    proj_bias: v.optional(v.literal(true, 'true, PS3 projects with a bias'), false as true),
    output_tokens: v.optional(v.literal(false, 'false, PS3 returns no tokens of texts'), false),
    tokenizer_kwargs: v.nullish(
      onlyThese({
        clean: v.optional(v.picklist(TEXT_CLEANING, '"canonicalize" or "lower"'), 'canonicalize'),
      }),
      {},
    ),
    act_kwargs: actKwargs,
    norm_kwargs: v.nullish(onlyThese({ eps: v.optional(positive, 1e-5) }), {}),
  },
  'an object',
);

type HubVision = v.InferOutput<typeof visionSchema>;

/**
 * Reads a parsed `config.json` of the hub.
 *
 * @param preprocessor  the parsed `preprocessor_config.json`, where there is one
 * @throws ConfigError naming the path of the first field that is wrong
 */
export function parseHubConfig(json: unknown, preprocessor?: unknown): ModelConfig {
  const root = check(v.looseObject({}, 'an object'), json, 'config.json');
  expectConfig(
    root.model_type === undefined || root.model_type === 'ps3',
    'model_type must be "ps3"',
    root.model_type,
    root.model_type === 'ps3_vision_model' ? 'Read it with parseVisionConfig.' : '',
  );
  const { vision_config, text_config, ...hub } = root;
  const vision = parseVisionConfig(vision_config);
  const text = parseTextConfig(text_config);
  expectConfig(
    text.promptProjDim === vision.width,
    'text_config.prompt_proj_dim must be the vision width',
    `${text.promptProjDim} (${text.promptProjDim} != ${vision.width})`,
  );
  expectConfig(
    text.outputDim === vision.attnPool.width,
    'text_config.output_dim must be the width of the pooled image embedding',
    `${text.outputDim} (${text.outputDim} != ${vision.attnPool.width})`,
  );
  return { image: parsePreprocessor(preprocessor, vision), vision, text, hub };
}

/** Releases of before May 2025 call the scales `s3_scales`. */
function withScales(json: unknown): unknown {
  if (typeof json !== 'object' || json === null || !('s3_scales' in json)) return json;
  const { s3_scales, ...rest } = json;
  return { ps3_scales: s3_scales, ...rest };
}

/** Reads `vision_config`, or the whole `config.json` of a checkpoint that holds the vision model alone. */
export function parseVisionConfig(json: unknown, path = 'vision_config'): VisionConfig {
  const hub = check(visionSchema, withScales(json), path);
  const { patchPx, width, depth, heads, mlpRatio, imagePx } = backboneOf(hub, path);
  expectHeads(width, heads, `${path}.num_heads`);
  const scalesPx = hub.ps3_scales.toSorted((a, b) => a - b);
  const gridSides = scalesPx.map((px) => px / patchPx);
  expectScales(scalesPx, patchPx, `${path}.ps3_scales`);
  for (const layer of hub.select_based_on_layer)
    expectConfig(layer < depth, `${path}.select_based_on_layer must name blocks below ${depth}`, layer);
  expectConfig(
    hub.select_based_on_layer.length > 0,
    `${path}.select_based_on_layer must name a block`,
    'none',
  );
  const given = hub.max_select_num_each_scale;
  const S = scalesPx.length - 1;
  expectConfig(
    given === null || given.length === S,
    `${path}.max_select_num_each_scale must hold a number for each of the ${S} high-res scales`,
    given,
  );
  const adapter = adapterOf(hub, width, path);
  const poolWidth = adapter?.outputWidth ?? width;
  const poolHeads = hub.attn_pool_heads ?? (adapter ? RADIO_POOL.heads : heads);
  const poolRatio = hub.attn_pool_mlp_ratio ?? (adapter ? RADIO_POOL.mlpRatio : mlpRatio);
  expectHeads(poolWidth, poolHeads, `${path}.attn_pool_heads`);
  const posGridSide = hub.pos_grid_side ?? Math.floor((hub.img_size ?? imagePx) / patchPx);
  const largestGrid = gridSides[S];
  expectConfig(
    !hub.radio || posGridSide >= largestGrid,
    `${path}.img_size must give a position table that covers the largest grid (${largestGrid} patches a side)`,
    `${posGridSide} patches`,
  );
  return {
    modelName: hub.model_name,
    patchPx,
    width,
    depth,
    heads,
    headSize: width / heads,
    mlpRatio,
    mlpHidden: Math.floor(width * mlpRatio),
    gelu: hub.act_kwargs?.approximate === 'tanh' ? 'tanh' : 'erf',
    lnEps: 1e-6,
    dropPath: hub.drop_path ?? 0,
    hasFinalNorm: !hub.radio || hub.final_norm,
    posGridSide,
    posMode: hub.radio ? 'cropped' : 'resampled',
    scalesPx,
    gridSides,
    selectionLayers: hub.select_based_on_layer,
    maxSelect: hub.max_select_num,
    budgets: given ?? selectionBudgets(hub.max_select_num, scalesPx),
    separatePosEmb: hub.separate_pos_emb,
    tiedPositions: hub.tied_pos_emb_residual,
    lowResCache: hub.low_res_cache,
    auxEncoder: hub.highres_selection_feature ? auxEncoderOf(hub, path) : null,
    attnPool: {
      width: poolWidth,
      heads: poolHeads,
      mlpRatio: poolRatio,
      mlpHidden: Math.floor(poolWidth * poolRatio),
    },
    adapter,
    hub: json as Record<string, unknown>,
  };
}

function backboneOf(hub: HubVision, path: string): Backbone {
  const { model_name, patch_size_px, depth, num_heads, mlp_ratio } = hub;
  const named = model_name === null ? undefined : resolveBackbone(model_name);
  if (named) {
    expectConfig(
      !named.hasClassToken || hub.class_token === false,
      `${path}.class_token must be false for ${model_name}`,
      hub.class_token,
      'PS3 has no prefix tokens.',
    );
    return {
      ...named,
      patchPx: patch_size_px ?? named.patchPx,
      depth: depth ?? named.depth,
      heads: num_heads ?? named.heads,
      mlpRatio: mlp_ratio ?? named.mlpRatio,
    };
  }
  const isComplete = patch_size_px !== undefined && depth !== undefined && num_heads !== undefined;
  const todo = 'Or describe it with hidden_size, patch_size_px, depth, num_heads and mlp_ratio.';
  expectConfig(isComplete, `${path}.model_name must be a backbone known here`, model_name, todo);
  const imagePx = Math.min(...hub.ps3_scales);
  const sizes = { patchPx: patch_size_px, depth, heads: num_heads, mlpRatio: mlp_ratio ?? 4 };
  return { ...sizes, width: hub.hidden_size, imagePx, hasClassToken: false };
}

function adapterOf(hub: HubVision, width: number, path: string): AdapterConfig | null {
  if (!hub.radio) return null;
  const key = `${path}.radio_adapter_mlp`;
  const { radio_adapter_mlp_version: version, radio_adapter_mlp_input_dim: inputWidth } = hub;
  const { radio_adapter_mlp_hidden_dim: hiddenWidth, radio_adapter_mlp_output_dim: outputWidth } = hub;
  expectConfig(version === 'v2', `${key}_version must be "v2"`, version);
  expectConfig(inputWidth === width, `${key}_input_dim must be the trunk's width ${width}`, inputWidth);
  expectConfig(hiddenWidth !== null, `${key}_hidden_dim must be given when radio is true`, hiddenWidth);
  expectConfig(outputWidth !== null, `${key}_output_dim must be given when radio is true`, outputWidth);
  return { hiddenWidth, outputWidth, innerBlocks: hub.radio_adapter_mlp_num_inner ?? 0 };
}

function auxEncoderOf(hub: HubVision, path: string): AuxEncoderConfig {
  const imagePx = hub.aux_image_px;
  const kernelPx = hub.highres_selection_module_kernel_size;
  expectConfig(
    imagePx >= kernelPx,
    `${path}.aux_image_px must be at least the stem's ${kernelPx} px`,
    imagePx,
  );
  return {
    imagePx,
    kernelPx,
    gridSide: Math.floor(imagePx / kernelPx),
    hiddenWidth: hub.highres_selection_module_hidden_dim,
    outChannels: hub.highres_selection_module_out_dim,
    depth: hub.highres_selection_module_depth,
  };
}

function expectHeads(width: number, heads: number, path: string): void {
  expectConfig(width % heads === 0, `${path} must divide the width ${width}`, heads);
}

function expectScales(scalesPx: readonly number[], patchPx: number, path: string): void {
  expectConfig(scalesPx.length > 1, `${path} must hold a low-res and at least one high-res scale`, scalesPx);
  const [lowPx] = scalesPx;
  expectConfig(
    lowPx % patchPx === 0,
    `${path} must begin with a multiple of the patch size ${patchPx}`,
    lowPx,
  );
  scalesPx.slice(1).forEach((px, i) => {
    expectConfig(px > scalesPx[i], `${path} must not repeat a scale`, scalesPx);
    expectConfig(px % lowPx === 0, `${path} must hold multiples of the smallest scale ${lowPx}`, px);
  });
}

/** Reads `text_config`. */
export function parseTextConfig(json: unknown, path = 'text_config'): TextConfig {
  const hub = check(textSchema, json, path);
  expectHeads(hub.width, hub.heads, `${path}.heads`);
  return {
    contextLength: hub.context_length,
    vocabSize: hub.vocab_size,
    tokenizerName: hub.hf_tokenizer_name,
    width: hub.width,
    heads: hub.heads,
    headSize: hub.width / hub.heads,
    layers: hub.layers,
    mlpRatio: hub.mlp_ratio,
    mlpHidden: Math.floor(hub.width * hub.mlp_ratio),
    gelu: hub.act_kwargs?.approximate === 'tanh' ? 'tanh' : 'erf',
    clean: hub.tokenizer_kwargs?.clean ?? 'canonicalize',
    lnEps: hub.norm_kwargs?.eps ?? 1e-5,
    outputDim: hub.output_dim,
    promptProjDim: hub.prompt_proj_dim,
    hub: json as Record<string, unknown>,
  };
}
