// What tests of a VILA-HD's training share: scenes of cards that are drawn in a moment, and a configuration and a PS3 of their size.
import { CARD_THINGS, type Concept, cardCatalogue } from '../../ps3/data/concepts.ts';
import { type SceneKit, SceneMaterial, scenePreset } from '../../ps3/data/scenes.ts';
import { makeSplits } from '../../ps3/data/splits.ts';
import { PS3 } from '../../ps3/model/ps3.ts';
import type { TrainConfig } from '../../ps3/train/config.ts';
import { presetConfig, trainConfig } from '../../ps3/train/presets.ts';
import type { VilaSection } from '../../ps3/train/vila_config.ts';
import { drawnPhotos, temporaryFolder } from '../data/fixture.ts';
import { engine } from '../harness.ts';

export const SIDE = 112;
const folder = temporaryFolder('vila');
const svg = (i: number): string =>
  `<svg xmlns="http://www.w3.org/2000/svg" width="100" height="100" viewBox="0 0 100 100"><circle cx="${20 + 4 * i}" cy="50" r="20"/></svg>`;
const catalogue = cardCatalogue(
  CARD_THINGS.map((name, i): Concept => {
    return { name, kind: 'object', looks: [{ kind: 'svg', style: 'noto', svg: svg(i) }] };
  }),
);
const photos = await drawnPhotos(folder, 4);
const splits = makeSplits(catalogue, photos, [], {
  ...{ seed: 1, conceptCount: catalogue.length, heldOutCount: 0, distractorCount: 0 },
});
const spec = scenePreset(SIDE, { objects: [3, 3], objectPx: [18, 26], distractors: [0, 0] });
export const kit: SceneKit = await new SceneMaterial(catalogue, photos).load(splits.train, spec);

export const smoke: TrainConfig = trainConfig({ preset: 'smoke' });
const base = trainConfig({ preset: 'vila-s' });
export const VILA: VilaSection = {
  ...base.vila!,
  language: { width: 16, layers: 1, heads: 2, kvHeads: 1, mlpHidden: 24, vocabSize: 320, initialStd: 0.1 },
  window: null,
  align: { steps: 1, batch: 2, lr: 1e-2, warmup: 0, accumulate: 1 },
  answers: { steps: 3, batch: 2, lr: 1e-2, warmup: 0, accumulate: 1 },
  select: { steps: 1, batch: 2, lr: 1e-2, warmup: 0, accumulate: 1 },
  groundQuestions: 2,
  groundCards: null,
};
export const config: TrainConfig & { readonly vila: VilaSection } = { ...base, vila: VILA };
export const ps3: PS3 = PS3.create(engine, presetConfig(smoke, 20), 3);
