// Scenes composed for their step: what a batch holds, and that its parts have the gradients of the whole.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { AdamW, backward, type Tensor } from '../../engine/index.ts';
import { loadAnnotatedBackgrounds } from '../../ps3/data/annotated.ts';
import { type Box, boxShares } from '../../ps3/data/boxes.ts';
import { openFolder } from '../../ps3/data/folder.ts';
import {
  buildScene,
  type SceneKit,
  SceneMaterial,
  scenePreset,
  singleObjectCrop,
} from '../../ps3/data/scenes.ts';
import { makeSplits } from '../../ps3/data/splits.ts';
import { PS3 } from '../../ps3/model/ps3.ts';
import { buildWordTokenizer } from '../../ps3/model/text/tokenizer.ts';
import { firstBatch, upload } from '../../ps3/train/batches.ts';
import type { TrainConfig } from '../../ps3/train/config.ts';
import { pretrainLoss } from '../../ps3/train/loss.ts';
import { type Objective, partsOf, type Tensors } from '../../ps3/train/phases.ts';
import { planTraining } from '../../ps3/train/plan.ts';
import { EmptyBatches } from '../../ps3/train/plan_batches.ts';
import { presetConfig, trainConfig } from '../../ps3/train/presets.ts';
import { nativeCrops, sceneViews } from '../../ps3/train/scene_views.ts';
import { withWords } from '../../ps3/train/start.ts';
import { TrainingStep } from '../../ps3/train/step.ts';
import { cropAccuracy, towersLoss } from '../../ps3/train/towers.ts';
import { ps3Objective, towersObjective } from '../../ps3/train/train.ts';
import { drawnCatalogue, drawnPhotos, temporaryFolder } from '../data/fixture.ts';
import { compare, engine } from '../harness.ts';

const folder = temporaryFolder('views');
const catalogue = drawnCatalogue();
const photos = await drawnPhotos(folder, 4);
const { train } = makeSplits(catalogue, photos, [], {
  seed: 3,
  conceptCount: 8,
  heldOutCount: 4,
  distractorCount: 6,
});
const spec = scenePreset(280, { objects: [2, 3], objectPx: [16, 32], distractors: [0, 0] });
const kit = await new SceneMaterial(catalogue, photos).load(train, spec);
const names = kit.objects.map((id) => catalogue[id].name);
const tokenizer = buildWordTokenizer(names, { contextLength: 4 });

/** Grids 4, 8 and 20; windows of 2 x 2 low-res patches, 140 pixels of 280. */
const config = (...set: string[]): TrainConfig =>
  trainConfig({
    preset: 'smoke',
    set: [
      'model.scalesPx=[56,112,280]',
      'model.tiedPositions=true',
      'model.contextLength=4',
      'ps3.batch=4',
      'towers.batch=8',
      'loss.cross=0.3',
      'data.nativeCrops={"gridSide":4,"coarseShare":0.5,"besides":8}',
      'data.concepts=8',
      'data.window={"cells":2,"objects":[2,3],"maxSelect":12}',
      ...set,
    ],
  });
const CROPS = { gridSide: 4, coarseShare: 0.5, besides: 8 };
const MADE = config();
const fresh = () =>
  PS3.create(engine, presetConfig(MADE, tokenizer.vocabSize), 3, {
    tokenizer,
    layerScale: 0.1,
    positionResidualStd: 0.2,
    logitBias: -2,
  });
const views = (parts: number, window = MADE.data.window) =>
  sceneViews({ kit, seed: 1, crops: CROPS, window, parts });

test('boxShares: a box covers parts of cells, by hand', () => {
  const shares = boxShares([5, 10, 20, 25], 40, 4);
  const want = [0, 0, 0, 0, 0.5, 1, 0, 0, 0.25, 0.5, 0, 0, 0, 0, 0, 0];
  assert.equal([...shares], want);
});

