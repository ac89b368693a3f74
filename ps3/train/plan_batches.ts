// Batches of the shapes that training has, without numbers: what a plan goes through a step with.
import type { DType, Engine, Scope, Tensor } from '../../engine/index.ts';
import { exactGridSide } from '../data/boxes.ts';
import type { ModelConfig } from '../model/config/config.ts';
import { windowConfig } from '../model/vision/windows.ts';
import type { TrainConfig } from './config.ts';
import type { ShownCrops } from './crop_features.ts';
import type { Batch } from './loss.ts';
import type { CropBatch } from './towers.ts';

/** Makes the tensors of batches of a model and a run. */
export class EmptyBatches {
  readonly #engine: Engine;
  readonly #model: ModelConfig;
  readonly #config: TrainConfig;

  constructor(engine: Engine, model: ModelConfig, config: TrainConfig) {
    this.#engine = engine;
    this.#model = model;
    this.#config = config;
  }

  /** A part of a batch of the first stage. */
  crops(scope: Scope): CropBatch {
    const { batch, accumulate } = this.#config.towers;
    const count = batch / accumulate;
    const [ids, classes] = [this.#ids(count, scope), this.#empty([count], 'u32', scope)];
    return { ...this.#shown(count, scope), ids, classes };
  }

  /** A part of a batch of the second stage. */
  images(scope: Scope): Batch {
    const { data, ps3 } = this.#config;
    const { nativeCrops, window } = data;
    const count = ps3.batch / ps3.accumulate;
    const vision = window
      ? windowConfig(this.#model.vision, window.cells, window.maxSelect)
      : this.#model.vision;
    const side = window ? vision.scalesPx[vision.scalesPx.length - 1] : this.#model.image.imagePx;
    const grid = exactGridSide(vision.gridSides, side);
    const f32 = (...shape: number[]): Tensor => this.#empty(shape, 'f32', scope);
    const batch = {
      image: this.#empty([count, side, side, 4], 'u8', scope),
      ids: this.#ids(count, scope),
      box: f32(count, grid, grid),
      allBoxes: f32(count, grid, grid),
      isGlobal: f32(count, 1),
      isLocal: f32(count),
    };
    if (!nativeCrops) return batch;
    const { contextLength } = this.#model.text;
    const names = data.concepts + (data.annotated?.names.length ?? 0);
    const besides = nativeCrops.besides / ps3.accumulate;
    const shown = besides > 0 ? this.#shown(besides, scope) : undefined;
    return {
      ...batch,
      captions: this.#empty([count, names, contextLength], 'i32', scope),
      shares: f32(count, names, vision.gridSides[0] ** 2),
      ...(window && { origin: this.#empty([count, 2], 'u32', scope) }),
      ...(shown && {
        crops: shown.image,
        cropPlaces: shown.places,
        coarseCrops: shown.coarse,
        coarsePlaces: shown.coarsePlaces,
        cropIds: this.#ids(besides, scope),
      }),
    };
  }

  /** So many crops, of both scales where they are native. */
  #shown(count: number, scope: Scope): ShownCrops {
    const { scalesPx, patchPx } = this.#model.vision;
    const { nativeCrops } = this.#config.data;
    const crop = (count: number, side: number): Tensor => this.#empty([count, side, side, 4], 'u8', scope);
    if (!nativeCrops) return { image: crop(count, scalesPx[0]) };
    const side = nativeCrops.gridSide * patchPx;
    const [before, finest] = scalesPx.slice(-2);
    const places = (count: number): Tensor => this.#empty([count, nativeCrops.gridSide ** 2], 'u32', scope);
    const coarse = Math.round(nativeCrops.coarseShare * count);
    const fine = { image: crop(count - coarse, side), places: places(count - coarse) };
    if (coarse === 0) return fine;
    return { ...fine, coarse: crop(coarse, (side * finest) / before), coarsePlaces: places(coarse) };
  }

  #ids(count: number, scope: Scope): Tensor {
    return this.#empty([count, this.#model.text.contextLength], 'i32', scope);
  }

  #empty(shape: readonly number[], dtype: DType, scope: Scope): Tensor {
    return this.#engine.empty(shape, { dtype, scope });
  }
}
