// What a training run sees: its images, and how samples are drawn from them.
import * as v from 'valibot';
import type { CaptionOptions } from '../data/captions.ts';
import { expectConfig } from '../model/config/config.ts';
import { count, flag, list, natural, onlyThese, share, text } from '../model/config/schema.ts';

/** Lowest and highest, both included. */
type Range = readonly [number, number];

/** What a run is trained on. */
export interface DataSection {
  /** A folder with annotations.jsonl; null: generated scenes, which the other keys describe. */
  readonly folder: string | null;
  /** A folder of photographs for backgrounds; null: openly licensed ones. */
  readonly photos: string | null;
  /** Images that are built once, kept in memory and drawn from. */
  readonly scenes: number;
  /** Images for evaluation, of which nothing is trained on. */
  readonly heldOut: number;
  /** Concepts that captions name. */
  readonly concepts: number;
  /** Drawing styles of the objects; null: all. */
  readonly styles: readonly string[] | null;
  /** Captioned objects per scene. */
  readonly objects: Range;
  /** Long side of captioned objects, pixels. */
  readonly objectPx: Range;
  /** Objects without a caption per scene. */
  readonly distractors: Range;
}

/** How samples are drawn from images. */
export interface SamplingSection {
  /** Chance that an image gives its global caption instead of a local one. */
  readonly globalShare: number;
  /** `pretraining`: random resized crop of image and boxes, area 0.9 to 1, aspect 3/4 to 4/3. */
  readonly crop: 'none' | 'pretraining';
  /** Samples of equal captions are positives of each other. */
  readonly sameCaptionPositives: boolean;
  /** What is done to captions before they are tokenized. */
  readonly captions: CaptionOptions;
}

const range = v.tuple([natural, natural], 'a list of two whole numbers from 0');

/** What `data` may hold. */
export const dataSchema: v.GenericSchema<unknown, DataSection> = onlyThese({
  folder: v.nullable(text),
  photos: v.nullable(text),
  scenes: count,
  heldOut: count,
  concepts: count,
  styles: v.nullable(list(text)),
  objects: range,
  objectPx: range,
  distractors: range,
});

/** What `sampling` may hold. */
export const samplingSchema: v.GenericSchema<unknown, SamplingSection> = onlyThese({
  globalShare: share,
  crop: v.picklist(['none', 'pretraining'], '"none" or "pretraining"'),
  sameCaptionPositives: flag,
  captions: onlyThese({ clean: flag, sentenceMasking: flag }),
});

/** @throws ConfigError for keys that do not fit each other */
export function expectData(data: DataSection): void {
  for (const [name, [low, high]] of Object.entries({
    objects: data.objects,
    objectPx: data.objectPx,
    distractors: data.distractors,
  }))
    expectConfig(low <= high, `data.${name} must be the lowest, then the highest`, [low, high]);
  expectConfig(
    data.photos === null || data.folder === null,
    'data.photos must be null beside data.folder: photographs are for scenes',
    data.photos,
  );
}
