// The presets of nano-4k, the small model that sees 4K and is part of this package: runs of which each begins with the one before.
import type { TrainConfig } from './config.ts';
import { DEMO, SCENES } from './recipes.ts';

/**
 * The published geometry at a size that two CPU cores train in hours: crops at the resolution of the two finest scales, then
 * windows of 5 x 5 low-res patches.
 */
export const NANO_4K_PRESET: TrainConfig = {
  ...DEMO,
  preset: 'nano-4k',
  init: { ...DEMO.init, positionResidualStd: 0.2 },
  loss: { ...DEMO.loss, cross: 0.3 },
  model: {
    scalesPx: [378, 756, 1512, 3780],
    patchPx: 14,
    width: 96,
    depth: 4,
    heads: 3,
    mlpRatio: 4,
    selectionLayers: null,
    maxSelect: 360,
    auxWidth: 64,
    auxKernelPx: 14,
    auxImagePx: 1512,
    textWidth: 96,
    textLayers: 1,
    tiedPositions: true,
    contextLength: 6,
    vocabSize: null,
  },
  data: {
    ...SCENES,
    scenes: 1,
    heldOut: 16,
    concepts: 32,
    styles: ['noto'],
    objects: [12, 20],
    objectPx: [38, 230],
    distractors: [0, 0],
    nativeCrops: { gridSide: 8, coarseShare: 0.25, besides: 24 },
    window: { cells: 5, objects: [4, 6], maxSelect: 120 },
  },
  towers: { steps: 900, batch: 64, lr: 2e-3, warmup: 50, accumulate: 1 },
  ps3: { steps: 500, batch: 24, lr: 2e-3, warmup: 50, accumulate: 1 },
};

/** Windows of 9 x 9 low-res patches with a look of the full budget. */
const LOOK: Pick<TrainConfig, 'towers' | 'ps3'> & { readonly views: Partial<TrainConfig['data']> } = {
  views: {
    nativeCrops: { gridSide: 8, coarseShare: 0.25, besides: 16 },
    window: { cells: 9, objects: [4, 8], maxSelect: 360 },
  },
  towers: { ...NANO_4K_PRESET.towers, steps: 0 },
  ps3: { steps: 120, batch: 16, lr: 1e-3, warmup: 20, accumulate: 1 },
};

/** Made-up desktops, of `ps3 data caption interfaces screens --kinds`, in a third of what is shown. */
const ON_SCREENS: TrainConfig['data'] = {
  ...NANO_4K_PRESET.data,
  annotated: { folders: ['screens'], share: 0.33, names: ['text', 'icon', 'button'] },
};

/** By name, in the order in which they follow each other. */
export const NANO_4K_PRESETS: Readonly<Record<string, TrainConfig>> = {
  'nano-4k': NANO_4K_PRESET,
  'nano-4k-look': {
    ...NANO_4K_PRESET,
    preset: 'nano-4k-look',
    data: { ...NANO_4K_PRESET.data, ...LOOK.views },
    towers: LOOK.towers,
    ps3: LOOK.ps3,
  },
  'nano-4k-screens': {
    ...NANO_4K_PRESET,
    preset: 'nano-4k-screens',
    data: ON_SCREENS,
    towers: { ...NANO_4K_PRESET.towers, steps: 700 },
    ps3: { ...NANO_4K_PRESET.ps3, steps: 400 },
  },
  'nano-4k-screens-look': {
    ...NANO_4K_PRESET,
    preset: 'nano-4k-screens-look',
    data: { ...ON_SCREENS, ...LOOK.views },
    towers: LOOK.towers,
    ps3: { ...LOOK.ps3, steps: 50, warmup: 10 },
  },
};