test('a batch of windows has the truth of its captions, and the same one for the same step', async () => {
  using model = fresh();
  const { host } = await views(1).batches(model, { batchSize: 4, seed: 1 }, { step: 3 }).next();
  const earlier = views(1).batches(model, { batchSize: 4, seed: 1 }, { step: 2 });
  await earlier.next();
  assert.equal((await earlier.next()).host, host);
  // Images are kept while two more batches are made, then their memory is used again.
  const kept = views(1).batches(model, { batchSize: 4, seed: 1 }, { step: 3 });
  const first = (await kept.next()).host;
  for (let more = 0; more < 2; more++) await kept.next();
  assert.equal(first, host);
  assert.is((await kept.next()).host.image.data, first.image.data);
  assert.equal(host.image.shape, [4, 140, 140, 4]);
  assert.equal(host.shares?.shape, [4, 8, 4]);
  const { ids } = tokenizer.encodeCounted(names);
  assert.equal([...host.captions!.data.subarray(0, ids.length)], [...ids]);
  const origin = [...host.origin!.data];
  assert.ok(origin.every((place) => place >= 0 && place <= 2));
  for (let b = 0; b < 4; b++) {
    const shares = host.shares!.data.subarray(b * 32, (b + 1) * 32) as Float32Array;
    const rows = names.map((_, q) => shares.subarray(q * 4, q * 4 + 4).reduce((sum, x) => sum + x, 0));
    const shown = rows.filter((sum) => sum > 0);
    assert.ok(shown.length >= 2 && shown.length <= 3, `${shown.length} objects`);
    // A box of 16 to 32 pixels, rotated, in cells of 70: between 8² and 45² of 70².
    for (const sum of shown) assert.ok(sum > 64 / 4900 && sum < 2025 / 4900, String(sum));
    const caption = [...host.ids.data.subarray(b * 4, b * 4 + 4)].join();
    const q = names.findIndex((name) => [...tokenizer.encodeCounted([name]).ids].join() === caption);
    assert.ok(rows[q] > 0, 'the sampled caption is shown');
  }
});

/** A black screen of 560 x 280 pixels, the box of a text white and that of an icon grey. */
async function annotatedKit(): Promise<SceneKit> {
  const boxes: Box[] = [
    [40, 20, 240, 60],
    [300, 100, 400, 160],
  ];
  const screens = join(folder, 'screens');
  mkdirSync(screens, { recursive: true });
  const rects = boxes.map(
    ([x1, y1, x2, y2], i) =>
      `<rect x="${x1}" y="${y1}" width="${x2 - x1}" height="${y2 - y1}" fill="${i === 0 ? 'white' : '#808080'}"/>`,
  );
  const svg = `<svg width="560" height="280"><rect width="560" height="280"/>${rects.join('')}</svg>`;
  await sharp(Buffer.from(svg)).png().toFile(join(screens, 'a.png'));
  const line = { image: 'a.png', text: ['text', 'icon'], box: boxes };
  writeFileSync(join(screens, 'annotations.jsonl'), JSON.stringify(line));
  const images = await openFolder(screens);
  const annotated = await loadAnnotatedBackgrounds(images, 280, { share: 1, names: ['text'] });
  return { ...kit, annotated };
}

/** Of pixels that are lighter than the black ground, how many a square has, and how many of them are white. */
function lit(rgba: Uint8Array, side: number, [x1, y1, x2, y2]: Box): { lit: number; white: number } {
  let [light, white] = [0, 0];
  for (let y = y1; y < y2; y++)
    for (let x = x1; x < x2; x++) {
      const value = rgba[4 * (y * side + x)];
      light += Number(value > 60);
      white += Number(value > 180);
    }
  return { lit: light, white };
}

test('what is known of a background is where the pixels say, and only names are captions', async () => {
  const annotated = await annotatedKit();
  let named = 0;
  for (let seed = 0; seed < 40; seed++) {
    const side = 140;
    const kit = { ...annotated, spec: { ...spec, side, objects: [0, 0] as const } };
    const { rgba, things, boxes, captions } = buildScene(kit, seed);
    const whole = lit(rgba, side, [0, 0, side, side]);
    const shown = things.filter(({ caption }) => caption === 'text').map(({ box }) => box.map(Math.round));
    // Objects of 16 to 32 pixels hide some of it, and are beside it.
    const seen = shown.reduce((sum, box) => sum + lit(rgba, side, box as Box).white, 0);
    const area = shown.reduce((sum, [x1, y1, x2, y2]) => sum + (x2 - x1) * (y2 - y1), 0);
    if (area > 0) assert.ok(seen > 0.9 * area, `seed ${seed}: ${seen} of ${area} pixels are of the text`);
    if (area > 0) named++;
    // A part of less than a patch, 14 pixels, at the border is none.
    if (boxes.length === 0) assert.ok(whole.white <= area + 14 * side);
    assert.not(captions.includes('text'));
  }
  assert.ok(named > 5, `text in ${named} of 40`);

  const knows = buildWordTokenizer([...names, 'text'], { contextLength: 4 });
  const model = { config: presetConfig(MADE, knows.vocabSize), tokenizer: knows };
  const made = sceneViews({ kit: annotated, seed: 1, crops: CROPS, window: MADE.data.window, parts: 1 });
  const { host } = await made.batches(model, { batchSize: 16, seed: 1 }, { step: 0 }).next();
  assert.equal(host.shares?.shape, [16, 9, 4]);
  const text = [...knows.encode(['text'])].join();
  for (let b = 0; b < 16; b++) {
    const caption = [...host.ids.data.subarray(b * 4, b * 4 + 4)].join();
    const row = host.shares!.data.subarray((b * 9 + 8) * 4, (b * 9 + 9) * 4) as Float32Array;
    assert.ok(row.every((share) => share >= 0 && share <= 1));
    if (caption === text) assert.ok(Math.max(...row) > 0);
  }
});

