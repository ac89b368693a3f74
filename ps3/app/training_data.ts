// Images to train and to test on: Scenes, or the user's own collections.

import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Random } from '../../engine/index.ts';
import { loadAnnotatedBackgrounds } from '../data/annotated.ts';
import type { Sample } from '../data/annotations.ts';
import { pixelsOf } from '../data/boxes.ts';
import { openScenes, sceneSeed } from '../data/build.ts';
import type { CollectionSource, Fingerprint } from '../data/collection.ts';
import { cropToSquare } from '../data/decode.ts';
import { fingerprintSources } from '../data/fingerprint.ts';
import { openFolder } from '../data/folder.ts';
import { buildScene, type SceneKit, singleObjectCrop } from '../data/scenes.ts';
import { creditLine } from '../data/sources.ts';
import { Collections } from '../data/stream/collections.ts';
import type { SkipLog } from '../data/stream/skips.ts';
import { type OpenTransport, SINGLE } from '../ranks/transport.ts';
import type { ModelSizes, TrainConfig } from '../train/config.ts';
import type { ImageSource } from '../train/image_source.ts';
import { namesOf, nativeCrops, sceneViews } from '../train/scene_views.ts';
import { hashExchange, imageSource, streamedQuestions } from '../train/streams.ts';
import type { CropSource } from '../train/towers.ts';
import {
  type AskedImage,
  askedCards,
  askedSamples,
  cardSource,
  type QuestionSource,
} from '../train/vila_source.ts';

export interface TrainingData {
  readonly train: readonly Sample[] | Pick<ImageSource, 'batches'>;
  /** What `train` is, in words. */
  readonly trainedOn: string;
  readonly heldOut: readonly Sample[];
  /** How the held-out images differ from those of training; one sentence. */
  readonly heldOutMeans: string;
  readonly crops: CropSource | ImageSource;
  /** Crops of the held-out images' kind. */
  readonly heldOutCrops: CropSource;
  /** Every caption that training can show: the vocabulary. */
  readonly captions: () => Promise<readonly string[]>;
  /** What of collections was skipped. */
  readonly skips?: SkipLog;
  /** What a VILA-HD is trained and asked with. */
  readonly asked?: { readonly train: QuestionSource; readonly heldOut: AskedHeldOut };
  /** Where the images come from, one line each. */
  readonly credits: readonly string[];
  /** What a run that goes on must find again. */
  readonly fingerprint: Fingerprint;
}

/** Questions about held-out images, each about one of its own. */
export interface AskedHeldOut {
  readonly count: number;
  readonly at: (index: number) => AskedImage;
}

/** What of a run's configuration decides its images. */
export type DataConfig = Pick<TrainConfig, 'seed' | 'data' | 'ps3' | 'vila'> & {
  readonly model: Pick<ModelSizes, 'scalesPx' | 'patchPx'>;
};

/** What is being done, how much of it is done, and of how much; 0 where nobody knows. */
export type OnProgress = (what: string, done: number, all: number) => void;

/** @throws DataError when sources cannot be downloaded or a collection has nothing that can be used */
export async function loadTrainingData(
  config: DataConfig,
  onProgress?: OnProgress,
  transport: OpenTransport = SINGLE,
): Promise<TrainingData> {
  const { folder, sources } = config.data;
  const named = folder === null ? sources : [{ images: folder, annotations: null, weight: 1 }];
  return named === null ? scenes(config, onProgress) : collections(named, config, transport, onProgress);
}

