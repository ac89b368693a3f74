// What a training run sees: its images, and how samples are drawn from them.

import type { CaptionOptions } from '../data/captions.ts';
import type { CollectionPlaces, CollectionSource } from '../data/collection.ts';
import { expectConfig } from '../model/config/config.ts';

/** Lowest and highest, both included. */
export type Range = readonly [number, number];

/** What a run is trained on. */
export interface DataSection {
  /** A folder with annotations.jsonl, or with tar archives in images/ and annotations/; null: see `sources`. */
  readonly folder: string | null;
  /** Collections that are mixed; null, where `folder` is null too: generated scenes, which the last keys describe. */
  readonly sources: readonly CollectionSource[] | null;
  /** A collection to evaluate on; null: images of the last shard of each source, which are not trained on. */
  readonly validation: CollectionPlaces | null;
  /** Samples of a collection that are shuffled together, at least; 0: the order in which they are stored. */
  readonly shuffle: number;
  /** Shards are drawn with replacement; otherwise an epoch has each once. */
  readonly resampled: boolean;
  /** Images of a collection that are read and decoded at once, at most. */
  readonly imagesInFlight: number;
  /** Of the samples of a collection; when more cannot be used, the run stops. */
  readonly maxSkippedShare: number;
  /** Shards of each source whose captions are the vocabulary of a new model. */
  readonly vocabularyShards: number;
  /** Where archives behind addresses are kept; null: a folder for temporary files. */
  readonly cacheFolder: string | null;
  /** What they may take there, 10^9 bytes, besides those in use. */
  readonly cacheGb: number;
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
  /**
   * Scenes are composed anew for every step, and the towers see crops of objects at the resolution of the two finest scales
   * instead of low-res ones; null: `scenes` images are built once.
   */
  readonly nativeCrops: NativeCropsConfig | null;
  /** Annotated images that are backgrounds of a share of the scenes; needs `nativeCrops`. */
  readonly annotated: AnnotatedConfig | null;
  /** The second stage sees windows of scenes instead of all of them; needs `nativeCrops`. */
  readonly window: WindowConfig | null;
}

/** Crops of one object at the resolution of large images. */
export interface NativeCropsConfig {
  /** Patches along a side. */
  readonly gridSide: number;
  /** Of all crops, at the scale before the finest, with larger objects. */
  readonly coarseShare: number;
  /** In every batch of the second stage besides its images, so that names are not forgotten; 0: none. */
  readonly besides: number;
}

/** Backgrounds whose content is known. */
export interface AnnotatedConfig {
  /** With annotations.jsonl, each. */
  readonly folders: readonly string[];
  /** Of the scenes. */
  readonly share: number;
  /** Captions of boxes that scenes name, beside their objects; all others are something to look at, without a caption. */
  readonly names: readonly string[];
}

/** Windows of large images. */
export interface WindowConfig {
  /** Low-res patches along a side. */
  readonly cells: number;
  /** Captioned objects in one, all different. */
  readonly objects: Range;
  /** Patches of a look at one. */
  readonly maxSelect: number;
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

/** @throws ConfigError for keys that do not fit each other */
export function expectData(data: DataSection): void {
  for (const [name, [low, high]] of Object.entries({
    objects: data.objects,
    objectPx: data.objectPx,
    distractors: data.distractors,
  }))
    expectConfig(low <= high, `data.${name} must be the lowest, then the highest`, [low, high]);
  const { folder, sources, photos, validation, nativeCrops, annotated, window } = data;
  expectConfig(
    sources === null || folder === null,
    'data.folder must be null beside data.sources: name it there',
    folder,
  );
  expectConfig(sources?.length !== 0, 'data.sources must be null or name a collection', sources);
  const isScenes = folder === null && sources === null;
  expectConfig(
    nativeCrops === null || isScenes,
    'data.nativeCrops must be null beside data.folder and data.sources: they are of scenes',
    nativeCrops,
  );
  expectConfig(
    annotated === null || nativeCrops !== null,
    'data.annotated must be null where data.nativeCrops is: only scenes that are composed for a step name what is on them',
    annotated,
  );
  expectConfig(
    window === null || nativeCrops !== null,
    'data.window must be null where data.nativeCrops is: windows are composed with crops, step by step',
    window,
  );
  expectConfig(
    photos === null || isScenes,
    'data.photos must be null beside data.folder and data.sources: photographs are for scenes',
    photos,
  );
  expectConfig(
    validation === null || !isScenes,
    'data.validation must be null beside scenes, which have their own',
    validation,
  );
}