test('a crop of what is known shows it', async () => {
  const annotated = await annotatedKit();
  for (let seed = 0; seed < 20; seed++) {
    const { rgba, caption, box, concept } = singleObjectCrop(annotated, 56, seed, [16, 60]);
    assert.equal([caption, concept], ['text', undefined]);
    assert.ok(lit(rgba, 56, box.map(Math.round) as Box).white > 0, `seed ${seed}`);
  }
  const folderOfOne = await openFolder(join(folder, 'screens'));
  const message = await loadAnnotatedBackgrounds(folderOfOne, 280, { share: 1, names: ['link'] }).then(
    () => 'no error',
    (error: Error) => error.message,
  );
  assert.match(message, /each name must be a caption of an image, got "link"/);
});

test('withWords: what a model knew stays, and new words have weights of their own', async () => {
  const old = fresh();
  const texts = [names[0], names[1]];
  const featuresOf = async (model: PS3, texts: string[]): Promise<Float32Array> => {
    using scope = engine.scope();
    return await model.encodeText(texts, { scope }).features.data();
  };
  const before = await featuresOf(old, texts);
  const captions = async (): Promise<string[]> => [...names, 'icon', 'text', 'text'];
  using model = await withWords(engine, old, MADE, captions);
  assert.is(model.tokenizer.vocabSize, tokenizer.vocabSize + 2);
  assert.equal(model.tokenizer.words, [...tokenizer.words!, 'text', 'icon']);
  assert.equal(await featuresOf(model, texts), before);
  assert.not.equal(await featuresOf(model, ['text']), await featuresOf(model, ['icon']));
  assert.is(await withWords(engine, model, MADE, captions), model);
});

test('crops of both scales have squares of places inside their grids', () => {
  const { rgba, captions, places, coarse, coarsePlaces } = nativeCrops(
    kit,
    { scalesPx: [56, 112, 280], patchPx: 14 },
    CROPS,
    1,
  )(5, 8);
  assert.equal([rgba.length, captions.length], [4 * 56 * 56 * 4, 8]);
  assert.equal(
    [places?.shape, coarse?.shape, coarsePlaces?.shape],
    [
      [4, 16],
      [4, 140, 140, 4],
      [4, 16],
    ],
  );
  for (const [given, grid] of [
    [places!, 20],
    [coarsePlaces!, 8],
  ] as const)
    for (let i = 0; i < 4; i++) {
      const own = [...given.data.subarray(i * 16, (i + 1) * 16)];
      const [row, column] = [Math.floor(own[0] / grid), own[0] % grid];
      assert.ok(row + 4 <= grid && column + 4 <= grid, `${row}, ${column} of ${grid}`);
      for (const [p, place] of own.entries())
        assert.is(place, (row + Math.floor(p / 4)) * grid + column + (p % 4));
    }
});

/** Gradients and losses of one step, and gradients of one tape over the same batch. */
async function compared<B extends Tensors<B>>(
  objectiveOf: (model: PS3) => Objective<B>,
  lossOf: (model: PS3, batch: B) => Tensor,
): Promise<Record<string, number>> {
  using model = fresh();
  const objective = objectiveOf(model);
  const host = await firstBatch((from) => objective.batches(from));
  using optimizer = new AdamW(model.parameters, { lr: 1e-3, betas: [0, 0.9] });
  using training = new TrainingStep(engine, model, objective, host, optimizer);
  const values = await (await training.run(host)).values;
  using other = fresh();
  other.parameters.enableGradients();
  using scope = engine.scope();
  backward(lossOf(other, upload(engine, host, scope)));
  const want = await other.parameters.arenas[0].gradients!.data();
  compare('gradients', await optimizer.moments[0][0].data(), want, { abs: 0, rel: 1e-5 });
  return values;
}

