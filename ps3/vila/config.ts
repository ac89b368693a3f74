// What joins a tower and a language model: `config.json` of a VILA-HD, and that of its projector.
import * as v from 'valibot';
import { type ParameterPlan, Plan } from '../model/checkpoint/init.ts';
import { expectConfig, type VisionConfig } from '../model/config/config.ts';
import { check, count, flag, natural } from '../model/config/schema.ts';
import { MODEL_TYPE } from './is_vila.ts';

/**
 * How images are seen. PS3 is asked where to look; the others see all of an image at once by its tower's low-res pass: over the
 * whole image, over tiles of it (AnyRes), over tiles at several scales that are joined on channels (S², dynamic S²). A tile is a
 * square of the lowest scale.
 */
export type EncoderConfig =
  | { readonly kind: 'ps3' | 'low-res' }
  | { readonly kind: 'anyres'; readonly minTiles: number; readonly maxTiles: number }
  | { readonly kind: 's2'; readonly scalesPx: readonly number[]; readonly resizeTo: number }
  | {
      readonly kind: 'dynamic-s2';
      readonly scalesPx: readonly number[];
      readonly resizeTo: number;
      readonly maxTiles: number;
    };

/** What joins a tower and a language model: the key of the config files stands behind each. */
export interface VilaConfig {
  /** How images are seen: `ps3`, `image_aspect_ratio`, `s2`, `dynamic_s2` and their numbers. */
  readonly encoder: EncoderConfig;
  /** Who decides where to look: the language model's state, or what stands out: `look_close_mode`. */
  readonly lookMode: 'after_prompt' | 'after_image';
  /** Looks of a full budget, unless `tokens` is given: `num_look_close`. */
  readonly looks: number;
  /** Patches in total: `num_token_look_close`. */
  readonly tokens: number | null;
  /** What makes the prompt of a state; null: nothing does: `top_down_prompt_head_type`. */
  readonly promptHead: 'linear' | 'mlp' | null;
  /** Whether tokens have places of their own: `high_res_pos_embed`. */
  readonly hasPositions: boolean;
  /** Whether the highest scale is left to images that are large enough for it: `ps3_dynamic_aspect_ratio`; default false. */
  readonly dynamicScales?: boolean;
  /** Patches along a side that become one token: `mm_projector_type`. */
  readonly ratio: 2 | 3;
}

const RATIOS = { mlp_downsample: 2, mlp_downsample_2x2_fix: 2, mlp_downsample_3x3_fix: 3 } as const;
type ProjectorType = keyof typeof RATIOS;
const TYPES = Object.keys(RATIOS) as ProjectorType[];

const vilaSchema = v.looseObject({
  model_type: v.literal(MODEL_TYPE, `"${MODEL_TYPE}"`),
  ps3: v.optional(flag, false),
  image_aspect_ratio: v.optional(
    v.picklist(['resize', 'dynamic', 'dynamic_s2'], '"resize", "dynamic" or "dynamic_s2"'),
    'resize',
  ),
  min_tiles: v.optional(count, 1),
  max_tiles: v.optional(count, 12),
  s2: v.optional(flag, false),
  dynamic_s2: v.optional(flag, false),
  s2_scales: v.optional(v.pipe(v.string(), v.regex(/^(\d+(,\d+)*)?$/, 'numbers with commas between')), ''),
  s2_resize_output_to_scale_idx: v.optional(v.pipe(v.number(), v.integer()), 0),
  look_close_mode: v.optional(
    v.picklist(['after_prompt', 'after_image'], '"after_prompt" or "after_image"'),
    'after_prompt',
  ),
  num_look_close: v.optional(natural, 1),
  num_token_look_close: v.nullish(natural, null),
  top_down_prompt_head_type: v.optional(v.picklist(['linear', 'mlp'], '"linear" or "mlp"'), 'linear'),
  high_res_pos_embed: v.optional(flag, false),
  ps3_dynamic_aspect_ratio: v.optional(flag, false),
  mm_vision_select_layer: v.optional(v.literal(-2, '-2, the block before the last'), -2),
  mm_vision_select_feature: v.optional(v.literal('cls_patch', '"cls_patch"'), 'cls_patch'),
  hidden_size: v.optional(count),
});

const projectorSchema = v.looseObject({
  mm_projector_type: v.picklist(TYPES, `one of ${TYPES.join(', ')}`),
});

/**
 * Reads the parsed `config.json` of a checkpoint and that of its `mm_projector/`.
 *
 * @throws ConfigError naming the first key that is wrong or asks for what is not built
 */
export function parseVilaConfig(json: unknown, projector: unknown): VilaConfig {
  const hub = check(vilaSchema, json, 'config.json');
  const { mm_projector_type } = check(projectorSchema, projector, 'mm_projector/config.json');
  const asks = hub.ps3 && hub.look_close_mode === 'after_prompt';
  return {
    encoder: parseEncoder(hub),
    lookMode: hub.look_close_mode,
    looks: hub.num_look_close,
    tokens: hub.num_token_look_close,
    promptHead: asks ? hub.top_down_prompt_head_type : null,
    hasPositions: hub.ps3 && hub.high_res_pos_embed,
    ...(hub.ps3 && hub.ps3_dynamic_aspect_ratio && { dynamicScales: true }),
    ratio: RATIOS[mm_projector_type],
  };
}

