// Which sample of which image comes next: one pass over shuffled images is an epoch, and an image gives one
// sample a pass, so no batch holds two of one image (no intra-image contrast).
//
// Every draw depends on (seed, epoch, image) alone; two integers resume a run bit for bit.

import { expectKeys, Random } from '../../engine/index.ts';
import type { Annotation } from './annotations.ts';
import { type Box, cropBoxes, type Rect, randomCrop } from './boxes.ts';
import { DataError } from './errors.ts';
import { seedFor } from './seeds.ts';

/** An image's annotation with the side that its boxes refer to. */
export interface SquareAnnotation extends Annotation {
  side: number;
}

/** How samples are drawn. */
export interface SamplerOptions {
  batchSize: number;
  seed: number;
  /** Chance that an image with both kinds gives its global caption; 0.25 when left out. */
  globalProbability?: number;
  /** Random resized crop of image and boxes; `pretraining` is area 0.9–1 and aspect 3/4–4/3. */
  crop?: 'none' | 'pretraining';
}

const SAMPLER_OPTIONS = { batchSize: true, seed: true, globalProbability: true, crop: true } as const;

/** One sample of a batch. */
export interface Draw {
  /** Index of the image. */
  image: number;
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

/** The position of a sampler. */
export interface SamplerState {
  epoch: number;
  /** Images of this epoch that were drawn. */
  cursor: number;
}

/** Draws batches without end. */
export class Sampler {
  readonly #annotations: readonly SquareAnnotation[];
  readonly #options: Required<SamplerOptions>;
  #epoch = 0;
  #cursor = 0;
  #order: Uint32Array;

  /**
   * @throws DataError when a batch needs more images than there are, or an image has no caption
   */
  constructor(annotations: readonly SquareAnnotation[], options: SamplerOptions) {
    expectKeys('Sampler', options, SAMPLER_OPTIONS);
    this.#annotations = annotations;
    const { batchSize, seed, globalProbability = 0.25, crop = 'none' } = options;
    this.#options = { batchSize, seed, globalProbability, crop };
    if (!Number.isInteger(batchSize) || batchSize < 1 || batchSize > annotations.length) {
      throw new DataError(
        `Sampler: the batch size must be a whole number within 1 to ${annotations.length} images, since a batch holds each image once, got ${batchSize}. Lower it or add images.`,
      );
    }
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
    this.#order = this.#shuffled();
  }

  #shuffled(): Uint32Array {
    const order = Uint32Array.from(this.#annotations.keys());
    return new Random(seedFor(this.#options.seed, 'order'), this.#epoch).shuffle(order);
  }

  #draw(image: number): Draw {
    const { side, boxes, captions, globalCaption } = this.#annotations[image];
    const random = new Random(seedFor(this.#options.seed, `draw ${this.#epoch}`), image);
    const coin = random.uniform();
    const isGlobal =
      captions.length === 0 || (globalCaption !== undefined && coin < this.#options.globalProbability);
    const captionIndex = isGlobal ? -1 : random.integer(captions.length);
    const crop =
      this.#options.crop === 'none' ? undefined : randomCrop(side, [0.9, 1], [3 / 4, 4 / 3], random);
    const place = (list: readonly Box[]): Box[] =>
      crop === undefined ? [...list] : cropBoxes(list, crop, side);
    return {
      image,
      isGlobal,
      caption: isGlobal ? (globalCaption ?? '') : captions[captionIndex],
      captionIndex,
      boxes: isGlobal ? [[0, 0, side, side]] : place([boxes[captionIndex]]),
      allBoxes: place(boxes),
      crop,
    };
  }

  /** The next batch: `batchSize` different images. Images that do not fill a batch wait for the next epoch's order. */
  next(): Draw[] {
    const { batchSize } = this.#options;
    if (this.#cursor + batchSize > this.#order.length) {
      this.#epoch++;
      this.#cursor = 0;
      this.#order = this.#shuffled();
    }
    const images = this.#order.subarray(this.#cursor, this.#cursor + batchSize);
    const batch = Array.from(images, (image) => this.#draw(image));
    this.#cursor += batchSize;
    return batch;
  }

  /** Batches of one epoch. */
  get batchesPerEpoch(): number {
    return Math.floor(this.#order.length / this.#options.batchSize);
  }

  state(): SamplerState {
    return { epoch: this.#epoch, cursor: this.#cursor };
  }

  /**
   * Continues from the position of a sampler of the same data and options.
   *
   * @throws DataError when the state does not fit the data
   */
  restore({ epoch, cursor }: SamplerState): void {
    const fits = Number.isInteger(epoch) && epoch >= 0 && cursor % this.#options.batchSize === 0;
    if (!fits || cursor < 0 || cursor > this.#order.length) {
      throw new DataError(
        `Sampler: a state must fit ${this.#order.length} images in batches of ${this.#options.batchSize}, got epoch ${epoch}, cursor ${cursor}. Resume with the run's own data and batch size.`,
      );
    }
    this.#epoch = epoch;
    this.#cursor = cursor;
    this.#order = this.#shuffled();
  }
}
