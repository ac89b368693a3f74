// Batches put together from images and captions, and loaded from images in memory.
import { type Engine, expectKeys, type Scope, type Tensor } from '../../engine/index.ts';
import type { Sample } from '../data/annotations.ts';
import { type Box, boxCells, cropImage, exactGridSide } from '../data/boxes.ts';
import { SAMPLER_OPTIONS, type SampleDraw, Sampler, type SamplerOptions } from '../data/sampler.ts';
import type { ModelConfig } from '../model/config/config.ts';
import type { Tokenizer } from '../model/text/tokenizer.ts';
import type { HostTensor, Made } from './batches.ts';
import type { Batch } from './loss.ts';

/** How batches are drawn and what is a positive in them. */
export interface BatchLoaderOptions extends SamplerOptions {
  /** Samples of equal captions are positives of each other; true by default. */
  readonly sameCaptionPositives?: boolean;
}

/** The keys of `BatchLoaderOptions`. */
export const BATCH_LOADER_OPTIONS: Readonly<Record<keyof BatchLoaderOptions, true>> = {
  ...SAMPLER_OPTIONS,
  sameCaptionPositives: true,
};

/** A batch of the second stage that is put together, sample by sample. */
export class Assembly {
  readonly #side: number;
  /** Boxes travel as the cells of one grid that they touch, from which those of every scale follow exactly. */
  readonly #gridSide: number;
  readonly #draws: SampleDraw[] = [];
  readonly #image: Uint8Array;

  /**
   * @param count  of samples
   * @param side   of the images, pixels
   */
  constructor(count: number, side: number, gridSides: readonly number[]) {
    this.#side = side;
    this.#gridSide = exactGridSide(gridSides, side);
    this.#image = new Uint8Array(count * side * side * 4);
  }

  /** Shows a sample in a place. @param rgba  [side, side, 4] */
  put(place: number, draw: SampleDraw, rgba: Uint8Array): void {
    this.#draws[place] = draw;
    this.#image.set(rgba, place * rgba.length);
  }

  /** The batch, once every place is filled. @param classes  numbers of captions */
  finish(
    tokenizer: Tokenizer,
    sameCaptionPositives: boolean,
    classes: typeof classesOf = classesOf,
  ): Made<Batch> {
    const draws = this.#draws;
    const B = draws.length;
    const captions = draws.map(({ caption }) => caption);
    const { ids, cutCaptions } = countedIds(tokenizer, captions);
    const host = {
      image: { data: this.#image, shape: [B, this.#side, this.#side, 4] },
      ids,
      box: this.#maps(({ boxes }) => boxes),
      allBoxes: this.#maps(({ allBoxes }) => allBoxes),
      isGlobal: { data: Float32Array.from(draws, ({ isGlobal }) => Number(isGlobal)), shape: [B, 1] },
      isLocal: { data: Float32Array.from(draws, ({ isGlobal }) => Number(!isGlobal)), shape: [B] },
      ...(sameCaptionPositives && { classes: { data: classes(captions), shape: [B] } }),
    };
    return { host, facts: { cutCaptions } };
  }

  #maps(boxesOf: (draw: SampleDraw) => readonly Box[]): HostTensor {
    const side = this.#gridSide;
    const data = new Float32Array(this.#draws.length * side * side);
    this.#draws.forEach((draw, i) => {
      data.set(boxCells(boxesOf(draw), this.#side, side), i * side * side);
    });
    return { data, shape: [this.#draws.length, side, side] };
  }
}

/** Turns images with boxes and captions into training batches; each image at most once per batch unless asked for otherwise. */
export class BatchLoader {
  readonly #samples: readonly Sample[];
  readonly #tokenizer: Tokenizer;
  readonly #gridSides: readonly number[];
  readonly #sampler: Sampler;
  readonly #sameCaptionPositives: boolean;

  /**
   * @param config  of the model that the batches are for
   * @throws ShapeError for unknown options; DataError when a batch needs more images than there are, or one has no caption
   */
  constructor(
    samples: readonly Sample[],
    tokenizer: Tokenizer,
    config: ModelConfig,
    options: BatchLoaderOptions,
  ) {
    expectKeys('BatchLoader', options, BATCH_LOADER_OPTIONS);
    this.#samples = samples;
    this.#tokenizer = tokenizer;
    this.#gridSides = config.vision.gridSides;
    const { sameCaptionPositives = true, ...sampling } = options;
    this.#sameCaptionPositives = sameCaptionPositives;
    this.#sampler = new Sampler(samples, sampling);
  }

  /** The batch of a step, which depends on its number alone. */
  batch(step: number): Made<Batch> {
    const draws = this.#sampler.batch(step);
    const { side } = this.#samples[0];
    const assembly = new Assembly(draws.length, side, this.#gridSides);
    for (const [place, draw] of draws.entries()) {
      const { rgba } = this.#samples[draw.image];
      assembly.put(place, draw, draw.crop ? cropImage(rgba, side, draw.crop) : rgba);
    }
    return assembly.finish(this.#tokenizer, this.#sameCaptionPositives);
  }
}

/** Token ids of captions on the GPU, [B, L] i32. */
export function captionIds(
  engine: Engine,
  tokenizer: Tokenizer,
  captions: readonly string[],
  scope: Scope,
): Tensor {
  const { data, shape } = tokenIds(tokenizer, captions);
  return engine.tensor(data, shape, { scope });
}

/** Token ids of captions, [B, L] i32. */
export function tokenIds(tokenizer: Tokenizer, captions: readonly string[]): HostTensor {
  return countedIds(tokenizer, captions).ids;
}

/** Token ids of captions, [B, L] i32, and the share of the captions that are cut to fit L. */
export function countedIds(
  tokenizer: Tokenizer,
  captions: readonly string[],
): { ids: HostTensor; cutCaptions: number } {
  const { ids, counts } = tokenizer.encodeCounted(captions);
  const { contextLength: L } = tokenizer;
  const cut = counts.filter((count) => count > L).length;
  return { ids: { data: ids, shape: [captions.length, L] }, cutCaptions: cut / captions.length };
}

/** Equal captions get equal numbers: they are positives of each other, not false negatives. */
export function classesOf(captions: readonly string[]): Uint32Array {
  const known = new Map<string, number>();
  return Uint32Array.from(captions, (caption) => {
    if (!known.has(caption)) known.set(caption, known.size);
    return known.get(caption)!;
  });
}