test('a step of native crops has the gradients of one tape', async () => {
  const crops = nativeCrops(kit, { scalesPx: [56, 112, 280], patchPx: 14 }, CROPS, 1);
  const values = await compared((model) => towersObjective(model, crops, MADE), towersLoss);
  assert.ok(Number.isFinite(values.loss));
});

test('a step of windows and crops has the gradients of one tape', async () => {
  const { maxLogitScale: _, ...weights } = MADE.loss;
  const values = await compared(
    (model) => ps3Objective(model, views(1), MADE),
    (model, batch) => pretrainLoss(model, batch, { ...weights, window: MADE.data.window }).losses.total,
  );
  const { loss, contrastive, bottomUp, topDown, cross } = values;
  assert.ok(Math.abs(loss - (contrastive + bottomUp + topDown + 0.3 * cross)) < 1e-4, JSON.stringify(values));
});

test('parts of a batch of whole images are compared with all of it, crops included', async () => {
  // Neither map loss nor cross, which are of each part by itself: the contrastive loss is that of the whole batch.
  const set = ['loss.cross=0', 'loss.topDown=0', 'loss.bottomUp=0', 'data.window=null'];
  const momentOf = async (accumulate: number): Promise<Float32Array> => {
    using model = fresh();
    using optimizer = new AdamW(model.parameters, { lr: 1e-3, betas: [0, 0.9] });
    const objective = ps3Objective(model, views(accumulate, null), config(...set));
    const host = await firstBatch((from) => objective.batches(from));
    using training = new TrainingStep(engine, model, objective, host, optimizer, { accumulate });
    await (await training.run(host)).values;
    return (await optimizer.moments[0][0].data()) as Float32Array;
  };
  compare('gradients of 2 parts', await momentOf(2), await momentOf(1), { abs: 0, rel: 1e-5 });
});

test('a plan goes through batches of the shapes that training has', async () => {
  using model = fresh();
  using scope = engine.scope();
  const crops = nativeCrops(kit, { scalesPx: [56, 112, 280], patchPx: 14 }, CROPS, 1);
  for (const made of [MADE, config('data.window=null', 'ps3.accumulate=2', 'towers.accumulate=2')]) {
    const { window } = made.data;
    const parts = made.ps3.accumulate;
    const empty = new EmptyBatches(engine, model.config, made);
    const of = (tensors: object): [string, readonly number[]][] =>
      Object.entries(tensors)
        .filter(([name, tensor]) => tensor && name !== 'classes')
        .map(([name, { shape }]) => [name, [...shape]]);
    const [images] = partsOf(
      await firstBatch((from) => ps3Objective(model, views(parts, window), made).batches(from)),
      parts,
    );
    assert.equal(new Map(of(empty.images(scope))), new Map(of(images)));
    const [towers] = partsOf(
      await firstBatch((from) => towersObjective(model, crops, made).batches(from)),
      made.towers.accumulate,
    );
    assert.equal(new Map(of(empty.crops(scope))), new Map(of(towers)));
    const { ps3 } = planTraining(engine, model.config, made);
    assert.ok(ps3 && ps3.totalFlops > 0);
  }
});

test('held-out crops are asked about at their own resolution', async () => {
  using model = fresh();
  const crops = nativeCrops(kit, { scalesPx: [56, 112, 280], patchPx: 14 }, CROPS, 2);
  const accuracy = await cropAccuracy(engine, model, crops, { count: 32 });
  assert.ok(accuracy >= 0 && accuracy < 0.6, String(accuracy));
});

test('config: windows and cross need scenes that are composed for each step', () => {
  assert.throws(
    () => config('data.nativeCrops=null'),
    /data\.window must be null where data\.nativeCrops is/,
  );
  assert.throws(() => config('data.nativeCrops=null', 'data.window=null'), /loss\.cross must be 0/);
  assert.throws(() => config('data.folder="x"'), /data\.nativeCrops must be null beside data\.folder/);
});

test.run();
