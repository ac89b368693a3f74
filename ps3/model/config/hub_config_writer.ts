import { resolveBackbone } from './backbone.ts';
import {
  AUX_IMAGE_PX,
  type ModelConfig,
  RADIO_POOL,
  selectionBudgets,
  type TextConfig,
  type VisionConfig,
} from './config.ts';

/** The keys that only this project writes into `vision_config`. */
const OWN_KEYS = [
  'ps3_webgpu',
  'patch_size_px',
  'depth',
  'num_heads',
  'mlp_ratio',
  'pos_grid_side',
  'attn_pool_heads',
  'attn_pool_mlp_ratio',
  'aux_image_px',
  'low_res_cache',
  'tied_pos_emb_residual',
  'act_kwargs',
];

/** The object to write as `config.json`: every official key, keys this project does not know as they were read. */
export function toHubConfig({ vision, text, hub }: ModelConfig): Record<string, unknown> {
  return {
    architectures: ['PS3Model'],
    model_type: 'ps3',
    ...hub,
    vision_config: toHubVision(vision),
    text_config: toHubText(text),
  };
}

/** `vision_config`, or `config.json` of the image side alone. */
export function toHubVision(vision: VisionConfig): Record<string, unknown> {
  const { auxEncoder: aux, adapter } = vision;
  const rest: Record<string, unknown> = { ...vision.hub };
  for (const key of OWN_KEYS) delete rest[key];
  const shared = selectionBudgets(vision.maxSelect, vision.scalesPx);
  const isShared = vision.budgets.every((budget, i) => budget === shared[i]);
  return {
    architectures: ['PS3VisionModel'],
    model_type: 'ps3_vision_model',
    pretrained: false,
    dynamic_img_size: true,
    img_size: null,
    drop: 0,
    class_token: null,
    final_norm: false,
    ...rest,
    model_name: vision.modelName,
    hidden_size: vision.width,
    pool: 'map',
    drop_path: vision.dropPath || null,
    patch_drop: null,
    ps3_scales: vision.scalesPx,
    select_based_on_layer: vision.selectionLayers,
    max_select_num: vision.maxSelect,
    max_select_num_each_scale: isShared ? null : vision.budgets,
    separate_pos_emb: vision.separatePosEmb,
    highres_selection_feature: aux !== null,
    ...(aux && {
      highres_selection_module_hidden_dim: aux.hiddenWidth,
      highres_selection_module_out_dim: aux.outChannels,
      highres_selection_module_depth: aux.depth,
      highres_selection_module_kernel_size: aux.kernelPx,
    }),
    radio: adapter !== null,
    radio_adapter_mlp_version: adapter && 'v2',
    radio_adapter_mlp_input_dim: adapter ? vision.width : null,
    radio_adapter_mlp_hidden_dim: adapter?.hiddenWidth ?? null,
    radio_adapter_mlp_output_dim: adapter?.outputWidth ?? null,
    radio_adapter_mlp_num_inner: adapter?.innerBlocks ?? null,
    ...(adapter && { final_norm: vision.hasFinalNorm }),
    vision_tower_name: vision.modelName,
    image_size: vision.scalesPx.at(-1),
    patch_size: vision.patchPx,
    ...ownKeys(vision),
  };
}

/** The keys of ours that `vision_config` needs: those whose value does not follow from the official ones. */
function ownKeys(vision: VisionConfig): Record<string, unknown> {
  const named = vision.modelName === null ? undefined : resolveBackbone(vision.modelName);
  const { attnPool, adapter, patchPx } = vision;
  const imgSize = typeof vision.hub.img_size === 'number' ? vision.hub.img_size : undefined;
  const usualPx = imgSize ?? named?.imagePx ?? vision.scalesPx[0];
  const keys: [name: string, value: unknown, usual: unknown][] = [
    ['patch_size_px', patchPx, named?.patchPx],
    ['depth', vision.depth, named?.depth],
    ['low_res_cache', vision.lowResCache, true],
    ['tied_pos_emb_residual', vision.tiedPositions, false],
    ['num_heads', vision.heads, named?.heads],
    ['mlp_ratio', vision.mlpRatio, named?.mlpRatio],
    ['pos_grid_side', vision.posGridSide, Math.floor(usualPx / patchPx)],
    ['attn_pool_heads', attnPool.heads, adapter ? RADIO_POOL.heads : vision.heads],
    ['attn_pool_mlp_ratio', attnPool.mlpRatio, adapter ? RADIO_POOL.mlpRatio : vision.mlpRatio],
    ['aux_image_px', vision.auxEncoder?.imagePx ?? AUX_IMAGE_PX, AUX_IMAGE_PX],
  ];
  if (vision.gelu === 'tanh') keys.push(['act_kwargs', { approximate: 'tanh' }, undefined]);
  const unusual = keys.filter(([, value, usual]) => value !== usual);
  return unusual.length ? { ps3_webgpu: true, ...Object.fromEntries(unusual) } : {};
}

function toHubText(text: TextConfig): Record<string, unknown> {
  const { act_kwargs, norm_kwargs } = text.hub;
  return {
    architectures: ['PS3TextModel'],
    model_type: 'ps3_text_model',
    tokenizer_kwargs: { clean: 'canonicalize' },
    pad_id: 0,
    final_ln_after_pool: false,
    output_tokens: false,
    ...text.hub,
    output_dim: text.outputDim,
    prompt_proj_dim: text.promptProjDim,
    context_length: text.contextLength,
    vocab_size: text.vocabSize,
    hf_tokenizer_name: text.tokenizerName,
    width: text.width,
    heads: text.heads,
    layers: text.layers,
    mlp_ratio: text.mlpRatio,
    ls_init_value: null,
    embed_cls: false,
    no_causal_mask: true,
    pool_type: 'last',
    proj_bias: true,
    act_kwargs: { ...Object(act_kwargs), ...(text.gelu === 'tanh' && { approximate: 'tanh' }) },
    norm_kwargs: { ...Object(norm_kwargs), eps: text.lnEps },
  };
}
