// Configurations by name, and how one is put together: a preset, changed by a recipe, a file and single keys.

import { expectKeys } from '../../engine/index.ts';
import { expectConfig, type ModelConfig } from '../model/config/config.ts';
import { parseHubConfig } from '../model/config/hub_config.ts';
import { hubLook, type LookSizes } from '../model/config/look_sizes.ts';
import { parseTrainConfig, RECIPE_NAMES, type Recipe, type TrainConfig } from './config.ts';
import { NANO_4K_PRESETS } from './nano_4k.ts';
import { DEMO, PUBLISHED, SCENES } from './recipes.ts';
import { VILA_PRESETS } from './vila_presets.ts';

/** Constants of training by name, which replace those of a preset. Nothing here changes sizes, data or the towers' stage. */
const RECIPES: Readonly<Record<Recipe, Tree>> = {
  demo: {},
  /** As the paper's text has it: DICE beside the cross-entropy, and the bottom-up map supervised by all boxes. */
  paper: { ...PUBLISHED, loss: { ...DEMO.loss, dice: 1, bottomUpBoxes: 'all' } },
  /** As the released code has it: cross-entropy alone, and both maps supervised by the sampled box. */
  released: { ...PUBLISHED, loss: { ...DEMO.loss, dice: 0, bottomUpBoxes: 'sampled' } },
};

/** Scenes of the presets for GPUs. */
const LARGE_SCENES: TrainConfig['data'] = {
  ...SCENES,
  scenes: 800,
  heldOut: 256,
  concepts: 128,
  styles: null,
  objects: [4, 8],
  objectPx: [40, 96],
  distractors: [1, 3],
};

/** By name, as `ps3 train --preset` takes them. */
export const PRESETS: Readonly<Record<string, TrainConfig>> = {
  /** Under ten minutes on two CPU cores with a software adapter. */
  small: {
    ...DEMO,
    preset: 'small',
    model: {
      scalesPx: [56, 112, 224],
      patchPx: 14,
      width: 64,
      depth: 3,
      heads: 2,
      mlpRatio: 4,
      selectionLayers: null,
      maxSelect: 32,
      auxWidth: 32,
      auxKernelPx: 14,
      auxImagePx: null,
      textWidth: 64,
      textLayers: 1,
      tiedPositions: false,
      contextLength: 6,
      vocabSize: null,
    },
    data: {
      ...SCENES,
      scenes: 3000,
      heldOut: 128,
      concepts: 32,
      styles: ['noto'],
      objects: [3, 4],
      objectPx: [26, 48],
      distractors: [0, 1],
    },
    towers: { steps: 900, batch: 64, lr: 3e-3, warmup: 50, accumulate: 1 },
    ps3: { steps: 450, batch: 32, lr: 1.5e-3, warmup: 40, accumulate: 1 },
  },
  /**
   * For a discrete GPU; run to its end on two CPU cores only, with fewer steps and smaller batches, as the guide says. Operands
   * exceed 128 MiB, see `--plan`; the scenes take 2.6 GB of memory.
   */
  medium: {
    ...DEMO,
    preset: 'medium',
    model: {
      scalesPx: [112, 224, 448, 896],
      patchPx: 14,
      width: 256,
      depth: 8,
      heads: 4,
      mlpRatio: 4,
      selectionLayers: null,
      maxSelect: 512,
      auxWidth: 128,
      auxKernelPx: 28,
      auxImagePx: null,
      textWidth: 256,
      textLayers: 4,
      tiedPositions: false,
      contextLength: 24,
      vocabSize: null,
    },
    data: LARGE_SCENES,
    towers: { steps: 6000, batch: 256, lr: 1e-3, warmup: 200, accumulate: 1 },
    ps3: { steps: 4000, batch: 48, lr: 5e-4, warmup: 200, accumulate: 1 },
  },
  ...NANO_4K_PRESETS,
  ...VILA_PRESETS,
  /**
   * The published PS3-4K-SigLIP, trained as its code does: to be begun with SigLIP's towers,
   * `init.from=hf://timm/ViT-SO400M-14-SigLIP-384`, and to be planned for without. Its own images replace the scenes.
   */
  so400m: {
    ...DEMO,
    ...PUBLISHED,
    preset: 'so400m',
    recipe: 'released',
    loss: { ...DEMO.loss, dice: 0, bottomUpBoxes: 'sampled' },
    model: {
      scalesPx: [378, 756, 1512, 3780],
      patchPx: 14,
      width: 1152,
      depth: 27,
      heads: 16,
      mlpRatio: 3.7362,
      selectionLayers: [0, 9, 18, 26],
      maxSelect: 2560,
      auxWidth: 512,
      auxKernelPx: 28,
      auxImagePx: 1512,
      textWidth: 1152,
      textLayers: 27,
      tiedPositions: false,
      contextLength: 64,
      vocabSize: 32000,
    },
    data: LARGE_SCENES,
    towers: { steps: 0, batch: 32, accumulate: 1, lr: 5e-6, warmup: 0 },
  },
  /** Runs through every stage in seconds; learns nothing. */
  smoke: {
    ...DEMO,
    preset: 'smoke',
    model: {
      scalesPx: [28, 56, 112],
      patchPx: 14,
      width: 32,
      depth: 2,
      heads: 2,
      mlpRatio: 4,
      selectionLayers: null,
      maxSelect: 16,
      auxWidth: 16,
      auxKernelPx: 14,
      auxImagePx: null,
      textWidth: 32,
      textLayers: 1,
      tiedPositions: false,
      contextLength: 8,
      vocabSize: null,
    },
    data: {
      ...SCENES,
      scenes: 24,
      heldOut: 16,
      concepts: 32,
      styles: null,
      objects: [2, 2],
      objectPx: [16, 32],
      distractors: [0, 1],
    },
    towers: { steps: 6, batch: 8, lr: 1e-3, warmup: 2, accumulate: 1 },
    ps3: { steps: 6, batch: 4, lr: 1e-3, warmup: 2, accumulate: 1 },
  },
};

