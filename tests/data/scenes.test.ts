import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Random } from '../../engine/index.ts';
import type { Box } from '../../ps3/data/boxes.ts';
import { drawCutout, layOn } from '../../ps3/data/cutout.ts';
import type { SceneKit, SceneSpec } from '../../ps3/data/scenes.ts';
import { buildScene, SceneMaterial, scenePreset, singleObjectCrop } from '../../ps3/data/scenes.ts';
import { makeSplits } from '../../ps3/data/splits.ts';
import { rasterise, VISIBLE_ALPHA } from '../../ps3/data/sprites.ts';
import { drawnCatalogue, drawnPhotos, temporaryFolder } from './fixture.ts';

const folder = temporaryFolder('scenes');
const catalogue = drawnCatalogue();
const SPLIT = { seed: 3, conceptCount: 8, heldOutCount: 4, distractorCount: 6 };

async function kitFor(changes: Partial<SceneSpec>): Promise<SceneKit> {
  const photos = await drawnPhotos(folder, 4);
  const { train } = makeSplits(catalogue, photos, [], SPLIT);
  return new SceneMaterial(catalogue, photos).load(
    train,
    scenePreset(128, { objectPx: [16, 32], ...changes }),
  );
}

const STILL = { rotationDeg: 25, brightness: 0, saturation: 0, blurShare: 0, shadow: 0 };

/** The box of what is visible on black: red, lime, blue, yellow and white are as bright as their alpha. */
function paintedBox(rgba: Uint8Array, side: number): Box {
  let [x1, y1, x2, y2] = [side, side, 0, 0];
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const o = 4 * (y * side + x);
      if (Math.max(rgba[o], rgba[o + 1], rgba[o + 2]) < VISIBLE_ALPHA) continue;
      [x1, y1, x2, y2] = [Math.min(x1, x), Math.min(y1, y), Math.max(x2, x + 1), Math.max(y2, y + 1)];
    }
  }
  return [x1, y1, x2, y2];
}

test('cutout: the box is exactly the visible pixels, wherever the object is laid', async () => {
  const side = 96;
  for (let seed = 0; seed < 200; seed++) {
    const { looks } = catalogue[seed % catalogue.length];
    const sprite = await rasterise(looks[seed % 2], 64);
    const random = new Random(seed);
    const cutout = drawCutout(sprite, random.range(8, 60), STILL, false, random);
    const rgba = new Uint8Array(4 * side * side);
    const [width, height] = [cutout.box[2] - cutout.box[0], cutout.box[3] - cutout.box[1]];
    const box = layOn(
      rgba,
      side,
      cutout,
      random.integer(side - width + 1),
      random.integer(side - height + 1),
    );
    assert.equal(paintedBox(rgba, side), box, `seed ${seed}`);
  }
});

test('scenes: a seed gives the same bytes again, another seed other bytes', async () => {
  const kit = await kitFor({});
  const again = await kitFor({});
  for (let seed = 0; seed < 5; seed++) {
    const scene = buildScene(kit, seed);
    assert.equal(buildScene(again, seed), scene);
    assert.is.not(Buffer.compare(buildScene(kit, seed + 1000).rgba, scene.rgba), 0);
  }
});

test('scenes: captioned boxes lie inside, do not overlap and name different concepts', async () => {
  const kit = await kitFor({ objects: [3, 5] });
  for (let seed = 0; seed < 100; seed++) {
    const { boxes, captions, concepts, globalCaption, side, rgba } = buildScene(kit, seed);
    assert.is(new Set(concepts).size, concepts.length);
    assert.equal(
      captions,
      concepts.map((concept) => catalogue[concept].name),
    );
    assert.ok(captions.every((caption) => globalCaption.includes(caption)));
    assert.ok(boxes.length >= 3, `seed ${seed}: got ${boxes.length} boxes`);
    for (const [i, a] of boxes.entries()) {
      assert.ok(a[0] >= 0 && a[1] >= 0 && a[2] <= side && a[3] <= side, `seed ${seed}: box ${a}`);
      for (const b of boxes.slice(i + 1)) {
        const apart = a[2] <= b[0] || b[2] <= a[0] || a[3] <= b[1] || b[3] <= a[1];
        assert.ok(apart, `seed ${seed}: ${a} overlaps ${b}`);
      }
    }
    for (let i = 3; i < rgba.length; i += 4)
      if (rgba[i] !== 255) assert.unreachable(`seed ${seed}: alpha ${rgba[i]}`);
  }
});

