// Batches on the GPU from images in memory.
import { type Engine, expectKeys, type Scope, type Tensor } from '../../engine/index.ts';
import type { Sample } from '../data/annotations.ts';
import { type Box, boxCells, cropImage, exactGridSide } from '../data/boxes.ts';
import { type Draw, SAMPLER_OPTIONS, Sampler, type SamplerOptions } from '../data/sampler.ts';
import type { ModelConfig } from '../model/config/config.ts';
import type { Tokenizer } from '../model/text/tokenizer.ts';
import type { Batch } from './loss.ts';

/** How batches are drawn and what is a positive in them. */
export interface BatchLoaderOptions extends SamplerOptions {
  /** Samples of equal captions are positives of each other; true by default. */
  readonly sameCaptionPositives?: boolean;
}

const BATCH_LOADER_OPTIONS = { ...SAMPLER_OPTIONS, sameCaptionPositives: true } as const;

/** Turns images with boxes and captions into training batches; each image at most once per batch unless asked for otherwise. */
export class BatchLoader {
  readonly #engine: Engine;
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
    engine: Engine,
    samples: readonly Sample[],
    tokenizer: Tokenizer,
    config: ModelConfig,
    options: BatchLoaderOptions,
  ) {
    expectKeys('BatchLoader', options, BATCH_LOADER_OPTIONS);
    this.#engine = engine;
    this.#samples = samples;
    this.#tokenizer = tokenizer;
    // Boxes travel as the cells of one grid that they touch, from which those of every scale follow exactly.
    this.#gridSide = exactGridSide(config.vision.gridSides, samples[0].side);
    const { sameCaptionPositives = true, ...sampling } = options;
    this.#sameCaptionPositives = sameCaptionPositives;
    this.#sampler = new Sampler(samples, sampling);
  }

  /** The batch of a step, in `scope`. It depends on the number of the step alone. */
  batch(step: number, scope: Scope): Batch {
    const draws = this.#sampler.batch(step);
    return {
      image: this.#images(draws, scope),
      ids: captionIds(
        this.#engine,
        this.#tokenizer,
        draws.map(({ caption }) => caption),
        scope,
      ),
      box: this.#maps(
        draws.map(({ boxes }) => boxes),
        draws,
        scope,
      ),
      allBoxes: this.#maps(
        draws.map(({ allBoxes }) => allBoxes),
        draws,
        scope,
      ),
      isGlobal: this.#engine.tensor(
        Float32Array.from(draws, ({ isGlobal }) => Number(isGlobal)),
        [draws.length, 1],
        { scope },
      ),
      isLocal: this.#engine.tensor(
        Float32Array.from(draws, ({ isGlobal }) => Number(!isGlobal)),
        [draws.length],
        { scope },
      ),
      classes: this.#sameCaptionPositives
        ? this.#engine.tensor(classesOf(draws.map(({ caption }) => caption)), [draws.length], { scope })
        : undefined,
    };
  }

  #images(draws: readonly Draw[], scope: Scope): Tensor {
    const { side } = this.#samples[0];
    const rgba = new Uint8Array(draws.length * side * side * 4);
    draws.forEach(({ image, crop }, i) => {
      const pixels = this.#samples[image].rgba;
      rgba.set(crop ? cropImage(pixels, side, crop) : pixels, i * side * side * 4);
    });
    return this.#engine.tensor(rgba, [draws.length, side, side, 4], { scope });
  }

  #maps(boxes: readonly (readonly Box[])[], draws: readonly Draw[], scope: Scope): Tensor {
    const side = this.#gridSide;
    const map = new Float32Array(boxes.length * side * side);
    boxes.forEach((list, i) => {
      map.set(boxCells(list, this.#samples[draws[i].image].side, side), i * side * side);
    });
    return this.#engine.tensor(map, [boxes.length, side, side], { scope });
  }
}

/** Token ids of captions, [B, L] i32. */
export function captionIds(
  engine: Engine,
  tokenizer: Tokenizer,
  captions: readonly string[],
  scope: Scope,
): Tensor {
  const ids = tokenizer.encode([...captions]);
  return engine.tensor(ids, [captions.length, ids.length / captions.length], { scope });
}

/** Equal captions get equal numbers: they are positives of each other, not false negatives. */
export function classesOf(captions: readonly string[]): Uint32Array {
  const known = new Map<string, number>();
  return Uint32Array.from(captions, (caption) => {
    if (!known.has(caption)) known.set(caption, known.size);
    return known.get(caption)!;
  });
}
