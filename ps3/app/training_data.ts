// Images to train and to test on: Scenes, or the user's own folder.
import { basename } from 'node:path';
import { Random } from '../../engine/index.ts';
import type { Sample } from '../data/annotations.ts';
import { cropImage } from '../data/boxes.ts';
import { openScenes, sceneSeed } from '../data/build.ts';
import { DataError } from '../data/errors.ts';
import { type Fingerprint, fingerprintFolder, fingerprintSources } from '../data/fingerprint.ts';
import { loadImage, openFolder } from '../data/folder.ts';
import { buildScene, type SceneKit, singleObjectCrop } from '../data/scenes.ts';
import { creditLine } from '../data/sources.ts';
import type { ModelSizes, TrainConfig } from '../train/config.ts';
import type { CropSource } from '../train/towers.ts';

export interface TrainingData {
  readonly train: readonly Sample[];
  readonly heldOut: readonly Sample[];
  /** How the held-out images differ from those of training; one sentence. */
  readonly heldOutMeans: string;
  readonly crops: CropSource;
  /** Crops of the held-out images' kind. */
  readonly heldOutCrops: CropSource;
  /** Every caption that training can show: the vocabulary. */
  readonly captions: readonly string[];
  /** Where the images come from, one line each. */
  readonly credits: readonly string[];
  /** What a run that goes on must find again. */
  readonly fingerprint: Fingerprint;
}

/** What of a run's configuration decides its images. */
export type DataConfig = Pick<TrainConfig, 'seed' | 'data'> & {
  readonly model: Pick<ModelSizes, 'scalesPx'>;
};

/** What is being done, how much of it is done, and of how much; 0 where nobody knows. */
export type OnProgress = (what: string, done: number, all: number) => void;

/** @throws DataError when sources cannot be downloaded or the folder is faulty */
export async function loadTrainingData(config: DataConfig, onProgress?: OnProgress): Promise<TrainingData> {
  const { folder } = config.data;
  return folder === null ? scenes(config, onProgress) : ownFolder(folder, config, onProgress);
}

async function scenes({ model, data, seed }: DataConfig, onProgress?: OnProgress): Promise<TrainingData> {
  const side = model.scalesPx[model.scalesPx.length - 1];
  const opened = await openScenes({
    side,
    concepts: data.concepts,
    seed,
    photos: data.photos ?? undefined,
    styles: data.styles ?? undefined,
    spec: { objects: data.objects, objectPx: data.objectPx, distractors: data.distractors },
    notice: (text) => onProgress?.(text, 0, 0),
  });
  const { splits } = opened;
  const trainKit = await opened.kit(splits.train);
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
  const train = await build(trainKit, 'train', data.scenes);
  const heldOut = await build(testKit, 'held out', data.heldOut);
  const lowPx = model.scalesPx[0];
  const cropsOf = (kit: SceneKit): CropSource =>
    cropSource((step) => (i) => singleObjectCrop(kit, lowPx, sceneSeed(seed, `crop ${step}`, i)));
  return {
    train,
    heldOut,
    heldOutMeans: `Held-out images: other photographs than in training (${splits.heldOutImages.photos.length} against ${splits.train.photos.length}); the ${splits.train.objects.length} concepts are those of training, newly composed.`,
    crops: cropsOf(trainKit),
    heldOutCrops: cropsOf(testKit),
    captions: [
      ...splits.train.objects.map((id) => opened.catalogue[id].name),
      ...train.flatMap((sample) => sample.captions),
      ...train.flatMap(({ globalCaption }) => globalCaption ?? []),
    ],
    credits: opened.sources.credits.map(creditLine),
    fingerprint: await fingerprintSources(opened.sources),
  };
}

async function ownFolder(
  folder: string,
  { model, data, seed }: DataConfig,
  onProgress?: OnProgress,
): Promise<TrainingData> {
  const side = model.scalesPx[model.scalesPx.length - 1];
  const images = await openFolder(folder);
  const samples: Sample[] = [];
  for (const image of images) {
    samples.push(await loadImage(image, side));
    onProgress?.(`reading ${basename(folder)}`, samples.length, images.length);
  }
  const withBoxes = samples.filter(({ boxes }) => boxes.length > 0);
  if (withBoxes.length < 10)
    throw new DataError(
      `loadTrainingData: ${folder} must hold at least 10 images with boxes, got ${withBoxes.length}.`,
    );
  const order = new Random(seed, 0x5117).shuffle(Uint32Array.from(withBoxes.keys()));
  const heldOutCount = Math.min(data.heldOut, Math.max(1, Math.floor(withBoxes.length / 10)));
  const pick = (indices: Uint32Array): Sample[] => Array.from(indices, (i) => withBoxes[i]);
  const heldOut = pick(order.subarray(0, heldOutCount));
  const train = pick(order.subarray(heldOutCount));
  const lowPx = model.scalesPx[0];
  const cropsOf = (images: readonly Sample[]): CropSource =>
    cropSource((step) => {
      const random = new Random(seed, step);
      return () => boxCrop(images[random.integer(images.length)], lowPx, random);
    });
  return {
    train,
    heldOut,
    heldOutMeans: `Held-out images: ${heldOut.length} of ${withBoxes.length} images of ${folder}, drawn at random.`,
    crops: cropsOf(train),
    heldOutCrops: cropsOf(heldOut),
    captions: train.flatMap(({ captions, globalCaption }) =>
      globalCaption ? [...captions, globalCaption] : captions,
    ),
    credits: [`${folder}: the user's own images`],
    fingerprint: await fingerprintFolder(folder, images),
  };
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
    return { rgba: join(crops.map(({ rgba }) => rgba)), captions: crops.map(({ caption }) => caption) };
  };
}

/** A random box of an image, squashed to a square of `side`. */
function boxCrop(sample: Sample, side: number, random: Random): Crop {
  const i = random.integer(sample.boxes.length);
  const [x1, y1, x2, y2] = sample.boxes[i].map(Math.round);
  const width = Math.max(1, Math.min(sample.side, x2) - x1);
  const height = Math.max(1, Math.min(sample.side, y2) - y1);
  const large = cropImage(sample.rgba, sample.side, { x: x1, y: y1, width, height });
  return { rgba: shrink(large, sample.side, side), caption: sample.captions[i] };
}

/** Box-filters a square image down to `side`. */
function shrink(rgba: Uint8Array, from: number, side: number): Uint8Array {
  const result = new Uint8Array(4 * side * side);
  const edge = (i: number): number => Math.floor((i * from) / side);
  for (let y = 0; y < side; y++)
    for (let x = 0; x < side; x++)
      for (let c = 0; c < 4; c++) {
        let total = 0;
        for (let v = edge(y); v < edge(y + 1); v++)
          for (let u = edge(x); u < edge(x + 1); u++) total += rgba[4 * (v * from + u) + c];
        result[4 * (y * side + x) + c] = total / ((edge(y + 1) - edge(y)) * (edge(x + 1) - edge(x)));
      }
  return result;
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
