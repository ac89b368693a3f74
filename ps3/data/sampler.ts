// Which sample of which image comes next: one pass over shuffled images is an epoch, and an image gives one
// sample a pass, so no batch holds two of one image (no intra-image contrast).
//
// A batch depends on the seed and the number of the step alone, which is all that resuming a run needs.

import { expectKeys, Random } from '../../engine/index.ts';
import type { Annotation } from './annotations.ts';
import { type Box, cropBoxes, type Rect, randomCrop } from './boxes.ts';
import { type CaptionOptions, processCaptions } from './captions.ts';
import { DataError } from './errors.ts';
import { seedFor } from './seeds.ts';

/** An image's annotation with the side that its boxes refer to. */
export interface SquareAnnotation extends Annotation {
  side: number;
}

/** How samples are drawn. */
export interface SamplerOptions {
  /** Samples per batch. */
  batchSize: number;
  /** Decides the order of the images, their captions and crops. */
  seed: number;
  /** Chance that an image with both kinds gives its global caption; 0.25 when left out. */
  globalProbability?: number;
  /** Samples that a batch has of each of its images, with different captions where it has as many; 1 when left out. */
  samplesPerImage?: number;
  /** Random resized crop of image and boxes; `pretraining` is area 0.9–1 and aspect 3/4–4/3. */
  crop?: 'none' | 'pretraining';
  /** What is done to captions; nothing when left out. */
  captions?: CaptionOptions;
}

/** The keys of `SamplerOptions`. */
export const SAMPLER_OPTIONS = {
  batchSize: true,
  seed: true,
  globalProbability: true,
  samplesPerImage: true,
  crop: true,
  captions: true,
} as const;

/** One sample of an image. */
export interface SampleDraw {
  isGlobal: boolean;
  caption: string;
  /** Index of the local caption, -1 for the global one. */
  captionIndex: number;
  /** What the caption speaks of: its box, or the whole image. Pixels after the crop. */
  boxes: Box[];
  /** Every box of the image, for the bottom-up target. Pixels after the crop. */
  allBoxes: Box[];
  /** The part of the image that is shown, squashed back to its side; undefined for all of it. */
  crop: Rect | undefined;
}

/** One sample of a batch. */
export interface Draw extends SampleDraw {
  /** Index of the image. */
  image: number;
}

/** How samples are drawn from an image. */
export interface DrawOptions extends Required<Pick<SamplerOptions, 'globalProbability' | 'captions'>> {
  /** Samples to draw, with different captions as long as there are others. */
  readonly count: number;
  /** Side of the square that they are shown in; boxes are in its pixels. */
  readonly side: number;
  /** The part that a sample shows; undefined for all of an image that has the side. */
  readonly cropOf: (random: Random) => Rect | undefined;
  /** What decides a sample, by its number. */
  readonly randomOf: (sample: number) => Random;
}

/** Draws samples from an image: by a coin its global caption or else a local one, with the box that it speaks of. */
export function drawSamples(annotation: Annotation, options: DrawOptions): SampleDraw[] {
  const draws: SampleDraw[] = [];
  const used = new Set<number>();
  for (let k = 0; k < options.count; k++) {
    const draw = drawSample(annotation, options, options.randomOf(k), used);
    used.add(draw.captionIndex);
    draws.push(draw);
  }
  return draws;
}

function drawSample(
  { boxes, captions, globalCaption }: Annotation,
  { side, cropOf, ...options }: DrawOptions,
  random: Random,
  used: ReadonlySet<number>,
): SampleDraw {
  const open = [...captions.keys()].filter((index) => !used.has(index));
  const isGlobalOpen = globalCaption !== undefined && !used.has(-1);
  const coin = random.uniform();
  const isGlobal =
    captions.length === 0 || (isGlobalOpen && (open.length === 0 || coin < options.globalProbability));
  const choices = open.length > 0 ? open : [...captions.keys()];
  const captionIndex = isGlobal ? -1 : choices[random.integer(choices.length)];
  const crop = cropOf(random);
  const place = (list: readonly Box[]): Box[] =>
    crop === undefined ? [...list] : cropBoxes(list, crop, side);
  const caption = isGlobal ? (globalCaption ?? '') : captions[captionIndex];
  return {
    isGlobal,
    caption: processCaptions([caption], options.captions, random),
    captionIndex,
    boxes: isGlobal ? [[0, 0, side, side]] : place([boxes[captionIndex]]),
    allBoxes: place(boxes),
    crop,
  };
}