async function scenes(
  { model, data, seed, ps3, vila }: DataConfig,
  onProgress?: OnProgress,
): Promise<TrainingData> {
  const side = model.scalesPx[model.scalesPx.length - 1];
  const opened = await openScenes({
    side,
    concepts: data.concepts,
    seed,
    photos: data.photos ?? undefined,
    styles: data.styles ?? undefined,
    spec: {
      objects: data.objects,
      objectPx: data.objectPx,
      distractors: data.distractors,
      // Batches that are composed for their step have the names of objects as all captions.
      ...(data.nativeCrops && { signs: [0, 0] as const }),
    },
    notice: (text) => onProgress?.(text, 0, 0),
  });
  const { splits } = opened;
  const { annotated } = data;
  const trainKit = await opened.kit(splits.train);
  if (annotated) {
    onProgress?.('loading annotated images', 0, 0);
    const images = (await Promise.all(annotated.folders.map(openFolder))).flat();
    trainKit.annotated = await loadAnnotatedBackgrounds(images, side, annotated);
  }
  const testKit = await opened.kit(splits.heldOutImages);
  const build = async (kit: SceneKit, name: string, count: number): Promise<Sample[]> => {
    const samples: Sample[] = [];
    for (let i = 0; i < count; i++) {
      samples.push({ key: `${name}-${i}`, ...buildScene(kit, sceneSeed(seed, name, i)) });
      if (i % 16 === 0) await new Promise((resolve) => setImmediate(resolve));
      onProgress?.(`building scenes (${name})`, i + 1, count);
    }
    return samples;
  };
  const { nativeCrops: crops, window } = data;
  const train = crops ? [] : await build(trainKit, 'train', data.scenes);
  // Questions compose their images themselves.
  const heldOut = await build(testKit, 'held out', vila ? 0 : data.heldOut);
  const lowPx = model.scalesPx[0];
  const cropsOf = (kit: SceneKit): CropSource =>
    crops
      ? nativeCrops(kit, model, crops, seed)
      : cropSource((step) => (i) => singleObjectCrop(kit, lowPx, sceneSeed(seed, `crop ${step}`, i)));
  return {
    train: crops ? sceneViews({ kit: trainKit, seed, crops, window, parts: ps3.accumulate }) : train,
    trainedOn: crops ? 'scenes composed for each step' : count(train.length, 'image'),
    heldOut,
    heldOutMeans: `Held-out images: other photographs than in training (${splits.heldOutImages.photos.length} against ${splits.train.photos.length}); the ${splits.train.objects.length} concepts are those of training, newly composed.`,
    crops: cropsOf(trainKit),
    heldOutCrops: cropsOf(testKit),
    asked: {
      train: cardSource(trainKit),
      heldOut: { count: data.heldOut, at: askedCards(testKit, seed) },
    },
    captions: async () => [
      ...namesOf(trainKit),
      ...train.flatMap((sample) => sample.captions),
      ...train.flatMap(({ globalCaption }) => globalCaption ?? []),
    ],
    credits: [
      ...opened.sources.credits.map(creditLine),
      ...(annotated?.folders ?? []).map((folder) => `${folder}: the user's own images`),
    ],
    fingerprint: await fingerprintSources(opened.sources),
  };
}

async function collections(
  sources: readonly CollectionSource[],
  { model, data, seed, vila }: DataConfig,
  { rank, size, channel }: OpenTransport,
  onProgress?: OnProgress,
): Promise<TrainingData> {
  const { scalesPx } = model;
  const { validation, heldOut: heldOutImages, shuffle, resampled, imagesInFlight, maxSkippedShare } = data;
  const train = await Collections.open({
    ...{
      sources,
      validation,
      heldOut: heldOutImages,
      seed,
      shuffle,
      resampled,
      imagesInFlight,
      maxSkippedShare,
      asked: vila !== null,
    },
    ...(size > 1 && { rank, ranks: size, exchangeHashes: hashExchange(channel()) }),
    cache: { folder: data.cacheFolder ?? join(tmpdir(), 'ps3-shards'), maxBytes: 1e9 * data.cacheGb },
  });
  const heldOut = await train.heldOut(scalesPx[scalesPx.length - 1], (done, all) =>
    onProgress?.('reading held-out images', done, all),
  );
  const names = sources.map(({ images }) => images).join(', ');
  const from = validation
    ? validation.images
    : `the last of ${count(train.shardCount, 'shard')}, drawn at random`;
  const images = imageSource(train);
  const questions = vila ? askedSamples(heldOut, seed) : [];
  return {
    train: images,
    ...(vila && {
      asked: {
        train: {
          texts: () => train.questions(data.vocabularyShards),
          batches: (tokenizer, options, from) => streamedQuestions(train, tokenizer, options, from),
        },
        heldOut: { count: questions.length, at: (i) => questions[i] },
      },
    }),
    skips: train.skips,
    trainedOn: `${count(train.shardCount, 'shard')} of ${names}`,
    heldOut,
    heldOutMeans: `Held-out images: ${heldOut.length} of ${from}; nothing of them was trained on.`,
    crops: images,
    heldOutCrops: await boxCrops(heldOut, scalesPx[0], seed),
    captions: () => {
      onProgress?.('reading captions', 0, 0);
      return train.captions(data.vocabularyShards);
    },
    credits: sources.map(({ images }) => `${images}: the user's own images`),
    fingerprint: await train.fingerprint(),
  };
}

const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;

/** Crops of the boxes of images in memory, each squashed to a square of `side`. */
async function boxCrops(samples: readonly Sample[], side: number, seed: number): Promise<CropSource> {
  const crops: Crop[] = [];
  for (const { rgba, side: width, boxes, captions } of samples)
    for (const [i, box] of boxes.entries()) {
      const crop = pixelsOf(box);
      crops.push({
        rgba: await cropToSquare({ rgba, width, height: width }, crop, side),
        caption: captions[i],
      });
    }
  return cropSource((step) => {
    const random = new Random(seed, step);
    return () => crops[random.integer(crops.length)];
  });
}

interface Crop {
  readonly rgba: Uint8Array;
  readonly caption: string;
}

/** Batches of crops; `cropsAt` gives the function that makes crop after crop of a step. */
function cropSource(cropsAt: (step: number) => (i: number) => Crop): CropSource {
  return (step, count) => {
    const cropAt = cropsAt(step);
    const crops = Array.from({ length: count }, (_, i) => cropAt(i));
    return { rgba: joined(crops.map(({ rgba }) => rgba)), captions: crops.map(({ caption }) => caption) };
  };
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
