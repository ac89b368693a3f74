// What presets are put together from: the whole method, scenes, and constants for small models and of the paper.
import type { Method, TrainConfig } from './config.ts';

/** The method of the paper, nothing taken away. */
const WHOLE: Method = {
  lowResCache: true,
  oneSamplePerImage: true,
  teacherForcing: true,
  inBoxPooling: true,
  globalMix: true,
  multiScale: true,
  scalePositions: true,
  auxEncoder: true,
};

/** Where a run's images come from by default: scenes. What a collection is read by stands beside it. */
export const SCENES: Omit<
  TrainConfig['data'],
  'scenes' | 'heldOut' | 'concepts' | 'styles' | 'objects' | 'objectPx' | 'distractors'
> = {
  folder: null,
  sources: null,
  validation: null,
  shuffle: 5000,
  resampled: false,
  imagesInFlight: 16,
  maxSkippedShare: 0.05,
  vocabularyShards: 8,
  cacheFolder: null,
  cacheGb: 50,
  photos: null,
  nativeCrops: null,
  annotated: null,
  window: null,
};

/** Constants that small models need which train for minutes: high rates, clipping, parameters that start larger. */
export const DEMO: Omit<TrainConfig, 'preset' | 'model' | 'data' | 'towers' | 'ps3'> = {
  recipe: 'demo',
  seed: 1,
  init: { from: null, layerScale: 0.1, positionResidualStd: 0.02, logitScale: Math.log(10), logitBias: null },
  sampling: {
    globalShare: 0.25,
    crop: 'none',
    sameCaptionPositives: true,
    captions: { clean: false, sentenceMasking: false },
  },
  loss: { bottomUp: 1, topDown: 1, dice: 1, bottomUpBoxes: 'all', maxLogitScale: 100, cross: 0 },
  optimizer: { betas: [0.9, 0.95], eps: 1e-8, weightDecay: 0.05, maxNorm: 1, averageDecay: null },
  lock: { parts: [], unlockedVisionGroups: 0, unlockedTextGroups: 0 },
  checkpointBlocks: { lowRes: false, highRes: false, text: false },
  precision: { activations: 'f32', products: 'f32', lossScale: null },
  ranks: { reduce: 'f32' },
  saveEvery: 200,
  saveEveryMinutes: 10,
  checkpoints: { keep: 1, best: null },
  evaluation: { everySteps: null, images: null },
  method: WHOLE,
  baseline: null,
  vila: null,
};

/**
 * What both recipes of the paper share: the script of the released code, for batches of 32 on each of 8 GPUs.
 * Source: Shi et al. 2025, arXiv:2503.19903, and its released code.
 */
export const PUBLISHED: Pick<TrainConfig, 'init' | 'sampling' | 'optimizer' | 'checkpointBlocks' | 'ps3'> = {
  // SigLIP's values of the logits replace these where its towers are loaded.
  init: { from: null, layerScale: 1e-6, positionResidualStd: 0, logitScale: Math.log(10), logitBias: -10 },
  sampling: {
    globalShare: 0.25,
    crop: 'pretraining',
    sameCaptionPositives: false,
    captions: { clean: true, sentenceMasking: true },
  },
  optimizer: { betas: [0.9, 0.95], eps: 1e-8, weightDecay: 3e-4, maxNorm: 0, averageDecay: null },
  checkpointBlocks: { lowRes: true, highRes: true, text: true },
  // 75 million samples.
  ps3: { steps: 75_000_000 / 32, batch: 32, lr: 5e-6, warmup: 1500, accumulate: 1 },
};
