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
    encoder: { kind: 'ps3' },
    window: { cells: 5, maxSelect: 240 },
    align: { steps: 440, batch: 8, lr: 1e-3, warmup: 40, accumulate: 1 },
    answers: { steps: 1120, batch: 8, lr: 1e-3, warmup: 40, accumulate: 1 },
    select: { steps: 240, batch: 8, lr: 5e-4, warmup: 40, accumulate: 1 },
    groundQuestions: 4,
    languageRate: 1,
    towerRate: 0,
    selection: 1,
    reachesLanguage: false,
  },
};

/** By name. */
export const VILA_PRESETS: Readonly<Record<string, TrainConfig>> = { 'vila-s': VILA_S };