function parseEncoder(hub: v.InferOutput<typeof vilaSchema>): EncoderConfig {
  if (hub.ps3) return { kind: 'ps3' };
  const { min_tiles: minTiles, max_tiles: maxTiles, s2_resize_output_to_scale_idx: resizeTo } = hub;
  const isDynamic = hub.dynamic_s2 || hub.image_aspect_ratio === 'dynamic_s2';
  if (isDynamic || hub.s2) {
    const scalesPx = hub.s2_scales.split(',').map(Number);
    expectConfig(hub.s2_scales !== '', 'config.json.s2_scales must name the scales of S²', '""');
    return isDynamic
      ? { kind: 'dynamic-s2', scalesPx, resizeTo, maxTiles }
      : { kind: 's2', scalesPx, resizeTo };
  }
  return hub.image_aspect_ratio === 'dynamic' ? { kind: 'anyres', minTiles, maxTiles } : { kind: 'low-res' };
}

/** The keys of `config.json` that say how images are seen. */
function toEncoderHub(encoder: EncoderConfig): Record<string, unknown> {
  const joined = 'scalesPx' in encoder && {
    s2: true,
    s2_scales: encoder.scalesPx.join(),
    s2_max_split_size: encoder.scalesPx[0],
    s2_resize_output_to_scale_idx: encoder.resizeTo,
  };
  switch (encoder.kind) {
    case 'anyres':
      return { image_aspect_ratio: 'dynamic', min_tiles: encoder.minTiles, max_tiles: encoder.maxTiles };
    case 's2':
      return { image_aspect_ratio: 'resize', ...joined };
    case 'dynamic-s2':
      return { image_aspect_ratio: 'dynamic_s2', dynamic_s2: true, max_tiles: encoder.maxTiles, ...joined };
    default:
      return { image_aspect_ratio: 'resize' };
  }
}

/** `config.json`, as the reference reads it. @param width  d, of the language model */
export function toVilaHub(config: VilaConfig, vision: VisionConfig, width: number): Record<string, unknown> {
  const { gridSides, scalesPx } = vision;
  return {
    architectures: ['LlavaTopDownLlamaModel'],
    model_type: MODEL_TYPE,
    ps3: config.encoder.kind === 'ps3',
    look_close_mode: config.lookMode,
    num_look_close: config.looks,
    num_token_look_close: config.tokens,
    top_down_prompt_head_type: config.promptHead ?? 'linear',
    high_res_pos_embed: config.hasPositions,
    ps3_dynamic_aspect_ratio: config.dynamicScales ?? false,
    mm_low_res_token_num: gridSides[0] ** 2,
    mm_scale_num: scalesPx.length,
    mm_hidden_size: vision.width,
    hidden_size: width,
    mm_vision_select_layer: -2,
    mm_vision_select_feature: 'cls_patch',
    ...toEncoderHub(config.encoder),
    image_encoder: JSON.stringify({ _target_: 'llava.model.encoders.BasicImageEncoder' }),
  };
}

/** `mm_projector/config.json`. */
export function toProjectorHub({ ratio }: VilaConfig): Record<string, unknown> {
  return {
    architectures: ['MultimodalProjector'],
    model_type: 'v2l_projector',
    mm_projector_type: ratio === 2 ? 'mlp_downsample' : 'mlp_downsample_3x3_fix',
  };
}

/**
 * The parameters of a projector, by the reference's names.
 *
 * @param width  d, of the language model
 * Source of the shapes: NVlabs/VILA, llava/model/multimodal_projector/base_projector.py.
 */
export function planProjector(
  { encoder, promptHead, hasPositions, ratio }: VilaConfig,
  { width: D, gridSides }: VisionConfig,
  width: number,
): Map<string, ParameterPlan> {
  const plan = new Plan();
  const linear = (name: string, outputs: number, inputs: number): void =>
    plan.defaultLinear(name, [outputs, inputs]);
  // S² joins the maps of its scales on channels.
  const C = 'scalesPx' in encoder ? D * encoder.scalesPx.length : D;
  const joined = ratio * ratio * C;
  plan.norm('layers.1', joined);
  if (ratio === 2) linear('layers.2', width, joined);
  else {
    linear('layers.2', 3 * C, joined);
    plan.norm('layers.4', 3 * C);
    linear('layers.5', width, 3 * C);
  }
  linear(ratio === 2 ? 'layers.4' : 'layers.7', width, width);
  const head = (name: string, outputs: number, inputs: number): void => {
    const initial = { kind: 'uniform', bound: 0.02 } as const;
    plan.put(`top_down_prompt_head${name}.weight`, [outputs, inputs], initial);
    plan.put(`top_down_prompt_head${name}.bias`, [outputs], initial);
  };
  if (promptHead === 'linear') head('', D, width);
  if (promptHead === 'mlp') {
    head('.fc1', 2 * D, width);
    plan.norm('top_down_prompt_head.norm', 2 * D);
    head('.fc2', D, 2 * D);
  }
  if (hasPositions) {
    plan.constant('high_res_pos_embed', [1, gridSides[0] ** 2, width], 0);
    for (const scale of gridSides.keys()) plan.constant(`high_res_scale_embed.${scale}`, [1, 1, width], 0);
  }
  return plan.parameters;
}