/** What makes a configuration, each changing the ones before. */
export interface ConfigSources {
  /** Name of the preset, instead of the file's. */
  readonly preset?: string;
  /** Name of the preset where nothing names one; default small. */
  readonly defaultPreset?: string;
  /** Constants of training instead of the preset's own. */
  readonly recipe?: Recipe;
  /** A part of a configuration: what the user's file says. */
  readonly file?: unknown;
  /** Single keys, `ps3.lr=5e-6`; a value is JSON, or else a text. */
  readonly set?: readonly string[];
}

/**
 * Puts a configuration together and checks it.
 *
 * @throws ConfigError for an unknown preset, and as `parseTrainConfig`
 */
export function trainConfig(sources: ConfigSources = {}): TrainConfig {
  expectKeys('trainConfig', sources, SOURCES);
  const { file = {}, set = [], defaultPreset = 'small' } = sources;
  expectConfig(isTree(file), 'the file must hold an object', file);
  const keys = set.map(assignment).reduce(merged, {});
  const preset = String(keys.preset ?? sources.preset ?? file.preset ?? defaultPreset);
  const names = Object.keys(PRESETS);
  expectConfig(names.includes(preset), `preset must be one of ${names.join(', ')}`, preset);
  const base = PRESETS[preset];
  const recipe = keys.recipe ?? sources.recipe ?? file.recipe ?? base.recipe;
  const constants = RECIPES[RECIPE_NAMES.find((name) => name === recipe) ?? 'demo'];
  const layers = [constants, file, keys, { preset, recipe }];
  return parseTrainConfig(layers.reduce<Tree>(merged, { ...base }));
}

/**
 * A configuration with some keys changed.
 *
 * @param set  single keys, `ps3.lr=5e-6`, as of `ConfigSources`
 * @throws ConfigError as `parseTrainConfig`
 */
export function changedConfig(config: TrainConfig, set: readonly string[]): TrainConfig {
  return parseTrainConfig(set.map(assignment).reduce(merged, { ...config }));
}

const SOURCES = { preset: true, defaultPreset: true, recipe: true, file: true, set: true } as const;

type Tree = Readonly<Record<string, unknown>>;

const isTree = (value: unknown): value is Tree =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** `over` on `under`, key by key; lists are replaced. */
function merged(under: Tree, over: Tree): Tree {
  const result: Record<string, unknown> = { ...under };
  for (const [key, value] of Object.entries(over)) {
    const before = result[key];
    result[key] = isTree(before) && isTree(value) ? merged(before, value) : value;
  }
  return result;
}

/** `a.b=1` as { a: { b: 1 } }. */
function assignment(words: string): Tree {
  const at = words.indexOf('=');
  expectConfig(at > 0, '--set must be KEY=VALUE, such as ps3.lr=5e-6', words);
  const value = words.slice(at + 1);
  const keys = words.slice(0, at).split('.');
  return keys.reduceRight<unknown>((inner, key) => ({ [key]: inner }), parsed(value)) as Tree;
}

function parsed(word: string): unknown {
  try {
    return JSON.parse(word);
  } catch {
    return word; // a text, which needs no quotes on a command line
  }
}

/** How the towers of a run become a PS3. */
export function lookSizes({ model, method }: Pick<TrainConfig, 'model' | 'method'>): LookSizes {
  const { scalesPx } = model;
  return {
    ...model,
    scalesPx: method.multiScale ? scalesPx : [scalesPx[0], scalesPx[scalesPx.length - 1]],
    lowResCache: method.lowResCache,
    scalePositions: method.scalePositions,
    auxEncoder: method.auxEncoder,
  };
}

/** The model that a run makes, in the terms of a published config.json. */
export function presetConfig(config: Pick<TrainConfig, 'model' | 'method'>, vocabSize: number): ModelConfig {
  const { width, depth, heads, mlpRatio, patchPx, scalesPx, ...text } = config.model;
  return parseHubConfig({
    architectures: ['PS3Model'],
    model_type: 'ps3',
    vision_config: {
      ...hubLook(lookSizes(config), depth),
      model_name: null,
      hidden_size: width,
      patch_size_px: patchPx,
      num_heads: heads,
      mlp_ratio: mlpRatio,
      depth,
      attn_pool_heads: heads,
      attn_pool_mlp_ratio: mlpRatio,
      pos_grid_side: scalesPx[0] / patchPx,
    },
    text_config: {
      output_dim: width,
      prompt_proj_dim: width,
      context_length: text.contextLength,
      vocab_size: vocabSize,
      width: text.textWidth,
      heads,
      layers: text.textLayers,
      mlp_ratio: mlpRatio,
      no_causal_mask: true,
      pool_type: 'last',
      proj_bias: true,
      norm_kwargs: { eps: 1e-6 },
    },
  });
}
