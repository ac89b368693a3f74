// Sizes of what `npm start` trains, by what the adapter can do in ten minutes.

import { ConfigError, type ModelConfig } from '../model/config/config.ts';
import { parseHubConfig } from '../model/config/hub_config.ts';

/** How long and how fast one stage trains. */
export interface StagePreset {
  /** Optimizer steps. */
  readonly steps: number;
  /** Images per step. */
  readonly batch: number;
  /** Peak learning rate; linear warm-up, then half a cosine to zero. */
  readonly lr: number;
  /** Steps of the warm-up. */
  readonly warmup: number;
}

/** A model, its data and its training. */
export interface Preset {
  /** As `--preset` takes it. */
  readonly name: string;
  /** Image side per scale, ascending; the first is the low-res one. */
  readonly scalesPx: readonly number[];
  /** D of the image tower. */
  readonly width: number;
  /** Blocks of the image tower. */
  readonly depth: number;
  /** H of both towers. */
  readonly heads: number;
  /** Patches of one look. */
  readonly maxSelect: number;
  /** Channels of the auxiliary encoder. */
  readonly auxWidth: number;
  /** Kernel and stride of the auxiliary encoder's stem, pixels. */
  readonly auxKernelPx: number;
  /** D of the text tower. */
  readonly textWidth: number;
  /** Blocks of the text tower. */
  readonly textLayers: number;
  /** Tokens per caption. */
  readonly contextLength: number;
  /** Concepts that captions name. */
  readonly concepts: number;
  /** Scenes that are built once, kept in memory and drawn from. */
  readonly scenes: number;
  /** Scenes for evaluation, of which nothing is trained on. */
  readonly heldOutScenes: number;
  /** Drawing styles of the objects; default: all three. */
  readonly styles?: readonly string[];
  /** Captioned objects per scene: lowest and highest. */
  readonly objects: readonly [number, number];
  /** Long side of captioned objects in pixels: lowest and highest. */
  readonly objectPx: readonly [number, number];
  /** Objects without a caption per scene: lowest and highest. */
  readonly distractors: readonly [number, number];
  /** Small image and text towers on crops of one object. */
  readonly towers: StagePreset;
  /** PS3 from these towers. */
  readonly ps3: StagePreset;
}

/** By name, as `ps3 train --preset` takes them. */
export const PRESETS: Readonly<Record<string, Preset>> = {
  /** Under ten minutes on two CPU cores with a software adapter. */
  small: {
    name: 'small',
    scalesPx: [56, 112, 224],
    width: 64,
    depth: 3,
    heads: 2,
    maxSelect: 32,
    auxWidth: 32,
    auxKernelPx: 14,
    textWidth: 64,
    textLayers: 1,
    contextLength: 6,
    concepts: 32,
    scenes: 3000,
    heldOutScenes: 128,
    styles: ['noto'],
    objects: [3, 4],
    objectPx: [26, 48],
    distractors: [0, 1],
    towers: { steps: 900, batch: 64, lr: 3e-3, warmup: 50 },
    ps3: { steps: 450, batch: 32, lr: 1.5e-3, warmup: 40 },
  },
  /** For a discrete GPU; not yet run on one. No tensor of a step exceeds 128 MiB, the scenes take 2.6 GB of memory. */
  medium: {
    name: 'medium',
    scalesPx: [112, 224, 448, 896],
    width: 256,
    depth: 8,
    heads: 4,
    maxSelect: 512,
    auxWidth: 128,
    auxKernelPx: 28,
    textWidth: 256,
    textLayers: 4,
    contextLength: 8,
    concepts: 128,
    scenes: 800,
    heldOutScenes: 256,
    objects: [4, 8],
    objectPx: [40, 96],
    distractors: [1, 3],
    towers: { steps: 6000, batch: 256, lr: 1e-3, warmup: 200 },
    ps3: { steps: 4000, batch: 48, lr: 5e-4, warmup: 200 },
  },
  /** Runs through every stage in seconds; learns nothing. */
  smoke: {
    name: 'smoke',
    scalesPx: [28, 56, 112],
    width: 32,
    depth: 2,
    heads: 2,
    maxSelect: 16,
    auxWidth: 16,
    auxKernelPx: 14,
    textWidth: 32,
    textLayers: 1,
    contextLength: 8,
    concepts: 32,
    scenes: 24,
    heldOutScenes: 16,
    objects: [2, 2],
    objectPx: [16, 32],
    distractors: [0, 1],
    towers: { steps: 6, batch: 8, lr: 1e-3, warmup: 2 },
    ps3: { steps: 6, batch: 4, lr: 1e-3, warmup: 2 },
  },
};

/** @throws ConfigError for an unknown name */
export function presetNamed(name: string): Preset {
  const preset = PRESETS[name];
  if (!preset)
    throw new ConfigError(`train: --preset must be one of ${Object.keys(PRESETS).join(', ')}, got ${name}.`);
  return preset;
}

/** The model of a preset, in the terms of a published config.json. */
export function presetConfig(preset: Preset, vocabSize: number): ModelConfig {
  const { width, depth, heads, scalesPx } = preset;
  return parseHubConfig({
    architectures: ['PS3Model'],
    model_type: 'ps3',
    vision_config: {
      model_name: null,
      hidden_size: width,
      pool: 'map',
      ps3_scales: [...scalesPx],
      select_based_on_layer: [...new Set([0, Math.floor(depth / 2) - 1, depth - 1])],
      max_select_num: preset.maxSelect,
      separate_pos_emb: true,
      highres_selection_feature: true,
      highres_selection_module_hidden_dim: preset.auxWidth,
      highres_selection_module_out_dim: preset.auxWidth,
      highres_selection_module_depth: 3,
      highres_selection_module_kernel_size: preset.auxKernelPx,
      patch_size_px: 14,
      num_heads: heads,
      mlp_ratio: 4,
      depth,
      attn_pool_heads: heads,
      attn_pool_mlp_ratio: 4,
      aux_image_px: scalesPx[scalesPx.length - 1],
      pos_grid_side: scalesPx[0] / 14,
      ps3_webgpu: true,
    },
    text_config: {
      output_dim: width,
      prompt_proj_dim: width,
      context_length: preset.contextLength,
      vocab_size: vocabSize,
      width: preset.textWidth,
      heads,
      layers: preset.textLayers,
      mlp_ratio: 4,
      no_causal_mask: true,
      pool_type: 'last',
      proj_bias: true,
      norm_kwargs: { eps: 1e-6 },
    },
  });
}
