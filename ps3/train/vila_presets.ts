// Presets of VILA-HDs that two CPU cores train, on the tower of nano-4k.
import type { TrainConfig } from './config.ts';
import { NANO_4K_PRESET } from './nano_4k.ts';
import { DEMO, SCENES } from './recipes.ts';

const NO_STEPS: TrainConfig['ps3'] = { steps: 0, batch: 1, lr: 1e-3, warmup: 0, accumulate: 1 };

/** Windows of 700 px, whose lowest scale is 70 px: nothing on a card can be told there. */
const VILA_S: TrainConfig = {
  ...DEMO,
  preset: 'vila-s',
  // Sizes are those of the PS3 that it begins with.
  model: NANO_4K_PRESET.model,
  data: {
    ...SCENES,
    scenes: 1,
    heldOut: 200,
    concepts: 128,
    styles: ['cards'],
    objects: [5, 5],
    objectPx: [76, 120],
    distractors: [0, 0],
    nativeCrops: { gridSide: 8, coarseShare: 0, besides: 0 },
  },
  towers: NO_STEPS,
  ps3: NO_STEPS,
  vila: {
    from: null,
    language: {
      width: 96,
      layers: 3,
      heads: 3,
      kvHeads: 1,
      mlpHidden: 256,
      vocabSize: 480,
      initialStd: 0.08,
    },
    contextLength: 1024,
    encoder: { kind: 'ps3' },
    window: { cells: 5, maxSelect: 240 },
    align: { steps: 440, batch: 8, lr: 1e-3, warmup: 40, accumulate: 1 },
    answers: { steps: 1120, batch: 8, lr: 1e-3, warmup: 40, accumulate: 1 },
    select: { steps: 240, batch: 8, lr: 5e-4, warmup: 40, accumulate: 1 },
    questions: 1,
    groundQuestions: 4,
    groundCards: null,
    looks: [1, 1],
    languageRate: 1,
    towerRate: 0,
    selection: 1,
    reachesLanguage: false,
  },
};

/** Whole images of 3780 px with the same cards, whose lowest scale is 378 px: needles. In batches that default limits hold. */
const VILA_4K: TrainConfig = {
  ...VILA_S,
  preset: 'vila-4k',
  data: { ...VILA_S.data, heldOut: 60 },
  vila: {
    ...VILA_S.vila!,
    from: 'vila-s',
    // Holds 35 % of all patches of 3780 px.
    contextLength: 8192,
    window: null,
    questions: 4,
    groundQuestions: 16,
    groundCards: 64,
    reachesLanguage: true,
    align: { steps: 110, batch: 4, lr: 1e-3, warmup: 10, accumulate: 1 },
    answers: { steps: 200, batch: 4, lr: 1e-3, warmup: 10, accumulate: 1 },
    select: { steps: 24, batch: 4, lr: 5e-4, warmup: 10, accumulate: 1 },
  },
};

/** By name. */
export const VILA_PRESETS: Readonly<Record<string, TrainConfig>> = { 'vila-s': VILA_S, 'vila-4k': VILA_4K };
