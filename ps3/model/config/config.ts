// What a PS3 model is made of. hub_config.ts reads it from a checkpoint's `config.json` and writes it back.
//
// Dimension key, for every file of ps3/:
//
//   B batch   T image tokens   L text tokens   M attended keys   D width    H heads   K head size   F mlp hidden
//   P numbers per patch (3·14·14)   S high-res scales   Y, X grid rows, columns   C channels   E embedding   V vocabulary

import { EngineError } from '../../../engine/errors.ts';

/** A configuration contradicts itself, or asks for what PS3 does not have. The message names the field. */
export class ConfigError extends EngineError {
  constructor(message: string) {
    super('config', message);
  }
}

/** One entry per key of `vision_config` (named behind each), and what follows from them. */
export interface VisionConfig {
  /** timm's name of the trunk; null when the sizes are given one by one */
  readonly modelName: string | null; // model_name
  /** side of a patch */
  readonly patchPx: number; // timm name, or patch_size_px
  /** D */
  readonly width: number; // timm name, or hidden_size
  /** blocks */
  readonly depth: number; // timm name, or depth
  /** H */
  readonly heads: number; // timm name, or num_heads
  /** K = D / H */
  readonly headSize: number;
  /** hidden numbers of the MLP per number of D */
  readonly mlpRatio: number; // timm name, or mlp_ratio
  /** F = floor(D · mlpRatio) */
  readonly mlpHidden: number;
  /** activation of the blocks and of the pooling head; the published models have erf */
  readonly gelu: 'erf' | 'tanh'; // act_kwargs.approximate, as in text_config
  /** of the blocks and the final norm; timm's ViTs have no other */
  readonly lnEps: number;
  /** chance to skip a block in training, which training here does not do: it refuses any but 0 */
  readonly dropPath: number; // drop_path
  /** false when the trunk ends without a LayerNorm */
  readonly hasFinalNorm: boolean; // radio, final_norm
  /** the stored position table is [1, posGridSide², D] */
  readonly posGridSide: number; // img_size / patch, or pos_grid_side
  /** how a grid gets its rows from that table: bicubic resampling, or its top left corner */
  readonly posMode: 'resampled' | 'cropped'; // radio
  /** image side per scale, ascending; the first is the low-res one */
  readonly scalesPx: readonly number[]; // ps3_scales
  /** patches per side, for every scale */
  readonly gridSides: readonly number[];
  /** blocks whose outputs feed the selection */
  readonly selectionLayers: readonly number[]; // select_based_on_layer
  /** patches per look */
  readonly maxSelect: number; // max_select_num
  /** patches per look and high-res scale [S]; their sum is maxSelect unless they are given */
  readonly budgets: readonly number[]; // max_select_num_each_scale
  /** learned position residuals for the high-res scales */
  readonly separatePosEmb: boolean; // separate_pos_emb
  /** these residuals depend on the place within a low-res patch alone: [1, (Y/G)², D] a scale, not [1, Y², D] */
  readonly tiedPositions: boolean; // tied_pos_emb_residual
  /** selected patches attend to the keys and values of the low-res pass */
  readonly lowResCache: boolean; // low_res_cache
  /** null when selection uses the trunk's features alone */
  readonly auxEncoder: AuxEncoderConfig | null; // highres_selection_feature
  /** pooling of the tokens to one embedding */
  readonly attnPool: AttnPoolConfig;
  /** null except in C-RADIO models */
  readonly adapter: AdapterConfig | null; // radio
  /** all keys of `vision_config` as they were read */
  readonly hub: Readonly<Record<string, unknown>>;
}

/** The shallow ConvNeXt that looks at the image once more; keys `highres_selection_module_...`. */
export interface AuxEncoderConfig {
  /** side to which the image is resized for it */
  readonly imagePx: number; // aux_image_px
  /** size and stride of the stem */
  readonly kernelPx: number; // ..._kernel_size
  /** side of its output: floor(imagePx / kernelPx) */
  readonly gridSide: number;
  /** channels between stem and output */
  readonly hiddenWidth: number; // ..._hidden_dim
  /** C */
  readonly outChannels: number; // ..._out_dim
  /** ConvNeXt blocks */
  readonly depth: number; // ..._depth
}

/** Attention pooling of the image tokens. */
export interface AttnPoolConfig {
  /** E, the width of the pooled embedding */
  readonly width: number;
  /** H */
  readonly heads: number; // attn_pool_heads
  /** hidden numbers of the MLP per number of its width */
  readonly mlpRatio: number; // attn_pool_mlp_ratio
  /** F = floor(width · mlpRatio) */
  readonly mlpHidden: number;
}

/** C-RADIO's MLP between trunk and attention pooling; keys `radio_adapter_mlp_...`, version v2. */
export interface AdapterConfig {
  /** numbers per token between its layers */
  readonly hiddenWidth: number; // ..._hidden_dim
  /** numbers per token behind it */
  readonly outputWidth: number; // ..._output_dim
  /** residual blocks between the first and the last layer */
  readonly innerBlocks: number; // ..._num_inner
}

