// What a training run computes, as one checked object. presets.ts puts it together.
import * as v from 'valibot';
import { TILED_ENCODERS, type TiledEncoder } from '../model/baselines/tiled.ts';
import { expectConfig } from '../model/config/config.ts';
import {
  check,
  count,
  finite,
  flag,
  list,
  natural,
  nonNegative,
  onlyThese,
  positive,
  rate,
  text,
} from '../model/config/schema.ts';
import { isTower, PARTS, type Part } from '../model/parts.ts';
import type { CheckpointBlocks } from '../model/vision/vit.ts';
import { type DataSection, expectData, type SamplingSection } from './data_config.ts';
import { REDUCE_DTYPES, type ReduceDType } from './exchange.ts';
import type { LockConfig } from './lock.ts';
import type { PrecisionSection } from './precision_config.ts';
import type { StageName } from './run/progress.ts';
import { dataSchema, precisionSchema, samplingSchema, stageSchema, vilaSchema } from './section_schemas.ts';
import type { StageConfig } from './stage_config.ts';
import { expectVila, type VilaSection } from './vila_config.ts';

export type { StageConfig } from './stage_config.ts';

/** Sizes of a model that is made, in pixels, channels and blocks. */
export interface ModelSizes {
  /** Image side per scale, ascending; the first is the low-res one. Multiples of `patchPx`. */
  readonly scalesPx: readonly number[];
  /** Side of a patch. */
  readonly patchPx: number;
  /** D of the image tower. */
  readonly width: number;
  /** Blocks of the image tower. */
  readonly depth: number;
  /** H of both towers. */
  readonly heads: number;
  /** Hidden numbers of the MLPs of both towers per number of D. */
  readonly mlpRatio: number;
  /** Blocks whose outputs feed the selection; null: the first, the middle and the last. */
  readonly selectionLayers: readonly number[] | null;
  /** Patches of one look. */
  readonly maxSelect: number;
  /** Channels of the auxiliary encoder. */
  readonly auxWidth: number;
  /** Kernel and stride of the auxiliary encoder's stem. */
  readonly auxKernelPx: number;
  /** Side to which the image is resized for the auxiliary encoder; null: the largest scale. */
  readonly auxImagePx: number | null;
  /** D of the text tower. */
  readonly textWidth: number;
  /** Blocks of the text tower. */
  readonly textLayers: number;
  /** Position embeddings per scale depend on the place within a low-res patch alone, which short runs can train. */
  readonly tiedPositions: boolean;
  /** Tokens per caption. */
  readonly contextLength: number;
  /** Rows of the token table; null: as many as the captions have words. */
  readonly vocabSize: number | null;
}

/** Parts of the method, all of them true in the paper's; false takes one away. Source: the paper's table of ablations. */
export interface Method {
  /** Selected patches attend to the keys and values of the low-res pass too. */
  readonly lowResCache: boolean;
  /** A batch has one sample of an image; false: two, which are negatives of each other. */
  readonly oneSamplePerImage: boolean;
  /** Training selects by ground truth, not by prediction. */
  readonly teacherForcing: boolean;
  /** Only the selected tokens in the box are pooled. */
  readonly inBoxPooling: boolean;
  /** Captions of whole images are mixed in. */
  readonly globalMix: boolean;
  /** Patches of every scale are selected; false: of the highest alone. */
  readonly multiScale: boolean;
  /** Each scale has position embeddings besides the shared ones. */
  readonly scalePositions: boolean;
  /** A ConvNeXt at high resolution helps selection. */
  readonly auxEncoder: boolean;
}

/** A baseline over the same towers that the second stage trains instead of PS3, with the same captions, batches and optimizer. */
export interface BaselineConfig {
  /** How it sees images. */
  readonly encoder: TiledEncoder;
  /** Largest side at which it sees them, a multiple of the low-res side, up to the largest scale. */
  readonly sidePx: number;
}

