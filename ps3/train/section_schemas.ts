// What sections of a run's configuration may hold, beside their types: types are public, and need no package.
import * as v from 'valibot';
import {
  count,
  flag,
  list,
  natural,
  nonNegative,
  onlyThese,
  positive,
  share,
  text,
} from '../model/config/schema.ts';
import type { EncoderConfig } from '../vila/config.ts';
import type { DataSection, SamplingSection } from './data_config.ts';
import type { PrecisionSection } from './precision_config.ts';
import type { StageConfig } from './stage_config.ts';
import type { VilaSection } from './vila_config.ts';

const range = v.tuple([natural, natural], 'a list of two whole numbers from 0');

const places = { images: text, annotations: v.optional(v.nullable(text), null) };

/** What `data` may hold. */
export const dataSchema: v.GenericSchema<unknown, DataSection> = onlyThese({
  folder: v.nullable(text),
  sources: v.nullable(list(onlyThese({ ...places, weight: v.optional(positive, 1) }))),
  validation: v.nullable(onlyThese(places)),
  shuffle: natural,
  resampled: flag,
  imagesInFlight: count,
  maxSkippedShare: share,
  vocabularyShards: count,
  cacheFolder: v.nullable(text),
  cacheGb: positive,
  photos: v.nullable(text),
  scenes: count,
  heldOut: count,
  concepts: count,
  styles: v.nullable(list(text)),
  objects: range,
  objectPx: range,
  distractors: range,
  nativeCrops: v.optional(
    v.nullable(
      onlyThese({
        gridSide: count,
        coarseShare: share,
        besides: natural,
      }),
    ),
    null,
  ),
  annotated: v.optional(v.nullable(onlyThese({ folders: list(text), share, names: list(text) })), null),
  window: v.optional(v.nullable(onlyThese({ cells: count, objects: range, maxSelect: count })), null),
});

/** What `sampling` may hold. */
export const samplingSchema: v.GenericSchema<unknown, SamplingSection> = onlyThese({
  globalShare: share,
  crop: v.picklist(['none', 'pretraining'], '"none" or "pretraining"'),
  sameCaptionPositives: flag,
  captions: onlyThese({ clean: flag, sentenceMasking: flag }),
});

/** What `precision` may hold. */
export const precisionSchema: v.GenericSchema<unknown, PrecisionSection> = onlyThese({
  activations: v.picklist(['f32', 'f16', 'bf16'], '"f32", "f16" or "bf16"'),
  products: v.optional(v.picklist(['f32', 'f16'], '"f32" or "f16"'), 'f32'), // runs of before have none
  lossScale: v.nullable(positive),
});

/** What the configuration of a stage may hold. */
export const stageSchema: v.GenericSchema<unknown, StageConfig> = onlyThese({
  steps: natural,
  batch: count,
  lr: positive,
  warmup: natural,
  accumulate: count,
});

/** Of a scale; a negative one counts from the end. */
const index = v.pipe(v.number('a whole number'), v.integer('a whole number'));

const encoderSchema: v.GenericSchema<unknown, EncoderConfig> = v.variant(
  'kind',
  [
    onlyThese({ kind: v.picklist(['ps3', 'low-res']) }),
    onlyThese({ kind: v.literal('anyres'), minTiles: count, maxTiles: count }),
    onlyThese({ kind: v.literal('s2'), scalesPx: list(count), resizeTo: index }),
    onlyThese({ kind: v.literal('dynamic-s2'), scalesPx: list(count), resizeTo: index, maxTiles: count }),
  ],
  'of kind ps3, low-res, anyres, s2 or dynamic-s2',
);

/** What `vila` may hold. */
export const vilaSchema: v.GenericSchema<unknown, VilaSection> = onlyThese({
  from: v.optional(v.nullable(text), null),
  language: onlyThese({
    width: count,
    layers: count,
    heads: count,
    kvHeads: count,
    mlpHidden: count,
    vocabSize: count,
    initialStd: positive,
  }),
  contextLength: v.optional(count, 1024),
  encoder: encoderSchema,
  window: v.nullable(onlyThese({ cells: count, maxSelect: count })),
  align: stageSchema,
  answers: stageSchema,
  select: stageSchema,
  questions: v.optional(count, 1),
  groundQuestions: natural,
  groundCards: v.optional(v.nullable(count), null),
  looks: v.optional(range, [1, 1]),
  languageRate: positive,
  towerRate: nonNegative,
  selection: nonNegative,
  reachesLanguage: flag,
});
