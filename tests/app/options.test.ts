// Options that nobody knows, for callers whose keys no compiler checks.
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ShapeError } from '../../engine/index.ts';
import { encodeImages } from '../../ps3/app/encode.ts';
import { heatMap, outlined } from '../../ps3/app/heat_map.ts';
import { reportPage } from '../../ps3/app/report.ts';
import { runSession } from '../../ps3/app/session.ts';
import { openScenes, runDataScenes } from '../../ps3/data/build.ts';
import { drawContactSheet } from '../../ps3/data/contact_sheet.ts';
import { Sampler } from '../../ps3/data/sampler.ts';
import { scenePreset } from '../../ps3/data/scenes.ts';
import { openSources } from '../../ps3/data/sources.ts';
import { makeSplits } from '../../ps3/data/splits.ts';
import { PS3 } from '../../ps3/model/ps3.ts';
import { PRESETS, presetConfig } from '../../ps3/train/presets.ts';
import { engine } from '../harness.ts';

/** Options with a key that nobody knows. */
function misspelt<T extends object>(): T {
  return { seeed: 1 } as T;
}

const image = { rgba: new Uint8Array(4), width: 1, height: 1 };
const model = PS3.allocate(engine, presetConfig(PRESETS.smoke, 8));
const batch = engine.zeros([1, 3, 112, 112]);
const encoding = await model.encode(batch, { looks: 0 });
const CALLS: Readonly<Record<string, () => unknown>> = {
  encodeImages: () => encodeImages(engine, misspelt()),
  runSession: () => runSession(engine, misspelt()),
  heatMap: () => heatMap(image, new Float32Array(1), [1, 1], misspelt()),
  outlined: () => outlined(image, misspelt()),
  reportPage: () => reportPage(PRESETS.smoke, [], misspelt()),
  openScenes: () => openScenes(misspelt()),
  runDataScenes: () => runDataScenes(misspelt()),
  scenePreset: () => scenePreset(448, misspelt()),
  openSources: () => openSources(misspelt()),
  makeSplits: () => makeSplits([], [], [], misspelt()),
  drawContactSheet: () => drawContactSheet([], 'sheet.png', misspelt()),
  Sampler: () => new Sampler([], misspelt()),
  'PS3.load': () => PS3.load(engine, 'nowhere', misspelt()),
  'PS3.save': () => model.save('nowhere', misspelt()),
  'PS3.encode': () => model.encode(batch, misspelt()),
  'PS3.encode: of a list': () => model.encode([batch], misspelt()),
  'PS3.looks': () => model.looks(batch, misspelt()).next(),
  'PS3.similarity': () => model.similarity(batch, 'a cup', misspelt()),
  'PS3.imageFeatures': () => model.imageFeatures(encoding, misspelt()),
};

for (const [name, call] of Object.entries(CALLS))
  test(`${name}: an option that nobody knows is refused by name`, async () => {
    const error: unknown = await (async () => call())().catch((error: unknown) => error);
    assert.instance(error, ShapeError, String(error));
    assert.match(
      (error as ShapeError).message,
      new RegExp(`^${name.split(':')[0]}: an option must be one of \\w+(, \\w+)*, got seeed\\.$`),
    );
  });

test.run();