/** Where constants of training come from: small runs here, the paper's text, or its released code. */
export const RECIPE_NAMES = ['demo', 'paper', 'released'] as const;
/** A name of `RECIPE_NAMES`. */
export type Recipe = (typeof RECIPE_NAMES)[number];

/** Everything that decides what a run computes; `config.json` of its folder. */
export interface TrainConfig {
  /** The preset that this began with. */
  readonly preset: string;
  /** Where the constants come from. */
  readonly recipe: Recipe;
  /** Decides weights, data and order. */
  readonly seed: number;
  /** What is trained, where it does not begin with a checkpoint. */
  readonly model: ModelSizes;
  /** Values that parameters begin with. */
  readonly init: {
    /**
     * A checkpoint to begin with: a folder, also of a run, or hf://owner/name. null: none. The sizes of a PS3 replace those of
     * `model`; of SigLIP's towers, those of the towers do, and logitScale and logitBias are theirs.
     */
    readonly from: string | null;
    /** Factors on the residual branches of the auxiliary encoder. */
    readonly layerScale: number;
    /** Standard deviation of the position embeddings per scale. */
    readonly positionResidualStd: number;
    /** Logarithm of the scale of the logits. */
    readonly logitScale: number;
    /** null: the logarithm of the share of positives among as many captions as there are concepts. */
    readonly logitBias: number | null;
  };
  /** What it is trained on. */
  readonly data: DataSection;
  /** How samples are drawn from images. */
  readonly sampling: SamplingSection;
  /** Weights of the losses beside the contrastive one, of weight 1. */
  readonly loss: {
    /** Of the supervision of the bottom-up map. */
    readonly bottomUp: number;
    /** Of the supervision of the top-down map. */
    readonly topDown: number;
    /** Of DICE beside the cross-entropy in both. */
    readonly dice: number;
    /** What the bottom-up map is to show: every box of the image, or that of the caption. */
    readonly bottomUpBoxes: 'all' | 'sampled';
    /** The scale of the logits is kept within 1 and this after every step. */
    readonly maxLogitScale: number;
    /**
     * Of the comparison of all captions with all places of a batch, and supervision of the top-down map by all captions of an
     * image: no part of the paper's method. Needs data.nativeCrops. 0: none, and one caption supervises the map.
     */
    readonly cross: number;
  };
  /** Of AdamW. */
  readonly optimizer: {
    /** Decay of the moments. */
    readonly betas: readonly [number, number];
    /** Added to the root of the second moment. */
    readonly eps: number;
    /** Of matrices, tables and kernels; none of biases, norms and scalars. */
    readonly weightDecay: number;
    /** Clips the global norm of the gradients; 0: no clipping. */
    readonly maxNorm: number;
    /** Decay of running means of the weights, which checkpoints and evaluations have instead of them; null: none. */
    readonly averageDecay: number | null;
  };
  /** Plain image and text towers from scratch, on crops of one object: in place of published ones. */
  readonly towers: StageConfig;
  /** The whole model, from these towers. */
  readonly ps3: StageConfig;
  /** What is kept as it begins. */
  readonly lock: LockConfig;
  /** Which blocks keep only their inputs for backward, and run again there: memory for time, the same bits. */
  readonly checkpointBlocks: CheckpointBlocks;
  /** How numbers are kept and multiplied. */
  readonly precision: PrecisionSection;
  /** How several processes train one model. */
  readonly ranks: {
    /** As what gradients travel: bf16 is half the bytes and rounds them twice. */
    readonly reduce: ReduceDType;
  };
  /** Steps between checkpoints. */
  readonly saveEvery: number;
  /** Minutes after which a checkpoint is made besides; null: none. */
  readonly saveEveryMinutes: number | null;
  /** Which checkpoints stay. */
  readonly checkpoints: {
    /** The last ones, so many. */
    readonly keep: number;
    /** Besides, the weights with the best evaluation by this number of it, such as `retrieval.predicted`, in best/; null: none. */
    readonly best: string | null;
  };
  /** When the held-out images are asked about while training. */
  readonly evaluation: {
    /** Steps of the second stage between evaluations, and one at its end; null: none. */
    readonly everySteps: number | null;
    /** On so many held-out images, the same ones every time; null for all. At the end of a run it is all of them. */
    readonly images: number | null;
  };
  /** What is left of the paper's method. */
  readonly method: Method;
  /** What is trained in the place of PS3; null: PS3. */
  readonly baseline: BaselineConfig | null;
  /** A VILA-HD that is trained on questions about scenes, on the PS3 that `init.from` names, or nano-4k of this package; a VILA-HD that it names goes on; null: none, PS3 itself is trained. */
  readonly vila: VilaSection | null;
}