/** Batches by the number of the step. */
export class Sampler {
  readonly #annotations: readonly SquareAnnotation[];
  readonly #options: Required<SamplerOptions>;
  /** The shuffled images of the epoch that was drawn from last. */
  #cached: { readonly epoch: number; readonly order: Uint32Array } | undefined;

  /**
   * @throws DataError when a batch needs more images than there are, or an image has no caption
   */
  constructor(annotations: readonly SquareAnnotation[], options: SamplerOptions) {
    expectKeys('Sampler', options, SAMPLER_OPTIONS);
    this.#annotations = annotations;
    const { batchSize, seed, globalProbability = 0.25, samplesPerImage = 1, crop = 'none' } = options;
    const { captions = { clean: false, sentenceMasking: false } } = options;
    this.#options = { batchSize, seed, globalProbability, samplesPerImage, crop, captions };
    const most = annotations.length * samplesPerImage;
    if (!Number.isInteger(batchSize) || batchSize < 1 || batchSize > most) {
      throw new DataError(
        `Sampler: the batch size must be a whole number within 1 to ${most} images, since a batch holds each image ${samplesPerImage === 1 ? 'once' : `${samplesPerImage} times`}, got ${batchSize}. Lower it or add images.`,
      );
    }
    if (!Number.isInteger(batchSize / samplesPerImage))
      throw new DataError(
        `Sampler: the batch size must be a multiple of the samples per image, ${samplesPerImage}, got ${batchSize}.`,
      );
    if (!(globalProbability >= 0 && globalProbability <= 1)) {
      throw new DataError(
        `Sampler: the global probability must be within 0 and 1, got ${globalProbability}.`,
      );
    }
    const bare = annotations.findIndex(
      ({ captions, globalCaption }) => captions.length === 0 && globalCaption === undefined,
    );
    if (bare >= 0)
      throw new DataError(`Sampler: every image must have a caption, got none for image ${bare}.`);
  }

  /** The images of an epoch in their order. */
  #order(epoch: number): Uint32Array {
    if (this.#cached?.epoch !== epoch) {
      const images = Uint32Array.from(this.#annotations.keys());
      const order = new Random(seedFor(this.#options.seed, 'order'), epoch).shuffle(images);
      this.#cached = { epoch, order };
    }
    return this.#cached.order;
  }

  #draws(epoch: number, image: number): Draw[] {
    const { samplesPerImage, seed, globalProbability, captions, crop } = this.#options;
    const { side } = this.#annotations[image];
    const draws = drawSamples(this.#annotations[image], {
      ...{ count: samplesPerImage, side, globalProbability, captions },
      cropOf: (random) => (crop === 'none' ? undefined : randomCrop(side, [0.9, 1], [3 / 4, 4 / 3], random)),
      randomOf: (k) => new Random(seedFor(seed, `draw ${epoch}${k === 0 ? '' : `, sample ${k}`}`), image),
    });
    return draws.map((draw) => ({ image, ...draw }));
  }

  /** Samples of different images. Those of an epoch that do not fill a batch are left out of it. */
  batch(step: number): Draw[] {
    const epoch = Math.floor(step / this.batchesPerEpoch);
    const start = (step % this.batchesPerEpoch) * this.#imagesPerBatch;
    const images = this.#order(epoch).subarray(start, start + this.#imagesPerBatch);
    return Array.from(images).flatMap((image) => this.#draws(epoch, image));
  }

  get #imagesPerBatch(): number {
    return this.#options.batchSize / this.#options.samplesPerImage;
  }

  /** Batches of one epoch. */
  get batchesPerEpoch(): number {
    return Math.floor(this.#annotations.length / this.#imagesPerBatch);
  }
}
