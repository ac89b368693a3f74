// What joins a tower and a language model: `config.json` of a VILA-HD, and that of its projector.
import * as v from 'valibot';
import { type ParameterPlan, Plan } from '../model/checkpoint/init.ts';
import type { VisionConfig } from '../model/config/config.ts';
import { check, count, flag, natural } from '../model/config/schema.ts';

/** Places in the sizes of a projector: the key of the config files stands behind each. */
export interface VilaConfig {
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
  /** Patches along a side that become one token: `mm_projector_type`. */
  readonly ratio: 2 | 3;
}

const RATIOS = { mlp_downsample: 2, mlp_downsample_2x2_fix: 2, mlp_downsample_3x3_fix: 3 } as const;
type ProjectorType = keyof typeof RATIOS;
const TYPES = Object.keys(RATIOS) as ProjectorType[];

const vilaSchema = v.looseObject({
  model_type: v.literal('llava_topdown_llama', '"llava_topdown_llama"'),
  ps3: v.literal(true, 'true: only towers of PS3 are built'),
  look_close_mode: v.optional(
    v.picklist(['after_prompt', 'after_image'], '"after_prompt" or "after_image"'),
    'after_prompt',
  ),
  num_look_close: v.optional(natural, 1),
  num_token_look_close: v.nullish(natural, null),
  top_down_prompt_head_type: v.optional(v.picklist(['linear', 'mlp'], '"linear" or "mlp"'), 'linear'),
  high_res_pos_embed: v.optional(flag, false),
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
  return {
    lookMode: hub.look_close_mode,
    looks: hub.num_look_close,
    tokens: hub.num_token_look_close,
    promptHead: hub.look_close_mode === 'after_prompt' ? hub.top_down_prompt_head_type : null,
    hasPositions: hub.high_res_pos_embed,
    ratio: RATIOS[mm_projector_type],
  };
}

/** `config.json`, as the reference reads it. @param width  d, of the language model */
export function toVilaHub(config: VilaConfig, vision: VisionConfig, width: number): Record<string, unknown> {
  const { gridSides, scalesPx } = vision;
  return {
    architectures: ['LlavaTopDownLlamaModel'],
    model_type: 'llava_topdown_llama',
    ps3: true,
    look_close_mode: config.lookMode,
    num_look_close: config.looks,
    num_token_look_close: config.tokens,
    top_down_prompt_head_type: config.promptHead ?? 'linear',
    high_res_pos_embed: config.hasPositions,
    ps3_dynamic_aspect_ratio: false,
    mm_low_res_token_num: gridSides[0] ** 2,
    mm_scale_num: scalesPx.length,
    mm_hidden_size: vision.width,
    hidden_size: width,
    mm_vision_select_layer: -2,
    mm_vision_select_feature: 'cls_patch',
    image_aspect_ratio: 'resize',
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
  { promptHead, hasPositions, ratio }: VilaConfig,
  { width: C, gridSides }: VisionConfig,
  width: number,
): Map<string, ParameterPlan> {
  const plan = new Plan();
  const linear = (name: string, outputs: number, inputs: number): void =>
    plan.defaultLinear(name, [outputs, inputs]);
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
  if (promptHead === 'linear') head('', C, width);
  if (promptHead === 'mlp') {
    head('.fc1', 2 * C, width);
    plan.norm('top_down_prompt_head.norm', 2 * C);
    head('.fc2', C, 2 * C);
  }
  if (hasPositions) {
    plan.constant('high_res_pos_embed', [1, gridSides[0] ** 2, width], 0);
    for (const scale of gridSides.keys()) plan.constant(`high_res_scale_embed.${scale}`, [1, 1, width], 0);
  }
  return plan.parameters;
}