/** The configuration of a stage. @throws ConfigError for one of a VILA-HD where there is none */
export function stageConfig(
  config: Pick<TrainConfig, 'towers' | 'ps3' | 'vila'>,
  name: StageName,
): StageConfig {
  if (name === 'towers' || name === 'ps3') return config[name];
  expectConfig(config.vila !== null, `vila must say how ${name} is trained`, null);
  return config.vila[name];
}

const schema: v.GenericSchema<unknown, TrainConfig> = onlyThese({
  preset: text,
  recipe: v.picklist(RECIPE_NAMES, '"demo", "paper" or "released"'),
  seed: natural,
  model: onlyThese({
    scalesPx: list(count),
    patchPx: count,
    width: count,
    depth: count,
    heads: count,
    mlpRatio: positive,
    selectionLayers: v.nullable(list(natural)),
    maxSelect: count,
    auxWidth: count,
    auxKernelPx: count,
    auxImagePx: v.nullable(count),
    textWidth: count,
    textLayers: count,
    tiedPositions: v.optional(flag, false),
    contextLength: count,
    vocabSize: v.nullable(count),
  }),
  init: onlyThese({
    from: v.nullable(text),
    layerScale: finite,
    positionResidualStd: nonNegative,
    logitScale: finite,
    logitBias: v.nullable(finite),
  }),
  data: dataSchema,
  sampling: samplingSchema,
  loss: onlyThese({
    bottomUp: nonNegative,
    topDown: nonNegative,
    dice: nonNegative,
    bottomUpBoxes: v.picklist(['all', 'sampled'], '"all" or "sampled"'),
    maxLogitScale: positive,
    cross: v.optional(nonNegative, 0),
  }),
  optimizer: onlyThese({
    betas: v.tuple([rate, rate], 'a list of two numbers in [0, 1)'),
    eps: positive,
    weightDecay: nonNegative,
    maxNorm: nonNegative,
    averageDecay: v.nullable(rate),
  }),
  towers: stageSchema,
  ps3: stageSchema,
  lock: onlyThese({
    parts: v.array(v.picklist(PARTS, `one of ${PARTS.join(', ')}`), 'an array'),
    unlockedVisionGroups: natural,
    unlockedTextGroups: natural,
  }),
  checkpointBlocks: onlyThese({ lowRes: flag, highRes: flag, text: flag }),
  precision: precisionSchema,
  ranks: onlyThese({ reduce: v.picklist(REDUCE_DTYPES, '"f32" or "bf16"') }),
  saveEvery: count,
  saveEveryMinutes: v.nullable(positive),
  checkpoints: onlyThese({ keep: count, best: v.nullable(text) }),
  evaluation: onlyThese({ everySteps: v.nullable(count), images: v.optional(v.nullable(count), null) }),
  method: onlyThese({
    lowResCache: flag,
    oneSamplePerImage: flag,
    teacherForcing: flag,
    inBoxPooling: flag,
    globalMix: flag,
    multiScale: flag,
    scalePositions: flag,
    auxEncoder: flag,
  }),
  baseline: v.optional(
    v.nullable(
      onlyThese({
        encoder: v.picklist(TILED_ENCODERS, `one of ${TILED_ENCODERS.join(', ')}`),
        sidePx: count,
      }),
    ),
    null,
  ),
  vila: v.optional(v.nullable(vilaSchema), null),
});

