// Batches from images in memory.
import { type Engine, expectKeys, type Scope, type Tensor } from '../../engine/index.ts';
import type { Sample } from '../data/annotations.ts';
import { type Box, boxCells, cropImage, exactGridSide } from '../data/boxes.ts';
import { type Draw, SAMPLER_OPTIONS, Sampler, type SamplerOptions } from '../data/sampler.ts';
import type { ModelConfig } from '../model/config/config.ts';
import type { Tokenizer } from '../model/text/tokenizer.ts';
import type { HostTensor, Made } from './batches.ts';
import type { Batch } from './loss.ts';

/** How batches are drawn and what is a positive in them. */
export interface BatchLoaderOptions extends SamplerOptions {
  /** Samples of equal captions are positives of each other; true by default. */
  readonly sameCaptionPositives?: boolean;
}

const BATCH_LOADER_OPTIONS = { ...SAMPLER_OPTIONS, sameCaptionPositives: true } as const;

/** Turns images with boxes and captions into training batches; each image at most once per batch unless asked for otherwise. */
export class BatchLoader {
  readonly #samples: readonly Sample[];
  readonly #tokenizer: Tokenizer;
  readonly #gridSide: number;
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
    // Boxes travel as the cells of one grid that they touch, from which those of every scale follow exactly.
    this.#gridSide = exactGridSide(config.vision.gridSides, samples[0].side);
    const { sameCaptionPositives = true, ...sampling } = options;
    this.#sameCaptionPositives = sameCaptionPositives;
    this.#sampler = new Sampler(samples, sampling);
  }

  /** The batch of a step, which depends on its number alone. */
  batch(step: number): Made<Batch> {
    const draws = this.#sampler.batch(step);
    const B = draws.length;
    const captions = draws.map(({ caption }) => caption);
    const { ids, cutCaptions } = countedIds(this.#tokenizer, captions);
    const host = {
      image: this.#images(draws),
      ids,
      box: this.#maps(draws, ({ boxes }) => boxes),
      allBoxes: this.#maps(draws, ({ allBoxes }) => allBoxes),
      isGlobal: { data: Float32Array.from(draws, ({ isGlobal }) => Number(isGlobal)), shape: [B, 1] },
      isLocal: { data: Float32Array.from(draws, ({ isGlobal }) => Number(!isGlobal)), shape: [B] },
      ...(this.#sameCaptionPositives && { classes: { data: classesOf(captions), shape: [B] } }),
    };
    return { host, facts: { cutCaptions } };
  }

  #images(draws: readonly Draw[]): HostTensor {
    const { side } = this.#samples[0];
    const data = new Uint8Array(draws.length * side * side * 4);
    draws.forEach(({ image, crop }, i) => {
      const pixels = this.#samples[image].rgba;
      data.set(crop ? cropImage(pixels, side, crop) : pixels, i * side * side * 4);
    });
    return { data, shape: [draws.length, side, side, 4] };
  }

  #maps(draws: readonly Draw[], boxesOf: (draw: Draw) => readonly Box[]): HostTensor {
    const side = this.#gridSide;
    const data = new Float32Array(draws.length * side * side);
    draws.forEach((draw, i) => {
      data.set(boxCells(boxesOf(draw), this.#samples[draw.image].side, side), i * side * side);
    });
    return { data, shape: [draws.length, side, side] };
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