/** How texts are brought into form: SigLIP's way, which drops punctuation, or lower case alone, as for SigLIP 2. */
export type TextCleaning = 'canonicalize' | 'lower';

/** Every way of `TextCleaning`. */
export const TEXT_CLEANING: readonly TextCleaning[] = ['canonicalize', 'lower'];

/**
 * One entry per key of `text_config`, and what follows from them. Every token attends to every other, the last one stands
 * for the text, and its projection has a bias: files that say otherwise are refused.
 */
export interface TextConfig {
  /** L */
  readonly contextLength: number; // context_length
  /** V */
  readonly vocabSize: number; // vocab_size
  /** name of the tokenizer at Hugging Face; null when the checkpoint has none */
  readonly tokenizerName: string | null; // hf_tokenizer_name
  /** D */
  readonly width: number; // width
  /** H */
  readonly heads: number; // heads
  /** K = D / H */
  readonly headSize: number;
  /** blocks */
  readonly layers: number; // layers
  /** hidden numbers of the MLP per number of D */
  readonly mlpRatio: number; // mlp_ratio
  /** F = floor(D · mlpRatio) */
  readonly mlpHidden: number;
  /** form of the activation */
  readonly gelu: 'erf' | 'tanh'; // act_kwargs.approximate
  /** how texts are brought into form before they become tokens */
  readonly clean: TextCleaning; // tokenizer_kwargs.clean
  /** added to the variance in every layer normalisation */
  readonly lnEps: number; // norm_kwargs.eps
  /** E */
  readonly outputDim: number; // output_dim
  /** width of the vision model, which takes the prompt */
  readonly promptProjDim: number; // prompt_proj_dim
  /** all keys of `text_config` as they were read */
  readonly hub: Readonly<Record<string, unknown>>;
}

/** How images become numbers: `preprocessor_config.json`. */
export interface ImageConfig {
  /** side of the square that images are squashed to, the largest scale */
  readonly imagePx: number; // image_size
  /** subtracted from red, green and blue in [0, 1] */
  readonly mean: readonly [number, number, number]; // mean
  /** what the difference is divided by */
  readonly std: readonly [number, number, number]; // std
}

/** Both towers: one `config.json`, and what `preprocessor_config.json` says of images. */
export interface ModelConfig {
  /** how images become numbers */
  readonly image: ImageConfig;
  /** the image tower */
  readonly vision: VisionConfig;
  /** the text tower */
  readonly text: TextConfig;
  /** the other keys of `config.json` */
  readonly hub: Readonly<Record<string, unknown>>;
}

/** What the official files leave unsaid: side to which the image is resized for the auxiliary encoder. */
export const AUX_IMAGE_PX = 1512;

/** And that C-RADIO models have SigLIP's attention pooling, whatever their trunk. */
export const RADIO_POOL = { heads: 16, mlpRatio: 3.7362 } as const;

/** Throws `config: <rule>, got <got>. <todo>` unless `condition` holds; the rule begins with the field's path. */
export function expectConfig(condition: boolean, rule: string, got: unknown, todo = ''): asserts condition {
  if (condition) return;
  const shown = typeof got === 'string' ? got : JSON.stringify(got);
  throw new ConfigError(`config: ${rule}, got ${shown}.${todo ? ` ${todo}` : ''}`);
}

/**
 * Shares the patches of a look among the high-res scales by their areas a_i = scalePx_i².
 *
 *   budget_i = floor(maxSelect · a_i / sum a),  the remainder to the last
 *
 * @param scalesPx  ascending; the first, low-res one gets nothing
 * @returns         [S], summing to maxSelect
 * Source: Shi et al. 2025, arXiv:2503.19903; the reference's PS3VisionEncoder.
 */
export function selectionBudgets(maxSelect: number, scalesPx: readonly number[]): number[] {
  const areas = scalesPx.slice(1).map((px) => px * px);
  const whole = total(areas);
  const budgets = areas.map((area) => Math.floor((maxSelect * area) / whole));
  budgets[budgets.length - 1] += maxSelect - total(budgets);
  return budgets;
}

/**
 * Side of the table of position residuals of a high-res scale: of its grid, or of a low-res patch where they are tied.
 *
 * @param scale  index of the scale, from 1
 * @throws ConfigError for tied residuals of a grid that does not divide into low-res patches
 */
export function residualSide(
  { gridSides, tiedPositions }: Pick<VisionConfig, 'gridSides' | 'tiedPositions'>,
  scale: number,
): number {
  if (!tiedPositions) return gridSides[scale];
  const side = gridSides[scale] / gridSides[0];
  expectConfig(
    Number.isInteger(side),
    'vision_config.ps3_scales must be multiples of the first where tied_pos_emb_residual is true',
    gridSides,
  );
  return side;
}

/** Sum of patch counts or areas. */
export function total(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}