/**
 * Checks a whole configuration.
 *
 * @throws ConfigError naming the path of the first key that is unknown, missing, of another type or does not fit others
 */
export function parseTrainConfig(json: unknown): TrainConfig {
  const config = check(schema, json, '');
  const { model, towers, ps3, method } = config;
  const { scalesPx, patchPx, width, textWidth, heads, maxSelect } = model;
  const ascending = scalesPx.every((px, i) => px % patchPx === 0 && (i === 0 || px > scalesPx[i - 1]));
  expectConfig(
    scalesPx.length >= 2 && ascending,
    `model.scalesPx must be two or more multiples of ${patchPx}, ascending`,
    scalesPx,
  );
  const patches = scalesPx.slice(1).reduce((sum, px) => sum + (px / patchPx) ** 2, 0);
  expectConfig(
    maxSelect <= patches,
    `model.maxSelect must be within the ${patches} high-res patches`,
    maxSelect,
  );
  const { vila } = config;
  const ofVila = vila && { align: vila.align, answers: vila.answers, select: vila.select };
  for (const [name, { batch, accumulate }] of Object.entries({ towers, ps3, ...ofVila }))
    expectConfig(
      batch % accumulate === 0,
      `${name}.accumulate must divide ${name}.batch, ${batch}, into parts of equal size`,
      accumulate,
    );
  for (const [name, value] of Object.entries({ width, textWidth }))
    expectConfig(value % heads === 0, `model.${name} must be a multiple of model.heads, ${heads}`, value);
  expectData(config.data);
  expectConfig(
    config.loss.cross === 0 || config.data.nativeCrops !== null,
    'loss.cross must be 0 where data.nativeCrops is null: only batches of scenes that are composed for a step have all captions',
    config.loss.cross,
  );
  expectTrained(config);
  expectVila(config);
  expectBaseline(config);
  expectConfig(
    config.checkpoints.best === null || config.evaluation.everySteps !== null,
    'checkpoints.best must be null where evaluation.everySteps is: nothing is compared',
    config.checkpoints.best,
  );
  expectConfig(
    method.oneSamplePerImage || ps3.batch % 2 === 0,
    'ps3.batch must be even where method.oneSamplePerImage is false',
    ps3.batch,
  );
  return config;
}

/** Tiles fill the image, and nothing finer than the images is made up. */
function expectBaseline({ baseline, data, model: { scalesPx } }: TrainConfig): void {
  if (baseline === null) return;
  const { sidePx } = baseline;
  expectConfig(
    sidePx % scalesPx[0] === 0 && sidePx <= scalesPx[scalesPx.length - 1],
    `baseline.sidePx must be a multiple of the low-res side, ${scalesPx[0]}, up to the largest scale, ${scalesPx[scalesPx.length - 1]}`,
    sidePx,
  );
  expectConfig(
    data.nativeCrops === null,
    'baseline must be null where data.nativeCrops is not: a baseline sees whole images',
    baseline,
  );
}

/** A stage that takes steps has something to train. */
function expectTrained({ lock, towers }: TrainConfig): void {
  const { parts } = lock;
  const isLocked = (part: Part): boolean =>
    parts.includes(part) &&
    !(part === 'vision' && lock.unlockedVisionGroups > 0) &&
    !(part === 'text' && lock.unlockedTextGroups > 0);
  expectConfig(!PARTS.every(isLocked), 'lock.parts must leave a part to train', parts);
  expectConfig(
    towers.steps === 0 || !PARTS.filter((part) => isTower(part)).every(isLocked),
    'towers.steps must be 0 where lock.parts holds both towers and the logits',
    towers.steps,
  );
}