test('scenes: distractors appear in the image but have no box', async () => {
  const without = await kitFor({ objects: [1, 1], distractors: [0, 0] });
  const many = await kitFor({ objects: [1, 1], distractors: [4, 4] });
  assert.is(buildScene(many, 7).boxes.length, 1);
  assert.is.not(Buffer.compare(buildScene(many, 7).rgba, buildScene(without, 7).rgba), 0);
});

test('scenes: a single-object crop is reproducible and shows a captioned concept', async () => {
  const kit = await kitFor({});
  for (let seed = 0; seed < 50; seed++) {
    const crop = singleObjectCrop(kit, 56, seed);
    assert.equal(singleObjectCrop(kit, 56, seed), crop);
    assert.ok(kit.objects.includes(crop.concept!));
    assert.is(crop.caption, catalogue[crop.concept!].name);
    const [x1, y1, x2, y2] = crop.box;
    assert.ok(
      x1 >= 0 && y1 >= 0 && x2 <= 56 && y2 <= 56 && Math.max(x2 - x1, y2 - y1) >= 24,
      `box ${crop.box}`,
    );
  }
});

test('scenes: a specification that cannot be met is refused with its values', async () => {
  const rejects = async (changes: Partial<SceneSpec>, message: RegExp): Promise<void> => {
    try {
      await kitFor(changes);
    } catch (error) {
      assert.match((error as Error).message, message);
      return;
    }
    assert.unreachable(`no error for ${JSON.stringify(changes)}`);
  };
  await rejects({ objects: [1, 9] }, /objects must be a range within 0 to 8.*got 1 to 9/);
  await rejects({ objects: [8, 8], objectPx: [50, 60] }, /at most half of the image, got up to/);
  assert.throws(() => scenePreset(20), /64 to 8192 pixels, got 20/);
});

test('scenes: an image larger than the photograph mirrors it and reaches every pixel', async () => {
  const photos = await drawnPhotos(folder, 2);
  const { train } = makeSplits(catalogue, photos, [], SPLIT);
  const kit = await new SceneMaterial(catalogue, photos).load(
    train,
    scenePreset(1600, { signs: [0, 0], objects: [4, 6] }),
  );
  const { rgba, boxes } = buildScene(kit, 1);
  assert.ok(boxes.length >= 4);
  assert.is(rgba.length, 4 * 1600 * 1600);
});

test('splits: concepts, photographs and fonts of testing never appear in training', async () => {
  const photos = await drawnPhotos(folder, 9);
  const fonts = Array.from({ length: 5 }, (_, i) => ({ name: `font-${i}`, path: '' }));
  for (let seed = 0; seed < 10; seed++) {
    const { train, heldOutConcepts, heldOutImages } = makeSplits(catalogue, photos, fonts, {
      ...SPLIT,
      seed,
    });
    const seen = new Set([...train.objects, ...train.distractors]);
    assert.is(seen.size, train.objects.length + train.distractors.length);
    assert.not.ok(heldOutConcepts.objects.some((concept) => seen.has(concept)));
    for (const split of [heldOutConcepts, heldOutImages]) {
      assert.is(split.photos.length, 2);
      assert.not.ok(split.photos.some((photo) => train.photos.includes(photo)));
      assert.not.ok(split.fonts.some((font) => train.fonts.includes(font)));
    }
    assert.equal(heldOutImages.objects, train.objects);
    assert.equal(makeSplits(catalogue, photos, fonts, { ...SPLIT, seed }).train, train);
  }
  assert.throws(
    () => makeSplits(catalogue, photos, fonts, { seed: 1, conceptCount: 23, distractorCount: 6 }),
    /got 23 \+ 4 \+ 6 of 24/,
  );
  assert.throws(() => makeSplits(catalogue, photos.slice(1, 2), fonts, SPLIT), /at least 2 backgrounds/);
});

test.run();
